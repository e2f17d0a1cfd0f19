"""Specs checked against what plugins offer, without building anything."""

from __future__ import annotations

from equidiff.registry.descriptors import Options
from equidiff.registry.manager import Offer, Plugins
from equidiff.registry.options import check_argument, read_options
from equidiff.registry.specs import Spec, parse_sum


def check_spec(plugins: Plugins, kind: str, spec: Spec) -> tuple[Offer, Options]:
    """The offer that a spec names, and its options.

    Raises:
        EquiDiffError: there is no such component, it takes no argument, or an option does not exist or is invalid.
    """
    offer = plugins.find(kind, spec.name)
    check_argument(kind, offer.descriptor, spec)
    return offer, read_options(offer.descriptor, spec)


def check_text(plugins: Plugins, kind: str, text: str) -> list[Spec]:
    """The specs of a text that a user typed: one, or the terms of an objective's sum.

    Raises:
        EquiDiffError: the text is malformed, or as `check_spec` raises it.
    """
    specs = [spec for _, spec in parse_sum(text)] if kind == "objective" else [Spec.parse(text)]
    for spec in specs:
        check_spec(plugins, kind, spec)
    return specs
