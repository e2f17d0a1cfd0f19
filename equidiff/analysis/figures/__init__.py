"""Figures of a run: the contact sheet, the contour plot, and the figures of the thesis."""
