"""The generators that ship with EquiDiff."""
