"""The errors of EquiDiff, whose messages say what was given, what was expected and what to type next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class EquiDiffError(Exception):
    """Base class for errors that the user can fix. The command line shows one panel and exits with `exit_code`.

    Args:
        problem: one sentence, without a full stop if it ends in a value.
        given: the value given.
        expected: a description of a correct value.
        similar: correct values that resemble the one given, closest first.
        hint: the command or option to try next.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        given: object = None,
        expected: object = None,
        similar: Iterable[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.given = given
        self.expected = expected
        self.similar = tuple(similar)
        self.hint = hint

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The lines below the problem: a label and a text each."""
        rows = (
            ("given", self.given),
            ("expected", self.expected),
            ("did you mean", " or ".join(self.similar) + "?" if self.similar else None),
            ("try", self.hint),
        )
        return [(label, str(text)) for label, text in rows if text is not None]

    def __str__(self) -> str:
        return "\n".join([self.problem, *(f"{label}: {text}" for label, text in self.rows)])


class UsageError(EquiDiffError):
    """A command or spec string that is malformed."""

    exit_code = 2


class SpecError(UsageError):
    """A spec string that cannot be parsed."""


class UnknownNameError(EquiDiffError):
    """A component, option, layer or class that does not exist."""


class PluginError(EquiDiffError):
    """A plugin that cannot be loaded, or a component of one that cannot be built."""


class ContractBreachError(PluginError):
    """A component that does something else than its contract says.

    Args:
        problem: one sentence that names the component and its plugin.
        called: the method and its arguments, or the attribute, in words.
        returned: the result in words; None where there is none.
        contract: the result that the contract asks for.
        write: the line to write instead.
        at: file, line and text of the author's code.
    """

    def __init__(
        self,
        problem: str,
        *,
        called: str,
        returned: str | None,
        contract: str,
        write: str | None = None,
        at: str | None = None,
    ) -> None:
        super().__init__(problem)
        self._breach = (
            ("called", called), ("returned", returned), ("contract", contract), ("write", write), ("at", at)
        )  # fmt: skip

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The lines below the problem: the call, its result, the contract, and what to write where."""
        return [(label, text) for label, text in self._breach if text is not None]


class QueryError(EquiDiffError):
    """A query that is missing, unreadable, or of the wrong kind."""


class WeightsError(EquiDiffError):
    """A checkpoint that is missing, corrupt, refused, or does not fit."""


class RunFolderError(EquiDiffError):
    """A run folder that cannot be written, read or resumed."""


class UnsupportedError(EquiDiffError):
    """A request that a component does not support."""


class WorkerLostError(EquiDiffError):
    """A worker that died during a call, which may be submitted again."""


class InexactInverseError(UnsupportedError):
    """Samples whose latents a generator finds only roughly.

    Args:
        problem: one sentence that says why.
        latents: the latents that were found, `[batch, *latent_shape]`.
        rows: the other lines of the message, as in `EquiDiffError`.
    """

    def __init__(self, problem: str, latents: Any, **rows: Any) -> None:
        super().__init__(problem, **rows)
        self.latents = latents


def unknown_name(what: str, given: str, known: Iterable[str], hint: str | None = None) -> UnknownNameError:
    """Make the error for a name that is not among `known`; it shows the nearest ones."""
    names = list(known)
    near = nearest(given, names)
    expected = None
    if len(names) <= 12:
        expected = one_of(names)
    elif not near:
        expected = f"one of {len(names)}, such as " + ", ".join(names[:6])
    problem = f"There is no {what} named {given!r}."
    return UnknownNameError(problem, given=given, expected=expected, similar=near, hint=hint)


def check_one_of(name: str, given: object, allowed: Iterable[str]) -> None:
    """Refuse a value that is not among those allowed.

    Args:
        name: of the setting.
        given: its value.
        allowed: the values that it may have.

    Raises:
        UsageError: it has another.
    """
    names = list(allowed)
    if given not in names:
        raise UsageError(
            f"The value of {name} cannot be used.",
            given=given,
            expected=one_of(names),
            similar=nearest(str(given), names),
        )


def one_of(names: Iterable[str]) -> str:
    """Text that lists the allowed names: "prior or query"; for three or more, "one of sgd, adam, shampoo"."""
    listed = list(names)
    return " or ".join(listed) if len(listed) <= 2 else "one of " + ", ".join(listed)


def nearest(given: str, known: Iterable[str], alike: float = 0.6) -> list[str]:
    """Find up to three known names that resemble the given one, closest first.

    Args:
        given: the name.
        known: the names that there are.
        alike: least similarity, from 0 to 1.
    """
    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(name.casefold(), name)
    hits = difflib.get_close_matches(given.casefold(), folded, n=3, cutoff=alike)
    return [folded[hit] for hit in hits]


def first_line(error: BaseException) -> str:
    """First line of an error's message, or the name of its type if the message is empty."""
    return str(error).strip().split("\n")[0] or type(error).__name__
