"""`run.json` as a model, and how it is read: what can be known of a run without loading torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, WrapValidator

from equidiff.builtin.objectives.descriptors import RUN_AS_CODE
from equidiff.errors import RunFolderError
from equidiff.folders import text
from equidiff.folders.paths import OF_A_BEGINNING, has_only
from equidiff.folders.status import RUNNING, read_description, timestamp
from equidiff.folders.text import shell_word
from equidiff.registry.manager import FROM_FILE
from equidiff.registry.specs import parse_sum
from equidiff.run.parts import BankInfo, CalledInfo, ClassCount, Counts, Inversion, Part, Prior, WeightsFile
from equidiff.search.blocks import Share

SCHEMA_VERSION = 3
READABLE = (1, 2, 3)  # schema versions that this code reads
TARGET_GIVEN = "--target"  # the source of a target that was given as numbers


def _as_given(value: Any, check: Callable[[Any], float]) -> Any:
    check(value)
    return value  # 128 stays 128 in the file, and 128.0 stays 128.0


Number = Annotated[float, WrapValidator(_as_given)]


class Specs(Part):
    """The spec of each component in canonical form; for an object made in Python, its type in angle brackets."""

    model_config = ConfigDict(extra="forbid")  # a component of another kind cannot be built

    generator: str
    objective: str
    regularizer: str
    solver: str
    law: str = "solve"

    @property
    def objects(self) -> dict[str, str]:
        """Components that were objects made in Python, which no spec can name, by their kind."""
        return {kind: spec for kind, spec in self if spec.startswith("<")}

    @property
    def is_custom(self) -> bool:
        """True for an objective whose spec names code of the user's own."""
        return "objective" not in self.objects and is_custom(self.objective)


class Options(Part):
    """The options of each component, defaults included, and the settings that have no other place."""

    generator: dict[str, Any] = Field(default_factory=dict)
    objective: dict[str, Any] = Field(default_factory=dict)
    regularizer: dict[str, Any] = Field(default_factory=dict)
    solver: dict[str, Any] = Field(default_factory=dict)
    law: dict[str, Any] = Field(default_factory=dict)
    samples: int
    batch: int
    start: str = "prior"
    query: str | None = None
    saved: str = "float"  # as schema version 1 judged samples
    time_limit: float | None = None
    bank: int = 0
    effort: float | None = None


class Target(Part):
    """The measurement that members have.

    Attributes:
        values: m numbers.
        names: of the m outputs of the objective.
        unit: of all of them.
        source: the query that was measured, or "--target".
        views: m numbers for each filtered view of the query, which views of members must have; None where there are no
            views, where the target was given as numbers, and in schema version 1: views must have `values` then.
    """

    values: tuple[float, ...]
    names: tuple[str, ...]
    unit: str
    source: str
    views: tuple[tuple[float, ...], ...] | None = None

    @property
    def is_given(self) -> bool:
        """True for a target that was given as numbers, in place of a query."""
        return self.source == TARGET_GIVEN

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.names[0]} = {self.values[0]:.6g} ({self.unit})"
        return f"{len(self.values)} values ({self.unit}) from {min(self.values):.4g} to {max(self.values):.4g}"


class RunInfo(Part):
    """The content of `run.json`, in the order of the file.

    Attributes:
        specs: the components.
        options: of the components and of the run.
        target: the measurement that members have.
        kind: of the samples: its name, with the rate of signals or the columns of a table; None in a run that is older
            than kinds, whose samples are images or points by their shape.
        inversion: of the query, where the run starts from its latent.
        search: the steps that the solver may take, in words.
        seed: sample i depends on `(seed, i)` alone.
        tolerance: loss below which a sample is a member.
        tolerance_given: as it was asked for: a loss, or a part of the spread such as "8%".
        within: distance from the target at which the loss of a sample without views reaches the tolerance, in the
            measurement's unit.
        prior: prior samples, measured before the search.
        bank: prior samples that the run took members and starts from; None without a bank.
        called: what the network calls query, members and prior samples; None where there is no network with classes.
        budget: evaluations that a sample may cost.
        device: the torch device of the run.
        dtype: "float32", "tf32" or "bfloat16".
        versions: of EquiDiff, torch, Python and each plugin that took part.
        weights: every weights file that was loaded.
        notes: sentences about what a component had to assume.
        schema_version: of the run folder.
        status: "running", "complete", "interrupted" or "failed".
        started: time at which the run began, in UTC.
        part: of the run that this folder has, e.g. "3/16"; None where it has all.
        segment: samples in a file of tensors; None before schema version 3.
        images: samples whose images are files: "all", "none" or the first ones, as in "first:1000".
        counts: of samples.
        finished: time at which the run ended.
        wall_s: seconds that it took, without those between its end and its being resumed.
        evaluations: of all samples together.
        error: the reason why it failed.
        folder: the folder in which the run was begun, from which its relative paths start.
        run_folder: the absolute path of the run folder then, to tell how they lay to each other.
    """

    specs: Specs
    options: Options
    target: Target
    kind: dict[str, Any] | None = None
    inversion: Inversion | None = None
    search: str | None = None
    seed: int
    tolerance: Number
    tolerance_given: str | None = None
    within: float | None = None
    prior: Prior | None = None
    bank: BankInfo | None = None
    called: CalledInfo | None = None
    budget: Number
    device: str
    dtype: str
    versions: dict[str, str]
    weights: tuple[WeightsFile, ...]
    notes: tuple[str, ...] = ()
    schema_version: Literal[1, 2, 3] = SCHEMA_VERSION
    status: str = RUNNING
    started: str | None = None
    part: str | None = None
    segment: int | None = None
    images: str | None = None
    counts: Counts
    finished: str | None = None
    wall_s: float | None = None
    evaluations: float | None = None
    error: str | None = None
    folder: str | None = None
    run_folder: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the file records, by its name in `Settings`: components by their specs."""
        return {**dict(self), **dict(self.options), **dict(self.specs)}

    @property
    def plugin_files(self) -> tuple[str, ...]:
        """Plugins that took part and are one file each."""
        return tuple(source for source, version in self.versions.items() if version == FROM_FILE)

    @property
    def starts_from_query(self) -> bool:
        """True where samples start from the query's own latent."""
        return self.options.start == "query"

    @property
    def indices(self) -> range:
        """The samples that this folder is to have."""
        whole = self.options.samples
        return range(whole) if self.part is None else Share.parse(self.part).indices(whole)

    def divided(self, part: Share) -> RunInfo:
        """A part of the same run."""
        asked = len(part.indices(self.options.samples))
        return self.model_copy(update={"part": str(part), "counts": Counts(asked=asked)})

    def began(self) -> RunInfo:
        """The same run at its beginning, now."""
        counts = Counts(asked=self.counts.asked)
        ended = dict.fromkeys(("finished", "wall_s", "evaluations", "error"))
        return self.model_copy(update={"status": RUNNING, "started": timestamp(), "counts": counts, **ended})

    def resumed(self) -> RunInfo:
        """The same run as it goes on."""
        return self.model_copy(update={"status": RUNNING, "finished": None, "error": None})

    def ended(
        self,
        status: str,
        wall_s: float,
        counts: Counts,
        evaluations: float,
        error: str | None = None,
        members: tuple[ClassCount, ...] = (),
    ) -> RunInfo:
        """The same run at its end, now.

        Args:
            status: "complete", "interrupted" or "failed".
            wall_s: seconds since the run began, or was resumed.
            counts: of its samples.
            evaluations: of all samples together.
            error: the reason why it failed.
            members: what the network calls the members.
        """
        called = None if self.called is None else self.called.model_copy(update={"members": members})
        return self.model_copy(
            update={
                "called": called,
                "status": status,
                "counts": counts,
                "finished": timestamp(),
                "wall_s": round((self.wall_s or 0.0) + wall_s, 3),
                "evaluations": evaluations,
                "error": error,
            }
        )

    def to_json(self) -> str:
        """The text of `run.json`."""
        return text.to_json(self.model_dump(exclude_none=True), indent=2) + "\n"


def is_custom(objective: str) -> bool:
    """True for an objective's spec that names code which neither EquiDiff nor a plugin brought."""
    specs = [spec for _, spec in parse_sum(objective)]
    return any(spec.name == "custom" or spec.options.get("model", "").startswith(RUN_AS_CODE) for spec in specs)


def read_info(path: Path) -> RunInfo:
    """The content of `run.json`.

    Raises:
        RunFolderError: there is none, it is damaged, or of another schema version.
    """
    file = path / "run.json"
    values = read_description(file, "run folder", READABLE, set(), _absent(path), _damaged(file))
    try:
        # checked as JSON, in which lists stand for tuples; JSON of pydantic has no names that are not UTF-8
        RunInfo.model_validate_json(text.SURROGATE.sub("?", json.dumps(values, ensure_ascii=False)), strict=True)
        return RunInfo.model_validate(values)
    except ValidationError as error:
        place = ".".join(str(key) for key in error.errors()[0]["loc"])
        raise _damaged(f"{file}, at {place}") from None


def _absent(path: Path) -> RunFolderError:
    if os.path.isdir(path) and (path / ".lock").exists() and has_only(path, OF_A_BEGINNING):
        return RunFolderError(
            "This run ended before it began: nothing of it is finished.",
            given=f"{path}, without a run.json",
            expected="a folder with a run.json",
            hint=f"equidiff run --out {shell_word(path)}   # the same run again",
        )
    return RunFolderError(
        "This is not a run folder.", given=path, expected="a folder with a run.json", hint="equidiff run"
    )


def _damaged(given: object) -> RunFolderError:
    return RunFolderError(
        "The run.json of this folder cannot be read.",
        given=given,
        expected=f"a run.json of schema_version {SCHEMA_VERSION}, as equidiff run writes it",
    )
