"""Checks of `equidiff doctor`: the installation, the components of a run, the memory of a pass."""
