"""The checks of a sweep that need its models, as little of them as they can do with: units, classes, own queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from equidiff.contracts import BuildContext, Generator, Shared
from equidiff.devices import choose_device, choose_dtype, set_precision
from equidiff.errors import EquiDiffError
from equidiff.registry.build import build_generator
from equidiff.registry.check import check_spec
from equidiff.registry.manager import Plugins
from equidiff.registry.specs import Spec, parse_sum
from equidiff.run.query import load_query
from equidiff.run.settings import Settings
from equidiff.sweep.check import to_settings
from equidiff.sweep.document import Document, Value
from equidiff.sweep.plan import Combination, placed

ON = ("generator", "device", "dtype")  # settings that a generator is built by


def check_models(document: Document, runs: Sequence[Combination], plugins: Plugins, shared: Shared) -> None:
    """Refuse devices, units, classes and queries of a generator's own that do not exist.

    Args:
        document: the file, for the places of its values.
        runs: all of them, checked by `check_runs`.
        plugins: where specs are looked up.
        shared: keeps the models for the runs.

    Raises:
        EquiDiffError: one of them does not exist; the message says on which line it stands.
    """
    for value in _distinct(runs, "device"):
        _at(document, "device", value, lambda text=value.text: choose_device(text))
    groups: dict[tuple[str | None, ...], list[Combination]] = {}
    for run in runs:
        groups.setdefault(tuple(run.settings.get(name) for name in ON), []).append(run)
    for group in groups.values():
        _Group(document, plugins, to_settings(group[0].settings), shared).check(group)


class _Group:
    """Runs of one generator, which is built only where a check needs it."""

    def __init__(self, document: Document, plugins: Plugins, settings: Settings, shared: Shared) -> None:
        self._document, self._plugins, self._spec = document, plugins, str(settings.generator)
        device = choose_device(settings.device)
        dtype = choose_dtype(settings.dtype, device, settings.law != "solve")
        self._alone = BuildContext(device, set_precision(dtype, device), shared=shared)
        self._made: Generator | None = None

    def check(self, runs: Sequence[Combination]) -> None:
        """Check the objectives, and the queries that are indices."""
        groups: dict[tuple[str, str], tuple[Spec, dict[str | None, Value]]] = {}
        for value in _distinct(runs, "objective"):
            for _, spec in parse_sum(value.text):
                _, arguments = groups.setdefault((spec.name, str(Spec("_", None, spec.options))), (spec, {}))
                arguments[spec.argument] = value
        for spec, arguments in groups.values():
            self._check_objective(spec, arguments)
        for value in _distinct(runs, "query"):
            if value.text.strip().lstrip("-").isdecimal():
                _at(self._document, "query", value, lambda text=value.text: load_query(text, self._generator()))

    def _check_objective(self, spec: Spec, arguments: dict[str | None, Value]) -> None:
        offer, options = check_spec(self._plugins, "objective", spec)
        check = self._plugins.check(offer)
        if check is None:
            return
        value = next(iter(arguments.values()))
        try:
            generator = self._generator() if getattr(options, "model", None) is None else None
            context = BuildContext(self._alone.device, self._alone.dtype, generator, shared=self._alone.shared)
            for argument, error in check(list(arguments), options, context):
                value = arguments[argument]
                raise error
        except EquiDiffError as error:
            raise placed(self._document, "objective", value, error) from None

    def _generator(self) -> Generator:
        if self._made is None:
            self._made = build_generator(self._plugins, self._spec, self._alone).component
        return self._made


def _distinct(runs: Iterable[Combination], name: str) -> list[Value]:
    """The values of a setting, each once."""
    found: dict[str, Value] = {}
    for run in runs:
        if name in run.values:
            found.setdefault(run.values[name].text, run.values[name])
    return list(found.values())


def _at(document: Document, name: str, value: Value, check: Callable[[], object]) -> None:
    try:
        check()
    except EquiDiffError as error:
        raise placed(document, name, value, error) from None
