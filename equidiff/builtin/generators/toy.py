"""`toy`: small generators that ship with EquiDiff."""

from __future__ import annotations

from equidiff.builtin.generators.descriptors import ToyOptions
from equidiff.contracts import BuildContext, Generator
from equidiff.errors import EquiDiffError, unknown_name

TOYS = ("fashion", "circles")


def build(argument: str | None, options: ToyOptions, context: BuildContext) -> Generator:
    """Build `toy:fashion`, the default, or `toy:circles`.

    Raises:
        UnknownNameError: there is no such toy.
        EquiDiffError: options are given for the circles, which have no sampler.
    """
    toy = argument or "fashion"
    if toy == "fashion":
        from equidiff.builtin.generators.fashion import load_fashion_flow

        return load_fashion_flow(context, options.steps, options.checkpoint)
    if toy != "circles":
        raise unknown_name("toy generator", toy, TOYS, "--generator toy:fashion")
    if options.model_fields_set:
        raise EquiDiffError(
            "toy:circles is a formula without a sampler, so it takes no options.",
            given=", ".join(sorted(options.model_fields_set)),
            hint="--generator toy:circles",
        )
    from equidiff.builtin.generators.circles import Circles

    return Circles()
