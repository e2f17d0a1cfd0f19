"""A plugin in one file: `equidiff --plugin ./examples/my_plugin.py run --objective symmetry --query 3`."""

from torch import Tensor

from equidiff import Objective
from equidiff.contracts import BuildContext
from equidiff.plugin import Descriptor, Options, hookimpl


class Symmetry(Objective):
    """How far a picture is from its mirror image: the mean squared difference, in per cent of a full swing."""

    names = ("asymmetry",)
    unit = "per cent"

    def measure(self, samples: Tensor) -> Tensor:
        """The asymmetry of pictures `[batch, channels, height, width]`, as `[batch, 1]`."""
        return 100 * (samples - samples.flip(-1)).square().mean(dim=(1, 2, 3))[:, None]


def build(argument: str | None, options: Options, context: BuildContext) -> Objective:
    """Called by EquiDiff when a spec says `symmetry`."""
    return Symmetry()


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """What this file offers."""
    return [Descriptor("symmetry", f"{__name__}:build", "Distance between a picture and its mirror image.")]
