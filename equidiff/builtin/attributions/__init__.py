"""Attribution methods, computed by Captum, and a random map as their control."""
