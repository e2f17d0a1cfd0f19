"""Diffusers pipelines as generators for EquiDiff."""
