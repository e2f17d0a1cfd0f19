"""Preparation of a pipeline: its networks frozen, its prompts encoded, the arguments of its call chosen."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from equidiff.errors import EquiDiffError, UnknownNameError, UsageError, first_line, unknown_name
from equidiff_diffusers.encoded import Make, Recorder, for_any_rows
from equidiff_diffusers.families import Family, family
from equidiff_diffusers.frozen import freeze, with_method
from equidiff_diffusers.generator import DiffusersGenerator
from equidiff_diffusers.noise import Noise
from equidiff_diffusers.run import Parts, arguments_for, few_steps

SIDES = 32  # multiples of this are good for each pipeline that has one size for all networks
MOST_STEPS = 20  # unless asked for more
ENCODERS = ("text_encoder", "image_encoder", "safety_checker", "bert", "prior_", "watermark")  # beginnings of names


@dataclass(frozen=True)
class Wish:
    """Choices of the user; None leaves them to the pipeline.

    Attributes:
        prompt: description of the image.
        negative: description of what to avoid.
        guidance: scale of guidance.
        label: index or name of a class.
        steps: sampler steps.
        size: height and width in pixels.
        recompute: recompute the networks in the backward pass.
        call: other arguments of the pipeline's call; tensors have one row.
    """

    prompt: str | None = None
    negative: str | None = None
    guidance: float | None = None
    label: int | str | None = None
    steps: int | None = None
    size: tuple[int, int] | None = None
    recompute: bool = True
    call: Mapping[str, Any] = field(default_factory=dict[str, Any])


class _Encoded(Exception):
    """The prompts are encoded."""


def prepare(pipeline: Any, wish: Wish) -> DiffusersGenerator:
    """Make a generator of a pipeline, which stays as it is.

    Raises:
        UnsupportedError: pipelines of its class are not supported.
        UsageError: it does not take one of the arguments.
    """
    kind = family(type(pipeline).__name__)
    call = inspect.unwrap(type(pipeline).__call__)
    takes = inspect.signature(call).parameters
    arguments, repeated = _arguments(pipeline, kind, takes, wish)
    networks = {name: freeze(each) for name, each in pipeline.components.items() if _is_network(name, each)}
    parts = Parts(pipeline, kind, networks, {}, arguments, repeated, wish.recompute)
    try:
        parts = replace(parts, prompts=_encode(parts, call), pipeline=_without_encoders(pipeline, networks))
        return DiffusersGenerator(parts, wish.steps or _own_steps(takes))
    except EquiDiffError:
        raise
    except (TypeError, ValueError) as error:  # so pipelines refuse sizes, steps and prompts
        raise UsageError(
            f"The pipeline refuses its arguments: {first_line(error)}", given=type(pipeline).__name__
        ) from error


def _arguments(
    pipeline: Any, kind: Family, takes: Mapping[str, inspect.Parameter], wish: Wish
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments that do not depend on the number of rows, and those with an entry for each row."""
    _check(pipeline, kind, takes, wish)
    arguments: dict[str, Any] = {"return_dict": False, **wish.call}
    repeated: dict[str, Any] = {}
    if "prompt" in takes:
        (arguments if kind.once else repeated)["prompt"] = wish.prompt or ""
    if wish.negative is not None:
        (arguments if kind.once else repeated)["negative_prompt"] = wish.negative
    if kind.classes:
        label = _label(pipeline, wish.label)
        repeated |= {} if label is None else {"class_labels": label}
    size = wish.size or _own_size(pipeline, takes)
    if size is not None:
        arguments |= {"height": size[0], "width": size[1]}
    if kind.guidance is not None:
        scale = wish.guidance
        if scale is None and not (wish.prompt or wish.negative or wish.label is not None or wish.call):
            scale = kind.off  # it would lead from the empty prompt to the empty prompt
        arguments |= {} if scale is None else {kind.guidance: scale}
    return arguments, repeated


def _check(pipeline: Any, kind: Family, takes: Mapping[str, inspect.Parameter], wish: Wish) -> None:
    """Refuse options that the pipeline does not have."""
    has = {
        "prompt": "prompt" in takes,
        "negative": "negative_prompt" in takes and kind.negative,
        "guidance": kind.guidance is not None,
        "label": kind.classes,
        "size": "height" in takes,
    }
    wrong = [name for name, there in has.items() if not there and getattr(wish, name) is not None]
    if wrong:
        names = ["class" if name == "label" else name for name in wrong]
        raise UsageError(
            f"A {type(pipeline).__name__} has no such option.",
            given=", ".join(f"{name}={getattr(wish, field)}" for name, field in zip(names, wrong, strict=True)),
            expected=", ".join(("class" if name == "label" else name) for name, there in has.items() if there)
            or "steps and scheduler alone",
        )
    unknown = [name for name in wish.call if name not in takes]
    if unknown:
        raise UsageError(f"The call of {type(pipeline).__name__} takes no {unknown[0]}.", expected=", ".join(takes))


def _label(pipeline: Any, given: int | str | None) -> int | None:
    """Index of a class; that of no class in a DiT, and None for a model without classes."""
    network = pipeline.components.get("transformer") or pipeline.components["unet"]
    count = getattr(network.config, "num_embeds_ada_norm", None) or getattr(network.config, "num_class_embeds", None)
    if given is None:
        if count is not None and "transformer" not in pipeline.components:
            raise UsageError("This model needs a class.", expected=f"class=INDEX, from 0 to {count - 1}")
        return count
    if isinstance(given, str) and not given.lstrip("-").isdigit():
        labels = getattr(pipeline, "labels", None) or {}
        if labels and given not in labels:
            raise unknown_name("class", given, labels, "class=INDEX")
        if not labels:
            raise UnknownNameError(
                "The model names none of its classes.",
                given=f"class={given}",
                expected="no class" if count is None else f"an index from 0 to {count - 1}",
            )
        return int(labels[given])
    if count is None or not 0 <= int(given) < count:
        raise UnknownNameError(
            "The model was not trained with this class.",
            given=f"class={given}",
            expected="no class" if count is None else f"an index from 0 to {count - 1}",
        )
    return int(given)


def _own_size(pipeline: Any, takes: Mapping[str, inspect.Parameter]) -> tuple[int, int] | None:
    """Size of the images that the networks were trained on, where the call has one size for all networks; else None."""
    if "height" not in takes:
        return None
    parts = pipeline.components
    side, decoded = (
        getattr(getattr(part, "config", None), "sample_size", None)
        for part in (parts.get("transformer") or parts.get("unet"), parts.get("vae"))
    )
    factor = getattr(pipeline, "vae_scale_factor", None) or getattr(pipeline, "movq_scale_factor", None)
    pixels = None
    if side is None:
        pixels = decoded
    elif factor and isinstance(side, int) and isinstance(takes["height"].default, int):
        pixels = side * factor
    return (math.ceil(pixels / SIDES) * SIDES,) * 2 if isinstance(pixels, int) else None


def _own_steps(takes: Mapping[str, inspect.Parameter]) -> int:
    own = takes["num_inference_steps"].default
    return min(own, MOST_STEPS) if isinstance(own, int) else MOST_STEPS


@torch.no_grad()
def _encode(parts: Parts, call: Callable[..., Any]) -> dict[str, list[Make]]:
    """Encode the prompts as the call does, for one row and for two."""
    if not parts.family.encode or "prompt" not in inspect.signature(call).parameters:
        return {}
    one, two = ({name: each.results for name, each in _record(parts, call, rows).items()} for rows in (1, 2))
    return {
        name: [for_any_rows(*pair) for pair in zip(results, two[name], strict=True)] for name, results in one.items()
    }


def _record(parts: Parts, call: Callable[..., Any], rows: int) -> dict[str, Recorder]:
    """Run the call up to the first network, and keep the results of the functions that encode."""

    def stop(*_args: Any, **_kwargs: Any) -> None:
        raise _Encoded

    pipeline = copy.copy(parts.pipeline)
    recorders = {name: Recorder(getattr(pipeline, name)) for name in parts.family.encode}
    pipeline.__dict__.update(recorders)
    pipeline.__dict__.update({name: with_method(each, "forward", stop) for name, each in parts.networks.items()})
    pipeline.__dict__["scheduler"] = copy.deepcopy(parts.pipeline.scheduler)
    pipeline.__dict__["_progress_bar_config"] = {"disable": True}
    with suppress(_Encoded), Noise():
        call(pipeline, **arguments_for(call, parts, rows, few_steps(parts.pipeline.scheduler)))
    return recorders


def _without_encoders(pipeline: Any, networks: Mapping[str, nn.Module]) -> Any:
    """A copy of the pipeline that has the frozen networks, and holds no encoders in memory."""
    light = copy.copy(pipeline)
    parts = {name: networks.get(name) for name, each in pipeline.components.items() if isinstance(each, nn.Module)}
    light.__dict__.update(parts)
    return light


def _is_network(name: str, part: Any) -> bool:
    return isinstance(part, nn.Module) and not name.startswith(ENCODERS)
