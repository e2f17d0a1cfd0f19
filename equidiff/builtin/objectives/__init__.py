"""What is measured: neurons, classes, functions of the user's own, and weighted sums of them."""
