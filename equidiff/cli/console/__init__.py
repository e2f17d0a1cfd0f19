"""Output to the terminal, for which no other package uses rich. Results go to stdout, all else to stderr."""

from equidiff.cli.console.progress import PROGRESS_DELAY_S, Show
from equidiff.cli.console.search import SearchDisplay, SearchState
from equidiff.cli.console.tables import Rows
from equidiff.cli.console.terminal import Terminal

__all__ = ["PROGRESS_DELAY_S", "Rows", "SearchDisplay", "SearchState", "Show", "Terminal"]
