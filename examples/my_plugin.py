"""A plugin in one file: `equidiff --plugin ./examples/my_plugin.py run --objective symmetry --query 3`."""

from torch import Tensor

from equidiff import Objective
from equidiff.contracts import BuildContext
from equidiff.plugin import Descriptor, Options, hookimpl


class Symmetry(Objective):
    """Distance of an image from its mirror image: the mean squared difference, in per cent of the largest possible."""

    names = ("asymmetry",)
    unit = "per cent"

    def measure(self, samples: Tensor) -> Tensor:
        """Asymmetry of images `[batch, channels, height, width]`, as `[batch, 1]`."""
        return 100 * (samples - samples.flip(-1)).square().mean(dim=(1, 2, 3))[:, None]


def build(argument: str | None, options: Options, context: BuildContext) -> Objective:
    """Build `symmetry`."""
    return Symmetry()


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """The components of this file."""
    return [Descriptor("symmetry", f"{__name__}:build", "Distance between an image and its mirror image.")]
