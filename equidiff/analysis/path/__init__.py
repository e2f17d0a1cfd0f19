"""Paths between two members that stay inside the set."""
