"""Generators, networks and banks that runs of one process share, so that each is loaded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

MOST = {"generator": 1, "network": 2, "bank": 1}  # kept at a time; an older one goes before a new one is loaded


class Shared:
    """What one run after another uses again; the most recent of each kind only, as memory is scarce."""

    def __init__(self) -> None:
        self._kept: dict[str, OrderedDict[Hashable, Any]] = {kind: OrderedDict() for kind in MOST}

    def take(self, kind: str, key: Hashable, make: Callable[[], Any]) -> Any:
        """Make something, unless it is there already.

        Args:
            kind: "generator", "network" or "bank".
            key: everything that it depends on.
            make: makes it.
        """
        kept = self._kept[kind]
        if key in kept:
            kept.move_to_end(key)
            return kept[key]
        if kind == "generator":  # a bank holds the generator that made it
            self._kept["bank"].clear()
        while len(kept) >= MOST[kind]:
            kept.popitem(last=False)
        kept[key] = made = make()
        return made
