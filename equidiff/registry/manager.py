"""Discovery of plugins and their components: the only module that uses pluggy.

A plugin that cannot be loaded, or whose hook raises, costs one line in `equidiff plugins`, never the tool.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from equidiff.errors import EquiDiffError, PluginError, unknown_name
from equidiff.folders.code import import_file
from equidiff.registry import hookspecs
from equidiff.registry.descriptors import KINDS, Descriptor, Published
from equidiff.registry.imports import import_error, install_hint, similar_modules
from equidiff.registry.trial.source import raised_at

GROUP = "equidiff"
FROM_FILE = "a file"  # in the place of a version, for a plugin that is one file


@dataclass(frozen=True)
class Offer:
    """A descriptor, the plugin that it comes from, and the distribution (or file) of that plugin."""

    kind: str
    plugin: str
    distribution: str
    descriptor: Descriptor


@dataclass
class Plugin:
    """A plugin that was found; if it cannot be used, `problem` says why."""

    name: str
    version: str = ""
    source: str = ""
    offers: list[Offer] = field(default_factory=list)
    problem: str | None = None


class Plugins:
    """The plugins of one process.

    Args:
        entry_points: the entry points to load; by default, those installed in the group "equidiff".
        files: one-file plugins, by path. Their code is executed.
    """

    def __init__(
        self, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None, files: Iterable[Path] = ()
    ) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        if entry_points is None:
            entry_points = importlib.metadata.entry_points(group=GROUP)
        for path in files:
            self._add_file(path)
        for entry_point in sorted(entry_points, key=lambda entry: (entry.name != "builtin", entry.name)):
            self._add_entry_point(entry_point)

    def offers(self, kind: str) -> list[Offer]:
        """List all components of one kind, in the order in which their plugins were found."""
        if kind not in KINDS:
            raise unknown_name("kind of component", kind, KINDS)
        return [offer for plugin in self.plugins for offer in plugin.offers if offer.kind == kind]

    def find(self, kind: str, name: str) -> Offer:
        """Find the component of a kind and name.

        Raises:
            UnknownNameError: there is none; the message shows the nearest names and the plugins that failed to load.
            PluginError: two plugins offer the same name.
        """
        offers = self.offers(kind)
        hits = [offer for offer in offers if offer.descriptor.name == name]
        if len(hits) > 1:
            raise PluginError(
                f"{len(hits)} plugins offer {_article(kind)} named {name!r}.",
                given=", ".join(hit.plugin for hit in hits),
                expected="one",
                hint="give one of them another name, or uninstall its plugin",
            )
        if not hits:
            broken = [f"{plugin.name} ({plugin.problem})" for plugin in self.plugins if plugin.problem]
            hint = "equidiff plugins" + (f"   # could not be loaded: {'; '.join(broken)}" if broken else "")
            raise unknown_name(kind, name, [offer.descriptor.name for offer in offers], hint)
        return hits[0]

    def prefer(self, name: str) -> Plugin:
        """A plugin by its name; components of others that have the names of its own are left out from now on."""
        chosen = next(plugin for plugin in self.plugins if plugin.name == name)
        own = {(offer.kind, offer.descriptor.name) for offer in chosen.offers}
        for plugin in self.plugins:
            if plugin is not chosen:
                plugin.offers = [each for each in plugin.offers if (each.kind, each.descriptor.name) not in own]
        return chosen

    def factory(self, offer: Offer) -> Callable[..., Any]:
        """Import the factory that a descriptor names.

        Raises:
            PluginError: the module or the function cannot be imported; the message names the plugin.
        """
        return self._load(offer, offer.descriptor.factory)

    def published(self, offer: Offer) -> Callable[..., Published | None]:
        """Import the function that tells which files a component takes from a hub.

        Raises:
            PluginError: it cannot be imported; the message names the plugin.
        """
        return self._load(offer, offer.descriptor.published)

    def check(self, offer: Offer) -> Callable[..., Iterable[tuple[str | None, EquiDiffError]]] | None:
        """Import the function that says which arguments cannot be built; None where the descriptor has none.

        Raises:
            PluginError: it cannot be imported; the message names the plugin.
        """
        return self._load(offer, offer.descriptor.check) if offer.descriptor.check else None

    def listing(self, offer: Offer) -> tuple[Sequence[str], list[Sequence[object]]] | None:
        """Column names and rows of the table of choices; None where the descriptor has no listing.

        Raises:
            PluginError: the function cannot be imported; the message names the plugin.
            EquiDiffError: the function cannot list them.
        """
        path = offer.descriptor.listing
        if not path:
            return None
        columns, rows = self._load(offer, path)()
        return columns, list(rows)

    def _load(self, offer: Offer, path: str) -> Callable[..., Any]:
        module, _, function = path.partition(":")
        try:
            return getattr(importlib.import_module(module), function)
        except Exception as error:
            what = f"The {offer.kind} {offer.descriptor.name!r} of plugin {offer.plugin!r}"
            raise import_error(what, path, error) from error

    def _add_entry_point(self, entry_point: importlib.metadata.EntryPoint) -> None:
        distribution = entry_point.dist
        plugin = Plugin(
            entry_point.name,
            distribution.version if distribution else "",
            distribution.name if distribution else entry_point.value,
        )
        self._add(plugin, entry_point.load)

    def _add_file(self, path: Path) -> None:
        if not path.is_file():
            raise PluginError(
                "The plugin file does not exist.", given=path, expected="a Python file with a hook implementation"
            )
        plugin = Plugin(path.stem, source=str(path))
        self._add(plugin, lambda: import_file(path))
        if plugin.problem:  # the user named this file: silence would hide the mistake
            raise PluginError(f"The plugin file cannot be used: {plugin.problem}", given=path, hint="--traceback")

    def _add(self, plugin: Plugin, load: Callable[[], ModuleType]) -> None:
        self.plugins.append(plugin)
        registered = None
        try:
            module = load()
            registered = self._manager.register(module, name=f"{plugin.name}@{plugin.source}")
            self._manager.check_pending()
            plugin.offers = list(self._collect(module, plugin))
            if not plugin.offers:
                plugin.problem = "it offers no components (no function is marked with @hookimpl)"
        except (Exception, SystemExit) as error:
            plugin.problem = _in_one_line(error)
            if registered:
                self._manager.unregister(name=registered)

    def _collect(self, module: ModuleType, plugin: Plugin) -> Iterable[Offer]:
        """Call the hooks of this plugin alone, so that a failure of another plugin does not affect it."""
        others = [each for each in self._manager.get_plugins() if each is not module]
        for kind in KINDS:
            caller = self._manager.subset_hook_caller(f"equidiff_{kind}s", others)
            for descriptors in caller():
                for descriptor in _descriptors(f"equidiff_{kind}s", descriptors):
                    yield Offer(kind, plugin.name, plugin.source, descriptor)


def _descriptors(hook: str, returned: object) -> list[Descriptor]:
    """The descriptors that a hook returned.

    Raises:
        TypeError: it returned something else.
    """
    wanted = "write: return [Descriptor(...)]"
    if not isinstance(returned, Iterable) or isinstance(returned, str):
        raise TypeError(f"{hook}() returned {_article(type(returned).__name__)}, not a list of descriptors; {wanted}")
    found = list(returned)
    for each in found:
        if not isinstance(each, Descriptor):
            raise TypeError(
                f"{hook}() returned a list with {_article(type(each).__name__)}, not a Descriptor, in it; {wanted}"
            )
    return found


def _article(name: str) -> str:
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _in_one_line(error: BaseException) -> str:
    text = error.problem if isinstance(error, EquiDiffError) else str(error)
    place = None if isinstance(error, SyntaxError) else raised_at(error, plugins_only=True)
    at = "" if place is None else f" (at {place})"
    if isinstance(error, ModuleNotFoundError) and error.name:
        near = similar_modules(error.name)
        at += f"; did you mean {near[0]}?" if near else f"; try: {install_hint(error.name)}"
    return f"{type(error).__name__}: {' '.join(text.split()) or 'no message'}{at}"
