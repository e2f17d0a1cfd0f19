"""The regularizers that ship with EquiDiff."""
