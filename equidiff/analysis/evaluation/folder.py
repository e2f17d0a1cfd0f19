"""Files that an evaluation writes into a run folder: `metrics.json`, and `nearest/` where there are real images.

`nearest/INDEX.png` is the real image nearest to a member, cropped and resized as it was compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equidiff.analysis.evaluation.results import FILE, write_metrics
from equidiff.analysis.evaluation.sample_sets import fit_reference
from equidiff.errors import QueryError
from equidiff.folders.atomic import write_atomically
from equidiff.folders.paths import unwritable
from equidiff.images.convert import save_png
from equidiff.images.read import read_image
from equidiff.run.finished import Finished

NEAREST = "nearest"


def write_evaluation(finished: Finished, metrics: dict[str, Any]) -> Path:
    """Write the results of an evaluation into the run folder, and return the path of `metrics.json`.

    Args:
        finished: the run.
        metrics: what `evaluate` returned.

    Raises:
        RunFolderError: they cannot be written.
    """
    try:
        if "nearest" in metrics["per_member"]:
            _write_nearest(finished.path, metrics, finished.session.problem.generator.sample_shape)
        return write_metrics(finished.path, metrics)
    except OSError as error:
        raise unwritable(finished.path / FILE, error) from error


def _write_nearest(run: Path, metrics: dict[str, Any], shape: tuple[int, ...]) -> None:
    each, reference = metrics["per_member"], Path(metrics["reference"]["folder"])

    def write(part: Path) -> None:
        part.mkdir()
        for index, name in zip(each["index"], each["nearest"], strict=True):
            try:
                sample = fit_reference(read_image(reference / name), shape)
            except QueryError:
                continue  # it was there a moment ago; the numbers stand without it
            save_png(part / f"{index:05d}.png", sample[0])

    write_atomically(run / NEAREST, write)
