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
from equidiff.registry.manager import Offer, Plugins
from equidiff.registry.specs import Spec, parse_sum, print_sum

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
    """Build a component from a spec string, or accept one that was made in Python.

    Raises:
        EquiDiffError: the spec is malformed or names no known component, or the factory refuses it.
    """
    if kind == "objective" and isinstance(what, ObjectiveFactory):
        return Built(what.build(context), what.spec, dict(what.options))
    if isinstance(what, CONTRACTS[kind]):
        return Built(what, f"<{type(what).__module__}.{type(what).__qualname__}>", {})
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
        raise PluginError(
            f"The {kind} {spec.name!r} of plugin {offer.plugin!r} needs a package that is missing: {error}",
            given=spec,
            hint=f"pip install {error.name}" if error.name else "equidiff doctor",
        ) from error
    except Exception as error:
        raise PluginError(
            f"The {kind} {spec.name!r} of plugin {offer.plugin!r} could not be built: {type(error).__name__}: {error}",
            given=spec,
            hint="--traceback shows where",
        ) from error
    if not isinstance(component, CONTRACTS[kind]):
        raise PluginError(
            f"The factory of {kind} {spec.name!r} returned the wrong type.",
            given=type(component).__name__,
            expected=f"an instance of equidiff.{CONTRACTS[kind].__name__}",
        )
    return Built(component, str(spec), options.model_dump(by_alias=True), (offer,))


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"
