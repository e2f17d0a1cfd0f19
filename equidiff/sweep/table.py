"""The table of a sweep: a row for each run, as `sweep.json` and `sweep.csv` have it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from equidiff.errors import RunFolderError
from equidiff.folders import text
from equidiff.folders.paths import check_own
from equidiff.folders.status import COMPLETE, RUN_FAILED, RUNNING, read_description
from equidiff.run.info import RunInfo
from equidiff.run.parts import ClassCount, Part
from equidiff.run.settings import Settings

SCHEMA_VERSION = 1
TABLE, CSV = "sweep.json", "sweep.csv"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"  # of a folder, which cannot lead out of the sweep's
WAITING = "waiting"  # of a run that has not begun
STATUSES = Literal["waiting", "running", "complete", "interrupted", "failed"]
RESULTS = (
    "asked", "members", "not_converged", "samples_failed", "evaluations", "wall_s", "target", "unit", "within",
    "spread", "prior", "prior_members", "query_class", "called_otherwise", "prior_called_otherwise", "error",
)  # fmt: skip


class Row(Part):
    """One run. What is not known yet is absent from the file.

    Attributes:
        name: of its folder in `runs/`.
        settings: those that the sweep gives, as texts.
        status: "waiting", or that of the run.
        error: the reason why it failed.
        asked: samples that were asked for.
        members: those that are members.
        not_converged: those that did not converge.
        samples_failed: those that failed.
        evaluations: of all samples together.
        wall_s: seconds that the run took.
        target: the measurement that members have; absent where it has several outputs.
        unit: of the target.
        within: distance from the target within which a member lies.
        spread: of the measurement over prior samples.
        prior: number of prior samples that were measured.
        prior_members: those that are members before any search.
        query: its source, in words.
        query_class: what the network calls the query.
        classes: what it calls the members, the most frequent first.
        called_otherwise: members that it calls otherwise than the query.
        prior_called_otherwise: share of the prior samples that it calls otherwise than the query.
    """

    name: str = Field(pattern=NAME)
    settings: dict[str, str]
    status: STATUSES = WAITING
    error: str | None = None
    asked: int | None = None
    members: int | None = None
    not_converged: int | None = None
    samples_failed: int | None = None
    evaluations: float | None = None
    wall_s: float | None = None
    target: float | None = None
    unit: str | None = None
    within: float | None = None
    spread: float | None = None
    prior: int | None = None
    prior_members: int | None = None
    query: str | None = None
    query_class: str | None = None
    classes: tuple[ClassCount, ...] = ()
    called_otherwise: int | None = None
    prior_called_otherwise: float | None = None

    @property
    def is_done(self) -> bool:
        """True for a run that will not be carried out again."""
        return self.status == COMPLETE

    def waiting(self) -> Row:
        """The same run before it began."""
        return Row(name=self.name, settings=self.settings)

    def failed(self, error: str) -> Row:
        """The same run, failed for this reason."""
        asked = int(self.settings.get("samples", Settings.samples)) if self.asked is None else self.asked
        return self.model_copy(update={"status": RUN_FAILED, "error": error, "asked": asked})

    def filled(self, info: RunInfo) -> Row:
        """The same run as its `run.json` has it."""
        return Row(
            name=self.name,
            settings=self.settings,
            status=info.status,  # pyrefly: ignore  # the model checks it
            error=info.error,
            asked=info.counts.asked,
            members=info.counts.members,
            not_converged=info.counts.not_converged,
            samples_failed=info.counts.failed,
            evaluations=info.evaluations,
            wall_s=info.wall_s,
            target=info.target.values[0] if len(info.target.values) == 1 else None,
            unit=info.target.unit,
            within=info.within,
            query=None if info.target.is_given else info.target.source,
            **_of_prior(info),
            **_of_classes(info),
        )

    def values(self) -> dict[str, Any]:
        """One line of the table: name, status, results."""
        return {"name": self.name, "status": self.status, **{name: getattr(self, name) for name in RESULTS}}


def _of_prior(info: RunInfo) -> dict[str, Any]:
    if info.prior is None:
        return {}
    return {"prior": info.prior.count, "prior_members": info.prior.members, "spread": info.prior.spread}


def _of_classes(info: RunInfo) -> dict[str, Any]:
    """What the network calls query and members, and how often otherwise."""
    if info.called is None:
        return {}
    found: dict[str, Any] = {"classes": info.called.members}
    query = info.called.query
    if query is not None:
        found |= {"query_class": query.name, "called_otherwise": _others(info.called.members, query.index)}
        total = sum(each.count for each in info.called.prior)
        if total:
            found["prior_called_otherwise"] = round(_others(info.called.prior, query.index) / total, 4)
    return found


def _others(classes: Iterable[ClassCount], index: int) -> int:
    return sum(each.count for each in classes if each.index != index)


class SweepInfo(Part):
    """The content of `sweep.json`.

    Attributes:
        schema_version: of the folder of a sweep.
        status: "running", "complete" or "interrupted"; a sweep with failed runs is complete.
        file: the file that the sweep was begun from, as it was typed.
        folder: the folder in which it was begun, from which relative paths start.
        varied: settings in which the runs differ.
        started: time at which it began, in UTC.
        finished: time at which it ended.
        wall_s: seconds that it took, without those between its end and its being resumed.
        counts: number of runs by status.
        samples: number of samples by status, of the runs that ended.
        evaluations: of all samples together.
        runs: a row for each.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Literal["running", "complete", "interrupted"] = RUNNING
    file: str
    folder: str
    varied: tuple[str, ...] = ()
    started: str | None = None
    finished: str | None = None
    wall_s: float = 0.0
    counts: dict[str, int] = Field(default_factory=dict)
    samples: dict[str, int] = Field(default_factory=dict)
    evaluations: float = 0.0
    runs: tuple[Row, ...] = ()

    def with_rows(self, rows: Sequence[Row], **changes: Any) -> SweepInfo:
        """The same sweep with these rows, counted."""
        names = {"asked": "asked", "members": "members", "not_converged": "not_converged", "failed": "samples_failed"}
        samples = {name: sum(getattr(row, field) or 0 for row in rows) for name, field in names.items()}
        return self.model_copy(
            update={
                "runs": tuple(rows),
                "counts": {"runs": len(rows), **Counter(row.status for row in rows)},
                "samples": samples,
                "evaluations": round(sum(row.evaluations or 0.0 for row in rows), 3),
                **changes,
            }
        )

    def to_json(self) -> str:
        """The text of `sweep.json`; each run has a line of its own."""
        rows = ",\n".join(text.to_json(row.model_dump(exclude_none=True)) for row in self.runs)
        about = text.to_json(self.model_dump(exclude_none=True, exclude={"runs"}), indent=2)
        return f'{about[:-2]},\n  "runs": [\n{rows}\n]\n}}\n'

    def to_csv(self) -> str:
        """The text of `sweep.csv`: a column for each setting of the sweep, and one for each result."""
        settings = list(dict.fromkeys(name for row in self.runs for name in row.settings))
        # a result and a setting may have one name, as a target has: the setting is what was asked for
        columns = {name: f"setting_{name}" if name in {"name", "status", *RESULTS} else name for name in settings}
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, ["name", *columns.values(), "status", *RESULTS], lineterminator="\n")
        writer.writeheader()
        for row in self.runs:
            given = {columns[name]: value for name, value in row.settings.items()}
            writer.writerow({name: "" if value is None else value for name, value in (row.values() | given).items()})
        return text.escape_surrogates(buffer.getvalue())


def read_sweep(path: Path) -> SweepInfo:
    """The content of `sweep.json`.

    Raises:
        RunFolderError: there is none, it is damaged, or of another schema version.
    """
    file = path / TABLE
    absent = RunFolderError(
        "This is not the folder of a sweep.",
        given=path,
        expected=f"a folder with a {TABLE}",
        hint="equidiff sweep FILE",
    )
    check_own(path)
    values = read_description(file, "sweep", SCHEMA_VERSION, set(), absent, _damaged(file))
    try:
        # checked as JSON, in which lists stand for tuples; JSON of pydantic has no names that are not UTF-8
        SweepInfo.model_validate_json(text.SURROGATE.sub("?", json.dumps(values, ensure_ascii=False)), strict=True)
        return SweepInfo.model_validate(values)
    except ValidationError as error:
        place = ".".join(str(key) for key in error.errors()[0]["loc"])
        raise _damaged(f"{file}, at {place}") from None


def _damaged(given: object) -> RunFolderError:
    return RunFolderError(
        f"The {TABLE} of this folder cannot be read.",
        given=given,
        expected=f"a {TABLE} of schema_version {SCHEMA_VERSION}, as equidiff sweep writes it",
    )
