"""Runs that workers prepare: the models are loaded where there is a device for them, and not where runs are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor

from equidiff.contracts import Executor
from equidiff.errors import WorkerLostError
from equidiff.parallel.dispatch import Dispatcher
from equidiff.parallel.sessions import SHARED, enter, plugins_of, portable
from equidiff.parallel.work import Answer, Broken, Found, Lost, Work
from equidiff.run.info import RunInfo, Specs
from equidiff.run.own_code import not_portable
from equidiff.run.session import Session, prepare
from equidiff.run.settings import Settings


@dataclass(frozen=True)
class Question:
    """A run that a worker is to prepare.

    Attributes:
        settings: of the run; its components are specs.
        files: plugin files that the user named.
        folder: from which relative paths start.
        default_to_query: take the generator's default query where neither a query nor a target is given.
    """

    settings: Settings
    files: tuple[str, ...] = ()
    folder: str = "."
    default_to_query: bool = False

    @classmethod
    def of(cls, settings: Settings, files: Sequence[Path] = (), default_to_query: bool = False) -> Question:
        """A question in the words of this process.

        Raises:
            UsageError: a component is an object, which other processes cannot have.
        """
        for kind in Specs.model_fields:
            given = getattr(settings, kind)
            if given is not None and not isinstance(given, str):
                raise not_portable(kind, type(given).__qualname__)
        names = tuple(str(file.absolute()) for file in files)
        return cls(settings, names, str(Path.cwd()), default_to_query)


@dataclass(frozen=True)
class Prepared:
    """A run before its first sample.

    Attributes:
        info: the content of `run.json`.
        query: as the run folder keeps it, `[1, ...]`; None where the target was given as numbers.
        query_latent: `[1, *latent_shape]`, where the run starts from it.
        prior: the tensors of prior samples.
    """

    info: RunInfo
    query: Tensor | None
    query_latent: Tensor | None
    prior: dict[str, Tensor]

    @classmethod
    def of(cls, session: Session) -> Prepared:
        """A run that was prepared in this process."""
        latent = None if session.start is None else session.start.latent
        return cls(session.describe(), session.kept_query, latent, session.prior_tensors)


def prepare_with(executor: Executor, question: Question) -> Prepared:
    """Have a worker build the components of a run, read its query and measure its target.

    Raises:
        EquiDiffError: as `equidiff.run.session.prepare` raises it.
        WorkerLostError: every worker that tried died.
    """
    dispatcher: Dispatcher[tuple[str, bytes]] = Dispatcher(executor)
    dispatcher.add(Work(prepare_pieces, question, [0]))
    for event in dispatcher:
        if isinstance(event, Found):
            return unpack_prepared(*event.value)
        if isinstance(event, Broken):
            raise event.error
        if isinstance(event, Lost):
            raise WorkerLostError(
                f"No worker could prepare the run: {event.reason}",
                given=question.settings.generator,
                expected="a machine with enough memory for the models",
                hint="equidiff doctor, with --samples 1, on such a machine",
            )
    raise AssertionError("a work ends with one of these events")


def prepare_pieces(pieces: Sequence[tuple[Question, Sequence[int]]]) -> list[Answer]:
    """The function that workers carry out: each question is answered by text of a `run.json`, and tensors."""
    return [_prepare(question) for question, _ in pieces]


def _prepare(question: Question) -> Answer:
    try:
        enter(question.folder)
        session = prepare(
            question.settings,
            plugins_of(question.files),
            default_to_query=question.default_to_query,
            shared=SHARED,
        )
        ready = Prepared.of(session)
        own = {"query": ready.query, "latent": ready.query_latent}
        tensors = {name: value for name, value in own.items() if value is not None}
        tensors |= {f"prior.{name}": value for name, value in ready.prior.items()}
        packed = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
        return [(0, (ready.info.to_json(), packed))]
    except Exception as error:  # of this run: the others go on
        return portable(error)


def unpack_prepared(info: str, packed: bytes) -> Prepared:
    """The run of an answer that `prepare_pieces` gave."""
    tensors = load(packed)
    prior = {name.removeprefix("prior."): value for name, value in tensors.items() if name.startswith("prior.")}
    return Prepared(RunInfo.model_validate_json(info), tensors.get("query"), tensors.get("latent"), prior)
