"""What commands do, for a person who watches: what is said before, meanwhile and after."""
