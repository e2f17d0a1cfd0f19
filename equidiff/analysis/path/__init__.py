"""A path between two members that stays inside the set."""
