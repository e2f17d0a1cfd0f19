"""The file of a sweep: YAML, read as data that somebody else may have written.

Every value is a text, as on the command line, so that `1e-3`, `no` and `010` mean what they mean there. No tag is
constructed, nothing is expanded, and the place of each value is kept for the errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from equidiff.errors import EquiDiffError, UsageError, nearest, one_of

MOST_BYTES = 2**20
DEEPEST = 6  # `runs` holds entries, which hold lists: what is nested deeper is no sweep, and could exhaust the stack
RUNS = "runs"
EXAMPLE = "objective: neuron:block3.0-7"
# the compiled loader, where PyYAML has it: ten times as fast
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Value:
    """A value of the file, as text, and the line on which it stands."""

    text: str
    line: int


Entry = dict[str, list[Value]]  # values by setting; each value of a list is one of the sweep


@dataclass(frozen=True)
class Document:
    """A file that was read.

    Attributes:
        path: of the file.
        text: its content.
        entries: a mapping of settings for each item of `runs`, or a single one without it.
    """

    path: Path
    text: str
    entries: tuple[Entry, ...]

    def place(self, value: Value, setting: str) -> str:
        """The place of a value, for errors."""
        return f"{self.path}, line {value.line}: {setting}: {value.text}"


def read_document(path: Path, settings: list[str]) -> Document:
    """Read the file of a sweep.

    Args:
        path: of the file.
        settings: names of all settings that a run has.

    Raises:
        UsageError: it cannot be read, is no YAML, or says something else than settings and lists of values.
    """
    text = _read_text(path)
    _refuse_tricks(path, text)
    try:
        root = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as error:
        raise _malformed(path, error) from None
    return Document(path, text, tuple(_Reader(path, settings).entries(root)))


def _read_text(path: Path) -> str:
    expected = "a YAML file of settings"
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        problem = f"The file of the sweep cannot be read: {error.strerror or error}"
        raise UsageError(problem, given=path, expected=expected) from None
    if len(content) > MOST_BYTES:
        raise UsageError(
            "The file of the sweep is too large.",
            given=path,
            expected=f"at most {MOST_BYTES // 2**20} MB; a range such as 0-511 stands for many values",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("The file of the sweep is not text in UTF-8.", given=path, expected=expected) from None


def _refuse_tricks(path: Path, text: str) -> None:
    """Refuse aliases, of which a few lines can make millions of values, and deep nesting, before anything is built."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise _error(
                    path,
                    event,
                    "Anchors and aliases are not read in the file of a sweep.",
                    expected=f"the value itself; settings of all runs stand above {RUNS}",
                )
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise _error(path, event, "The file of the sweep is nested too deeply.", expected=EXAMPLE)
    except yaml.YAMLError as error:
        raise _malformed(path, error) from None


@dataclass(frozen=True)
class _Reader:
    """Reads nodes of YAML into entries."""

    path: Path
    settings: list[str]

    def entries(self, root: Any) -> list[Entry]:
        if root is None:
            raise UsageError("The file of the sweep is empty.", given=self.path, expected=EXAMPLE)
        pairs = self._pairs(root, [*self.settings, RUNS])
        runs = pairs.pop(RUNS, None)
        common = {name: self._values(name, node) for name, node in pairs.items()}
        if runs is None:
            return [self._checked(common, root)]
        if not isinstance(runs, yaml.SequenceNode) or not runs.value:
            raise _error(self.path, runs, f"{RUNS} is a list of settings.", expected=f"{RUNS}:\n  - {EXAMPLE}")
        return [self._checked(_joined(common, self._entry(node)), node) for node in runs.value]

    def _entry(self, node: Any) -> Entry:
        return {name: self._values(name, each) for name, each in self._pairs(node, self.settings).items()}

    def _checked(self, entry: Entry, node: Any) -> Entry:
        if "query" in entry and "target" in entry:
            raise _error(
                self.path,
                node,
                "Both a query and a target are given for the same runs.",
                expected=f"one of them, or two entries of {RUNS}",
            )
        return entry

    def _pairs(self, node: Any, known: list[str]) -> dict[str, Any]:
        """Nodes by key; each key is known, and is there once."""
        if not isinstance(node, yaml.MappingNode):
            raise _error(self.path, node, "Settings are written NAME: VALUE.", given=_shown(node), expected=EXAMPLE)
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else _shown(key)
            if name in found:
                raise _error(self.path, key, f"{name!r} is given twice.", expected="one list of all its values")
            if name not in known:
                near = nearest(name, known)
                raise _error(
                    self.path,
                    key,
                    f"A run has no setting {name!r}.",
                    given=name,
                    expected=one_of(known),
                    similar=near,
                    hint=f"{near[0]}: {_shown(value)}" if near else None,
                )
            found[name] = value
        return found

    def _values(self, name: str, node: Any) -> list[Value]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not nodes:
            raise _error(self.path, node, f"The list of {name} is empty.", expected="at least one value")
        return [self._value(name, each) for each in nodes]

    def _value(self, name: str, node: Any) -> Value:
        if not isinstance(node, yaml.ScalarNode):
            hint = f'{name}: ["0.1,0.2"]   # several outputs of one target are one text' if name == "target" else None
            raise _error(
                self.path, node, f"A value of {name} is one word.", given=_shown(node), expected="text or a number",
                hint=hint,
            )  # fmt: skip
        if not node.value.strip():
            raise _error(self.path, node, f"{name} has no value.", expected=f"a value, or no line {name}")
        return Value(node.value, node.start_mark.line + 1)


def _joined(common: Entry, own: Entry) -> Entry:
    """Settings of an entry, in place of those above it; a query and a target stand in for each other."""
    hidden = {"query", "target"} if own.keys() & {"query", "target"} else set()
    return {name: values for name, values in common.items() if name not in hidden} | own


def _shown(node: Any) -> str:
    """A node in a word or two."""
    if isinstance(node, yaml.ScalarNode):
        return node.value if len(node.value) <= 60 else node.value[:59] + "…"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _error(path: Path, where: Any, problem: str, given: str | None = None, **rows: Any) -> EquiDiffError:
    place = f"{path}, line {where.start_mark.line + 1}"
    return UsageError(problem, given=place if given is None else f"{place}: {given}", **rows)


def _malformed(path: Path, error: yaml.YAMLError) -> EquiDiffError:
    mark = getattr(error, "problem_mark", None)
    place = str(path) if mark is None else f"{path}, line {mark.line + 1}, column {mark.column + 1}"
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
    return UsageError(f"The file of the sweep is not YAML: {reason}", given=place, expected=EXAMPLE)
