"""The `equidiff plugins` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from equidiff.cli.options import Json, Plain, PluginFiles, Traceback
from equidiff.folders.text import to_json

if TYPE_CHECKING:
    from equidiff.registry.manager import Plugin


def plugins(
    context: typer.Context,
    as_json: Json = False,
    plugin: PluginFiles = None,
    plain: Plain = False,
    traceback: Traceback = False,
) -> None:
    """List the plugins and the components that each offers."""
    terminal = context.obj.terminal
    found = context.obj.plugins(plugin).plugins
    if as_json:
        terminal.json(to_json([_as_dict(each) for each in found], indent=2))
        return
    rows = [(each.name, each.version or each.source, each.problem or _offers(each)) for each in found]
    terminal.table(("plugin", "version", "offers"), rows, [each.problem is not None for each in found])


def _names(plugin: Plugin) -> dict[str, list[str]]:
    from equidiff.registry.descriptors import KINDS

    names = {kind: [offer.descriptor.name for offer in plugin.offers if offer.kind == kind] for kind in KINDS}
    return {kind: own for kind, own in names.items() if own}


def _offers(plugin: Plugin) -> str:
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in _names(plugin).items())


def _as_dict(plugin: Plugin) -> dict[str, object]:
    about: dict[str, object] = {
        "name": plugin.name,
        "version": plugin.version,
        "source": plugin.source,
        "offers": _names(plugin),
    }
    return about if plugin.problem is None else {**about, "problem": plugin.problem}
