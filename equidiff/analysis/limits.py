"""Numbers of members that an analysis looks at unless the user says otherwise; light, for the command line.

A run with fewer members is looked at as a whole. Of a larger one, a subsample is drawn, see `subsample.draw_members`.
"""

EVALUATED = 2000  # by `equidiff evaluate`, which compares all pairs
SELECTED_FROM = 20_000  # by `equidiff select`
ON_PAGE = 256  # of a report
COMPARED_ON_PAGE = 1000  # other members that one on the page is compared with, for its novelty
DRAWN = 2000  # curves and dots of a figure
