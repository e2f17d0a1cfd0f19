"""Images: reading them, converting them to and from samples, drawing on them."""
