"""Drawings of a run: its overview, the plane, and the thesis's figures."""
