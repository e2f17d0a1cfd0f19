"""The run folder: what a run leaves on disk, and what every other command reads.

Its schema version is 3. Runs of versions 1 and 2 still read, and unfinished ones are given the files of version 3 when
they are resumed.
"""

from __future__ import annotations

from equidiff.run.folder.ending import finished_info
from equidiff.run.folder.layout import OF_QUERY, rows_of_segment
from equidiff.run.folder.read import iter_packed, iter_records, load_samples, read_prior, read_query, read_records
from equidiff.run.folder.rows import MemoryRows, Rows, stack_rows
from equidiff.run.folder.survey import Survey
from equidiff.run.folder.write import RunFolder
from equidiff.run.packed import ROWS

__all__ = [
    "OF_QUERY",
    "ROWS",
    "MemoryRows",
    "Rows",
    "RunFolder",
    "Survey",
    "finished_info",
    "iter_packed",
    "iter_records",
    "load_samples",
    "read_prior",
    "read_query",
    "read_records",
    "rows_of_segment",
    "stack_rows",
]
