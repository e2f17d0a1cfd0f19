"""Kinds of samples: images, points, signals and rows of a table; how each is kept, drawn, compared and named."""
