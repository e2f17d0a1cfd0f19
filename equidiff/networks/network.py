"""A network, as objectives see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from PIL.Image import Image
from torch import Tensor, nn

from equidiff.errors import QueryError
from equidiff.images.convert import image_to_tensor
from equidiff.types import Samples


@final
@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A frozen network in evaluation mode, float32, together with its preprocessing and the names of its classes.

    Attributes:
        module: maps prepared inputs to logits `[batch, outputs]`; one output is one logit, for the last class. Its
            parameters do not require gradients.
        name: as the user typed it ("fashion", "resnet50", "hf:REPOSITORY"), or that of the module's class.
        device: device of the module and of prepared images.
        sample_shape: shape of a sample at the network's own size, e.g. `(3, 224, 224)`.
        prepare: maps samples `[batch, channels, height, width]` of any size, nominally in [0, 1] (or points
            `[batch, 2]`), to inputs of `module`, as in the network's own evaluation; differentiable, and on the
            samples' own device. Files and samples alike go through it.
        names: all names of every class, the one to show first; None if the classes have no known names.
        head: dotted name of the final linear layer; None if there is not exactly one.
        resizes: `prepare` takes images of any size and gives inputs of the network's own.
        channels_last: feature maps whose shape is ambiguous are `[batch, height, width, channels]`.
        classifies: its outputs may be logits; False for an encoder.
        class_token: its token sequences begin with a class token; None where that is not known.
    """

    module: nn.Module
    name: str
    device: str
    sample_shape: tuple[int, ...]
    prepare: Callable[[Samples], Tensor]
    names: tuple[tuple[str, ...], ...] | None = None
    head: str | None = None
    channels_last: bool = False
    resizes: bool = True
    classifies: bool = True
    class_token: bool | None = None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """One name for each class, as shown in results; None if the classes have no known names."""
        return None if self.names is None else tuple(names[0] for names in self.names)

    def logits(self, inputs: Tensor) -> Any:
        """The module's output for prepared inputs; of an output with several parts, the one named `logits`."""
        output = self.module(inputs)
        part = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
        return output if part is None else part

    def prepare_image(self, image: Image) -> Tensor:
        """Prepare an image of any mode and size: inputs `[1, ...]`, on the network's device.

        Raises:
            QueryError: the network does not take images.
        """
        if len(self.sample_shape) != 3:
            raise QueryError(
                f"{self.name} classifies samples of shape {self.sample_shape}, not images.",
                given=f"an image of {image.width}x{image.height}",
                expected="--query INDEX, or --target",
            )
        mode = "L" if self.sample_shape[0] == 1 else "RGB"
        return self.prepare(image_to_tensor(image.convert(mode)).to(self.device))

    def probe(self, count: int) -> Tensor:
        """Prepare `count` grey samples, to find out shapes."""
        return self.prepare(torch.full((count, *self.sample_shape), 0.5, device=self.device))
