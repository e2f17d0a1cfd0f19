"""The solvers that ship with EquiDiff."""
