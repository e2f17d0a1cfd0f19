"""Stable Diffusion as a generator for EquiDiff."""
