"""A small GAN of colour faces as a generator for EquiDiff."""
