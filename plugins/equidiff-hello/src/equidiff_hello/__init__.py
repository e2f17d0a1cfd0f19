"""An objective and a regularizer for EquiDiff, to copy from."""
