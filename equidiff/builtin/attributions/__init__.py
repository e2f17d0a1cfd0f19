"""Attribution methods, computed by Captum, and a random map to hold them against."""
