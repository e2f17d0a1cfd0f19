"""Sparse autoencoders.

Each autoencoder has 12 features of 6 random weights each, and is saved by its library's own code; those named
checkpoint are as SAELens leaves them in the middle of training. The difference is the largest one of a feature, or of
the reconstruction, from those that the library computes for 9 activations. The gradient is that of a random combination
of the features along one direction, in float32, against the best of three central finite differences, at activations
where no feature is turned on or off in between, and none jumps.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.parity import ROOT, Row

sys.path.insert(0, str(ROOT / "plugins" / "equidiff-sae" / "tests"))

import sae_families as families
import torch
from equidiff_sae import SparseAutoencoder, load_sae
from safetensors.torch import save_file

from equidiff.errors import WeightsError

LIBRARIES = (*families.PACKAGES.values(), "torch")
NAMES = {"saelens": "SAELens", "saev": "saev"}
STEPS = (1e-2, 3e-3, 1e-3)


def rows() -> Iterator[Row]:
    """A row for each autoencoder that can be read, and for each that cannot."""
    for name in families.MODULES:
        if not families.import_library(name):
            raise SystemExit(f"{name} is not installed; see {families.__file__}")
    for case, make in families.CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            yield _measured(case, make(Path(folder) / case))
    yield from _refused()


def _measured(case: str, made: families.Made) -> Row:
    autoencoder = load_sae(made.path)
    differences = [autoencoder.encode(families.GIVEN) - made.features]
    if made.reconstruction is not None:
        differences.append(autoencoder.reconstruct(families.GIVEN) - made.reconstruction)
    worst = max(float(each.abs().max()) for each in differences)
    return Row(_title(case), _files(made.path), worst, _gradient_error(autoencoder))


def _title(case: str) -> str:
    library, _, rest = case.partition("-")
    return f"{NAMES.get(library, library)} {rest.replace('-', ' ')}"


def _files(path: Path) -> str:
    there = [path] if path.is_file() else sorted(path.iterdir())
    return ", ".join(f"`{each.name}`" for each in there)


def _gradient_error(autoencoder: SparseAutoencoder) -> float:
    stream = torch.Generator().manual_seed(2)
    given = torch.randn(200, families.WIDE, generator=stream)
    direction = torch.randn(given.shape, generator=stream)
    weights = torch.randn(families.MANY, generator=stream)
    here = given.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((autoencoder.encode(here) @ weights).sum(), here)
    slopes = (gradient * direction).sum(dim=1)
    errors = []
    for step in STEPS:
        ahead, now, behind = (autoencoder.encode(given + sign * step * direction) for sign in (1, 0, -1))
        bend, change = (ahead + behind - 2 * now).abs().amax(dim=1), (ahead - behind).abs().amax(dim=1)
        smooth = ((ahead != 0) == (behind != 0)).all(dim=1) & (bend < 0.1 * change)
        measured = (ahead - behind) @ weights / (2 * step)
        errors.append(float((measured - slopes)[smooth].norm() / slopes[smooth].norm()))
    return min(errors)


def _temporal(folder: Path) -> families.Made:
    folder.mkdir()
    save_file({"W_dec": torch.zeros(families.MANY, families.WIDE)}, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps({"architecture": "temporal"}))
    return families.Made(folder, torch.zeros(0), None)


def _refused() -> Iterator[Row]:
    cases: dict[str, Callable[[Path], families.Made]] = {
        "saelens-temporal": _temporal,
        "overcomplete-OMPSAE": families.overcomplete("OMPSAE", k=3),
        "overcomplete-QSAE with hard=True": families.overcomplete("QSAE", hard=True),
        "overcomplete-SAE with encoder mlp_ln_1": families.overcomplete("SAE", encoder_module="mlp_ln_1"),
        "overcomplete-SAE with encoder mlp_bn_3": families.overcomplete("SAE", encoder_module="mlp_bn_3"),
    }
    for case, make in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                load_sae(make(Path(folder) / "sae").path)
            except WeightsError as error:
                yield Row(_title(case), "", refused=error.problem.partition(": ")[2].rstrip("."))
            else:
                raise AssertionError(f"{case} can be read")
