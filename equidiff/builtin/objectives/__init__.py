"""The objectives that ship with EquiDiff: neurons, classes, and functions of the user's own."""
