"""Components built from spec strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from equidiff.contracts import (
    Attribution,
    BuildContext,
    Executor,
    Generator,
    Law,
    Objective,
    ObjectiveFactory,
    Regularizer,
    Solver,
)
from equidiff.errors import EquiDiffError, PluginError
from equidiff.registry.check import check_spec
from equidiff.registry.imports import missing_module
from equidiff.registry.manager import Offer, Plugins
from equidiff.registry.specs import Spec, parse_sum, print_sum
from equidiff.registry.trial.component import try_component
from equidiff.registry.trial.source import raised_at

CONTRACTS: dict[str, type] = {
    "attribution": Attribution,
    "generator": Generator,
    "objective": Objective,
    "regularizer": Regularizer,
    "solver": Solver,
    "law": Law,
    "executor": Executor,
}


@dataclass(frozen=True)
class Built:
    """A component and its record in `run.json`.

    Attributes:
        component: the component itself.
        spec: its spec in canonical form; for an object given in Python, its type or its factory's spec, in angle
            brackets.
        options: every option with its value, defaults included.
        offers: the offers of plugins that it was built from.
    """

    component: Any
    spec: str
    options: dict[str, Any]
    offers: tuple[Offer, ...] = ()


def build(plugins: Plugins, kind: str, what: str | Any, context: BuildContext) -> Built:
    """Build a component from a spec string, or accept one that was made in Python; either is tried with two rows.

    Raises:
        EquiDiffError: the spec is malformed or names no known component, the factory refuses it, or the component
            breaks its contract.
    """
    if kind == "objective" and isinstance(what, ObjectiveFactory):
        made = what.build(context)
        try_component(kind, made, f"The {kind} {what.spec}, made in Python,", context)
        return Built(made, what.spec, dict(what.options))
    if isinstance(what, CONTRACTS[kind]):
        spec = f"<{type(what).__module__}.{type(what).__qualname__}>"
        try_component(kind, what, f"The {kind} {spec}, made in Python,", context)
        return Built(what, spec, {})
    if not isinstance(what, str):
        raise EquiDiffError(
            f"This is not {_article(kind)} {kind}.",
            given=repr(what),
            expected=f"a spec string, or an instance of equidiff.{CONTRACTS[kind].__name__}",
        )
    if kind != "objective":
        return _build_one(plugins, kind, Spec.parse(what), context)
    return _build_sum(plugins, parse_sum(what), context)


def build_generator(plugins: Plugins, what: str | Any, context: BuildContext) -> Built:
    """Build a generator as `build` does, or take that of a run before, where its context shares them."""
    if not isinstance(what, str):
        return build(plugins, "generator", what, context)
    return context.share("generator", what, lambda own: build(plugins, "generator", what, own))


def _build_sum(plugins: Plugins, terms: list[tuple[float, Spec]], context: BuildContext) -> Built:
    parts = [_build_one(plugins, "objective", spec, context) for _, spec in terms]
    text = print_sum(terms)
    if len(terms) == 1 and terms[0][0] == 1.0:
        return parts[0]
    from equidiff.registry.weighted_sum import WeightedSum

    weighted = [(weight, part.component) for (weight, _), part in zip(terms, parts, strict=True)]
    options = {part.spec: part.options for part in parts}
    return Built(WeightedSum(weighted), text, options, tuple(offer for part in parts for offer in part.offers))


def _build_one(plugins: Plugins, kind: str, spec: Spec, context: BuildContext) -> Built:
    offer, options = check_spec(plugins, kind, spec)
    factory = plugins.factory(offer)
    try:
        component = factory(spec.argument, options, context)
    except EquiDiffError:
        raise
    except ImportError as error:
        what = f"The {kind} {spec.name!r} of plugin {offer.plugin!r}"
        raise missing_module(f"{what} needs a package that is missing: {error}", str(spec), error) from error
    except Exception as error:
        raise _raised(kind, spec, offer, error) from error
    if not isinstance(component, CONTRACTS[kind]):
        raise PluginError(
            f"The factory of {kind} {spec.name!r} returned the wrong type.",
            given=type(component).__name__,
            expected=f"an instance of equidiff.{CONTRACTS[kind].__name__}",
        )
    try_component(kind, component, f"The {kind} {spec.name!r} of plugin {offer.plugin!r}", context)
    return Built(component, str(spec), options.model_dump(by_alias=True), (offer,))


def _raised(kind: str, spec: Spec, offer: Offer, error: Exception) -> PluginError:
    place = raised_at(error)
    return PluginError(
        f"The {kind} {spec.name!r} of plugin {offer.plugin!r} could not be built: {type(error).__name__}: {error}",
        given=f"{spec}\nraised at {place}" if place else spec,
        expected=f"{offer.descriptor.factory} to return an instance of equidiff.{CONTRACTS[kind].__name__}",
        hint="--traceback shows all of it",
    )


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"
