"""Sweeps: many runs from one file, in one folder, with one table."""
