"""An objective and a regularizer for EquiDiff: a template for your own plugin."""
