"""The thesis's figures, drawn from a run."""

from equidiff.figures.draw import FIGURES, check_fits, check_suffix, fitting, make
from equidiff.figures.source import Source

__all__ = ["FIGURES", "Source", "check_fits", "check_suffix", "fitting", "make"]
