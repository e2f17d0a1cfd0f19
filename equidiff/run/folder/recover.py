"""Files of a run folder made to agree again, after a process was killed or a file was damaged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from equidiff.run.folder.commit import append_lines
from equidiff.run.folder.layout import JOURNALS, MEMBERS, SEGMENTS, STEPS, numbered, segment_file
from equidiff.run.folder.lines import Span, find_lines, keep_lines
from equidiff.run.folder.segments import digest_of, write_sums
from equidiff.run.folder.stored import read_samples
from equidiff.run.folder.survey import Survey


def recover(survey: Survey) -> None:
    """Keep what is finished, in files that are sound.

    Lines of other samples go, samples in journals get the lines that they lack, and segments that are damaged go.

    Raises:
        OSError: the folder cannot be written.
    """
    path = survey.path
    for number in numbered(path / SEGMENTS, ".safetensors").keys() - survey.sound:
        segment_file(path, number).unlink()
    sums = survey.stored.sums
    write_sums(path, {number: sums.get(number) or digest_of(segment_file(path, number)) for number in survey.sound})
    for name, places in ((MEMBERS, survey.lines), (STEPS, find_lines(path / STEPS))):
        kept = {index: place for index, place in places.items() if index in survey.lines}
        _keep(path / name, kept)
    for number, file in numbered(path / JOURNALS, ".journal").items():
        samples = ((record, steps) for _, (record, _, steps) in read_samples(file, number, survey.stored.size))
        append_lines(path, [sample for sample in samples if sample[0].index in survey.unlined])


def _keep(file: Path, places: Mapping[int, Span]) -> None:
    """Leave nothing else in a file."""
    size = file.stat().st_size if file.exists() else -1
    if sum(end - start for start, end in places.values()) != size:
        keep_lines(file, places.values())
