"""Runs divided into calls, which the workers of an executor carry out; results come back as they are found."""
