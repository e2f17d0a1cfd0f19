"""`report.html`: everything about a run on one page, in one file that needs no network."""

from equidiff.analysis.report.page import write_report

__all__ = ["write_report"]
