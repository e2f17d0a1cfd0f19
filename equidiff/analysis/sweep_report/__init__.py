"""`report.html` of a sweep: a row for each of its runs, in one file that needs no network."""

from equidiff.analysis.sweep_report.page import write_overview

__all__ = ["write_overview"]
