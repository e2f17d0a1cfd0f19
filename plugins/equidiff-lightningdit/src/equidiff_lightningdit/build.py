"""Factory of `lightningdit`, and the part of it that `sit` shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from equidiff.contracts import BuildContext, Generator
from equidiff.errors import UnknownNameError, UsageError
from equidiff_lightningdit.clocks import AUXILIARY, EXPANDED, FORWARD, Clock
from equidiff_lightningdit.consistency import ConsistencyGenerator
from equidiff_lightningdit.generator import STEPS, LightningDiTGenerator
from equidiff_lightningdit.parts import FASHION, Parts, load_parts
from equidiff_lightningdit.published import STUDENTS, TRANSFORMERS
from equidiff_lightningdit.sampler import Guidance, intervals

if TYPE_CHECKING:
    from equidiff_lightningdit.plugin import LightningDiTOptions, SitOptions

FASHION_STEPS = 12
OF_THE_FLOW = ("method", "shift")  # options that a sampler without an integrator cannot take
UNTAUGHT = (
    "The transformer is asked for the label of no class, which FACM's second stage of training never shows it: its "
    "images without a class, and guidance, are those of its first stage at best."
)


def build(argument: str | None, options: LightningDiTOptions, context: BuildContext) -> Generator:
    """Build `lightningdit`.

    Raises:
        UsageError: guidance is set without a class, the method cannot take this many steps, or an option does not
            belong to the sampler or the model.
        UnknownNameError: there is no such model or class.
        WeightsError: the weights cannot be downloaded or read, or do not fit.
    """
    check_guidance(f"lightningdit:{argument or 'xl-800ep'}", options)
    _check_sampler(argument, options)
    jumps = options.sampler == "consistency" or (options.sampler is None and argument in STUDENTS)
    steps = options.steps or (FASHION_STEPS if argument == FASHION else STEPS)
    if jumps:
        _check_consistency(argument, options)
    else:
        intervals(options.method, steps)
    parts = load_parts(
        argument,
        autoencoder=options.autoencoder,
        stats=options.stats,
        multiplier=options.multiplier,
        heads=options.heads,
    )
    clock = AUXILIARY if parts.transformer.config.auxiliary_time else FORWARD
    if clock is FORWARD and (jumps or argument in STUDENTS):
        clock = EXPANDED
    if jumps or (clock is AUXILIARY and options.sampler is None):
        return _consistency(argument, parts, clock, options, context)
    own: dict[str, Any] = {"network": "fashion", "queries": _garments()} if argument == FASHION else {}
    return from_parts(parts, steps, options, context, clock=clock, **own)


def from_parts(
    parts: Parts, steps: int, options: LightningDiTOptions | SitOptions, context: BuildContext, **own: Any
) -> LightningDiTGenerator:
    """Make a generator of its parts with the options that all transformers share; `own` are those of one.

    Raises:
        UnknownNameError: the transformer does not know the class.
    """
    context.weights.extend(record for record in parts.weights if record not in context.weights)
    check_label(options.label, parts.transformer.config.num_classes)
    return LightningDiTGenerator(
        parts,
        device=context.device,
        steps=steps,
        shift=options.shift,
        method=options.method,
        label=options.label,
        guidance=Guidance(options.guidance, options.guidance_start, options.guided_channels),
        recompute=options.checkpoint,
        compiled=options.compile,
        dtype=context.dtype,
        **own,
    )


def check_guidance(spec: str, options: LightningDiTOptions | SitOptions) -> None:
    """Raise for guidance without a class; `spec` is a generator's, without options."""
    if options.label is None and options.guidance > 1:
        raise UsageError(
            "Guidance needs a class.",
            given=f"guidance={options.guidance:g}",
            expected="a class index as well",
            hint=f"{spec},class={'207' if spec.startswith('sit') else '340'},guidance={options.guidance:g}",
        )


def check_label(label: int | None, classes: int) -> None:
    """Raise for a class that the transformer does not know."""
    if label is not None and label >= classes:
        raise UnknownNameError(
            "The transformer was not trained with this class.",
            given=f"class={label}",
            expected=f"an index from 0 to {classes - 1}",
        )


def _consistency(
    argument: str | None, parts: Parts, clock: Clock, options: LightningDiTOptions, context: BuildContext
) -> ConsistencyGenerator:
    """Make the generator of a transformer that knows its flow's mean velocity."""
    _check_consistency(argument, options)
    if options.label is None or options.guidance > 1:
        context.notes.append(UNTAUGHT)
    flow = from_parts(parts, STEPS, options, context, clock=clock)
    return ConsistencyGenerator(flow, options.steps or STUDENTS.get(argument or "", 1))


def _check_sampler(argument: str | None, options: LightningDiTOptions) -> None:
    """Raise for a consistency sampler of a published flow, and for a student without a class."""
    named = argument is None or argument == FASHION or argument in TRANSFORMERS
    if options.sampler == "consistency" and named and argument not in STUDENTS:
        raise UsageError(
            "This model is a flow, and was not trained to jump to its end.",
            given=f"{argument or 'lightningdit'}, sampler=consistency",
            expected=", ".join(STUDENTS) + ", or a file of your own",
            hint="lightningdit:facm,class=340",
        )
    if argument in STUDENTS and options.label is None:
        raise UsageError(
            "FACM needs a class: its last stage of training never showed it the label of no class.",
            given=f"lightningdit:{argument}",
            expected="a class index from 0 to 999 as well",
            hint=f"lightningdit:{argument},class=340",
        )


def _check_consistency(argument: str | None, options: LightningDiTOptions) -> None:
    """Raise for options of the integrator."""
    given = [option for option in OF_THE_FLOW if option in options.model_fields_set]
    if given:
        raise UsageError(
            "The consistency sampler jumps to the end of the flow, and integrates nothing.",
            given=", ".join(f"{option}={getattr(options, option)}" for option in given),
            expected="steps alone",
            hint=f"lightningdit:{argument},class={340 if options.label is None else options.label}",
        )


def _garments() -> list[Image]:
    from equidiff.builtin.generators.fashion import load_queries

    return load_queries()
