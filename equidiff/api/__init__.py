"""Python's side of EquiDiff: `sample`, `load`, and a set with the analyses of finished runs as methods."""
