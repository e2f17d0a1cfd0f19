"""The sections of `benchmarks/scale.py`, each a function that yields the rows of its tables."""
