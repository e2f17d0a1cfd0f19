"""Which units of a layer are worth asking about: each one's strongest images, and what they have in common."""

from equidiff.rank.drawing import draw_units
from equidiff.rank.ranking import SORTS, Plan, Ranking, Scan, begin, go_on, rank

__all__ = ["SORTS", "Plan", "Ranking", "Scan", "begin", "draw_units", "go_on", "rank"]
