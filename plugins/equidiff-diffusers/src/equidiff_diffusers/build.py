"""`diffusers:PATH_OR_HUB_ID`: from a spec, or a pipeline in memory, to a generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from equidiff.contracts import BuildContext, Generator
from equidiff.errors import SpecError, UsageError
from equidiff_diffusers.find import EXPECTED, find_folder
from equidiff_diffusers.load import load_pipeline
from equidiff_diffusers.lora import add_lora
from equidiff_diffusers.prepare import Wish, prepare
from equidiff_diffusers.schedulers import check_scheduler, with_scheduler

if TYPE_CHECKING:
    from equidiff_diffusers.plugin import DiffusersOptions


def build(argument: str | None, options: DiffusersOptions, context: BuildContext) -> Generator:
    """Build `diffusers`: find the folder, load its pipeline, encode the prompt.

    Raises:
        SpecError: there is no argument.
        UsageError: the pipeline does not take one of the options.
        UnknownNameError: the argument is neither a folder nor a hub id.
        UnsupportedError: the pipeline or its scheduler is not supported.
        WeightsError: files cannot be downloaded, are missing or damaged, or come with code of their own.
    """
    if not argument:
        raise SpecError("No pipeline is named.", given="diffusers", expected=EXPECTED, hint="diffusers:./FOLDER")
    folder = find_folder(argument, options.variant)
    pipeline = load_pipeline(folder, options.dtype, options.variant, context)
    if options.lora is not None:
        add_lora(pipeline, options.lora, options.lora_scale, context)
    pipeline.to(context.device)
    if options.scheduler is not None:
        pipeline.scheduler = with_scheduler(pipeline, options.scheduler)
    check_scheduler(pipeline)
    return prepare(pipeline, _wish(options))


def from_pipeline(
    pipeline: Any,
    *,
    prompt: str | None = None,
    negative: str | None = None,
    guidance: float | None = None,
    label: int | str | None = None,
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    checkpoint: bool = True,
    call: Mapping[str, Any] | None = None,
) -> Generator:
    """Make a generator of a pipeline in memory, which stays as it is, and where it is.

    Args:
        pipeline: a DiffusionPipeline.
        prompt: description of the image.
        negative: description of what to avoid.
        guidance: scale of guidance, as the pipeline means it.
        label: index or name of a class.
        steps: sampler steps; the pipeline's own number when None, but at most 20.
        size: side of the image in pixels, or height and width.
        checkpoint: recompute each network in the backward pass, to save memory.
        call: other arguments of the pipeline's call, such as `image_embeds`; tensors have one row.

    Raises:
        UsageError: this is not a pipeline, or it does not take one of the arguments.
        UnsupportedError: the pipeline or its scheduler is not supported.
    """
    from diffusers import DiffusionPipeline

    if not isinstance(pipeline, DiffusionPipeline):
        raise UsageError(
            "This is not a pipeline of diffusers.", given=type(pipeline).__name__, expected="a DiffusionPipeline"
        )
    sides = (size, size) if isinstance(size, int) else size
    check_scheduler(pipeline)
    return prepare(pipeline, Wish(prompt, negative, guidance, label, steps, sides, checkpoint, call or {}))


def _wish(options: DiffusersOptions) -> Wish:
    sides = None if options.size is None else [int(side) for side in options.size.split("x")]
    return Wish(
        prompt=options.prompt,
        negative=options.negative,
        guidance=options.guidance,
        label=options.label,
        steps=options.steps,
        size=None if sides is None else (sides[0], sides[-1]),
        recompute=options.checkpoint,
    )
