"""Harmonic sounds as a generator for EquiDiff, and CREPE's pitch as an objective."""
