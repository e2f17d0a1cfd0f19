"""Diffusion models behind the interface of azula as a generator for EquiDiff."""
