"""One run of a pipeline's own call, with its noise, networks and end replaced on a copy of the pipeline."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from diffusers.schedulers.scheduling_utils import SchedulerOutput
from torch import Tensor, nn

from equidiff.errors import UnsupportedError
from equidiff_diffusers.encoded import Make, Replay
from equidiff_diffusers.families import Family
from equidiff_diffusers.frozen import narrowed, precision, recomputed, with_method
from equidiff_diffusers.noise import Noise

DECODERS = ("vae", "movq", "vqvae", "vqgan")


@dataclass(frozen=True)
class Parts:
    """A pipeline that is ready to run.

    Attributes:
        pipeline: the pipeline without its encoders; it is never changed.
        family: that of its class.
        networks: frozen modules by the names of the components.
        prompts: results of the functions that encode prompts.
        arguments: of the call, beside those that depend on the number of rows.
        repeated: arguments that are lists with an entry for each row.
        recompute: recompute the networks in the backward pass.
    """

    pipeline: Any
    family: Family
    networks: Mapping[str, nn.Module]
    prompts: Mapping[str, Sequence[Make]]
    arguments: Mapping[str, Any]
    repeated: Mapping[str, Any]
    recompute: bool = True


@dataclass(frozen=True)
class Span:
    """Part of a sampler's way.

    Attributes:
        state: what the sampler has after `start` steps; None at the beginning.
        start: steps that are left out.
        stop: step before which it ends; None for the image.
        predict: end with what the network predicts at `start`, as the scheduler gets it.
    """

    state: Tensor | None = None
    start: int = 0
    stop: int | None = None
    predict: bool = False


class _Done(Exception):
    """Carries the result out of the pipeline's call."""

    def __init__(self, result: Tensor) -> None:
        super().__init__()
        self.result = result


def few_steps(scheduler: Any) -> int:
    """Steps that suffice to see what a pipeline does: two, and four where Runge-Kutta begins."""
    return 2 if getattr(scheduler.config, "skip_prk_steps", True) else 4


def arguments_for(call: Callable[..., Any], parts: Parts, rows: int, steps: int) -> dict[str, Any]:
    """Arguments of a pipeline's call for this many rows and steps."""
    takes = inspect.signature(call).parameters
    arguments = dict(parts.arguments)
    arguments |= {name: [value] * rows for name, value in parts.repeated.items()}
    arguments |= {"num_inference_steps": steps, "batch_size": rows, "use_resolution_binning": False}
    arguments |= {"use_pe": False, "enable_prompt_rewrite": False}  # by a language model, which would draw words
    if steps != 2:
        arguments["intermediate_timesteps"] = None  # which only two steps have
    return {
        name: value.repeat_interleave(rows, dim=0) if isinstance(value, Tensor) else value
        for name, value in arguments.items()
        if name in takes
    }


@final
class Run:
    """One call of a pipeline.

    Args:
        parts: the pipeline.
        latents: `[rows, *latent_shape]`; None to look for their shape, with one row.
        steps: of the sampler.
        span: part of the way; all of it when absent.
        outputs: what each network returned for one row, which stands for what it would return in steps left out.
        rows: number of rows where there are no latents.
        listen: called with name, method and arguments of each network that is called.

    Attributes:
        noise: what the pipeline drew.
        first: the sampler's first state, as its scheduler got it.
        scheduler: the run's own, with its times set.
        outputs: what each network returned first.
    """

    def __init__(
        self,
        parts: Parts,
        latents: Tensor | None,
        steps: int,
        span: Span | None = None,
        outputs: Mapping[str, Any] | None = None,
        rows: int = 1,
        listen: Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], None] | None = None,
    ) -> None:
        self._parts, self._steps, self._span = parts, steps, span or Span()
        self._rows = rows if latents is None else len(latents)
        self.noise = Noise(latents)
        self.first: Tensor | None = None
        self.scheduler: Any = None
        self.outputs: dict[str, Any] = dict(outputs or {})
        self._listen = listen
        self._step = 0

    def __call__(self) -> Tensor:
        """Call the pipeline, as far as the span reaches.

        Raises:
            UnsupportedError: the call ends elsewhere than its family says.
        """
        pipeline = self._copy()
        call = inspect.unwrap(type(pipeline).__call__)
        try:
            with self.noise:
                call(pipeline, **arguments_for(call, self._parts, self._rows, self._steps))
        except _Done as done:
            return done.result
        raise UnsupportedError(f"{type(pipeline).__name__} ended without an image.")

    def _copy(self) -> Any:
        parts = self._parts
        pipeline = copy.copy(parts.pipeline)
        names = pipeline.__dict__
        for name, module in parts.networks.items():
            method = "decode" if name in DECODERS else "forward"
            names[name] = with_method(module, method, self._network(name, method, module))
        names.update({name: Replay(makes, self._rows) for name, makes in parts.prompts.items()})
        names["scheduler"] = self._scheduler(parts.pipeline.scheduler)
        names.update({name: copy.deepcopy(names[name]) for name in ("guider", "ocr_guider") if names.get(name)})
        if parts.family.exit == "processor":
            names["image_processor"] = copy.copy(parts.pipeline.image_processor)
            names["image_processor"].postprocess = self._postprocess
        names["_progress_bar_config"] = {"disable": True}
        return pipeline

    def _network(self, name: str, method: str, module: nn.Module) -> Callable[..., Any]:
        function = narrowed(getattr(module, method), precision(module))
        decodes = method == "decode"

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            if not decodes and self._step < self._span.start and name in self.outputs:
                return _blank(self.outputs[name], self._rows)
            if "timestep" in kwargs and "hidden_states" in kwargs:
                kwargs["timestep"] = _for_all(kwargs["timestep"], len(kwargs["hidden_states"]))
            call = recomputed if self._parts.recompute else _call
            result = call(function, *args, **kwargs)
            self.outputs.setdefault(name, result)
            if self._listen is not None:
                self._listen(name, function, args, kwargs)
            if decodes and self._parts.family.exit == "decoder":
                image = result if isinstance(result, Tensor) else result[0]
                raise _Done(image / 2 + 0.5 if self._parts.family.signed else image)
            return result

        return run

    def _postprocess(self, image: Tensor, output_type: str = "pil", do_denormalize: Any = None) -> None:
        signed = self._parts.pipeline.image_processor.config.do_normalize
        if do_denormalize is not None:
            signed = all(do_denormalize)
        raise _Done(image / 2 + 0.5 if signed else image)

    def _scheduler(self, scheduler: Any) -> Any:
        scheduler = self.scheduler = copy.deepcopy(scheduler)
        original, span = scheduler.step, self._span

        @functools.wraps(original)
        def step(model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
            index = self._step
            if index == 0:
                self.first = sample
            if index < span.start:
                self._step += 1
                if hasattr(scheduler, "_step_index"):
                    scheduler._step_index = self._step
                after = sample
                if index == span.start - 1 and span.state is not None:
                    after = span.state.repeat(len(sample) // self._rows, *[1] * (sample.ndim - 1))
                return SchedulerOutput(prev_sample=after) if kwargs.get("return_dict", True) else (after,)
            if span.predict:
                raise _Done(model_output[: self._rows])
            result = original(model_output, timestep, sample, *args, **kwargs)
            self._step += 1
            after = result[0]
            if self._step == span.stop:
                raise _Done(after[: self._rows])
            if self._parts.family.exit == "state" and self._step == len(scheduler.timesteps):
                raise _Done(after / 2 + 0.5)
            return result

        scheduler.step = step
        return scheduler


def _for_all(times: Any, count: int) -> Any:
    """A time for each row: PRX's call has one for the rows with the prompt, and one for those without."""
    few = isinstance(times, Tensor) and times.ndim == 1 and 1 < len(times) < count
    return times.repeat_interleave(count // len(times)) if few else times


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def _blank(one: Any, rows: int) -> Any:
    """Zeros in the shape of a network's result for this many rows, from its result for one row."""
    if isinstance(one, Tensor):
        return one.new_zeros(len(one) * rows, *one.shape[1:])
    if isinstance(one, Mapping):
        return type(one)(**{name: _blank(each, rows) for name, each in one.items()})
    if isinstance(one, list):
        return [torch.zeros_like(each) for each in one for _ in range(rows)]
    return tuple(_blank(each, rows) for each in one) if isinstance(one, tuple) else one
