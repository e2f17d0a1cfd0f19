"""Rankings of the units of a layer by their strongest images and the traits that these share."""

from equidiff.rank.drawing import draw_units
from equidiff.rank.ranking import SORT_KEYS, Plan, Ranking, Scan, begin, rank, resume

__all__ = ["SORT_KEYS", "Plan", "Ranking", "Scan", "begin", "draw_units", "rank", "resume"]
