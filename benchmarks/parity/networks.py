"""Networks beyond timm.

Every network has random weights, saved as its library saves them: for torchvision under the name of the published file,
which its own builder then reads, too. The difference is the largest one of an output from that which the library gives
to the same two images with its own preprocessing: tensors of floats of 50 x 40 pixels, or, for open_clip, which
prepares images of Pillow only, images that fit. The gradient is that of a random combination of the outputs along one
direction against the best of three central finite differences, in float64 for torchvision, and else in float32, where
kinks of ReLU show. The note says how far apart the inputs are where an image of 200 x 160 pixels is read from a file
and resized: the largest difference in steps of an 8-bit image, and the share of the values that differ.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from PIL import Image

from benchmarks.parity import ROOT, Row
from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError
from equidiff.images.convert import quantized, to_image
from equidiff.networks import Network, load_network

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "networks" / "sources")]

import test_open_clip as tiny_clip  # noqa: E402
import test_programs as programs  # noqa: E402
from small_images import make_image  # noqa: E402
from tiny_transformers import save_tiny  # noqa: E402

LIBRARIES = ("torchvision", "transformers", "open_clip_torch", "torch")
SAMPLES = torch.rand(2, 3, 50, 40, generator=torch.Generator().manual_seed(1))
EIGHT_BITS = quantized(torch.rand(2, 3, tiny_clip.SIDE, tiny_clip.SIDE, generator=torch.Generator().manual_seed(3)))
STEPS = {torch.float32: (1e-2, 3e-3, 1e-3), torch.float64: (1e-5, 1e-6, 1e-7)}
ANY = 0.01  # of a step: more is no rounding in float32
TRANSFORMERS = ("vit", "clip", "siglip", "beit", "dinov2", "dinov3", "convnext", "resnet")
TORCHVISION = (
    *("densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet0_5", "mobilenet_v3_small"),
    *("regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vit_b_32"),
)


@dataclass(frozen=True)
class Pair:
    """A network, and the library's own way to its outputs.

    Attributes:
        model: spec of the network.
        library: outputs of the library's code for samples in [0, 1].
        file: inputs that the library makes of an image; None if it has no preprocessing.
        output: what of the network's output is compared.
        options: of the network.
        samples: that are measured.
        precision: in which the gradient is measured.
    """

    model: str
    library: Callable[[torch.Tensor], Any]
    file: Callable[[Image.Image], torch.Tensor] | None = None
    output: Callable[[Any], torch.Tensor] = lambda output: output
    options: tuple[tuple[str, Any], ...] = ()
    samples: torch.Tensor = SAMPLES
    precision: torch.dtype = torch.float32


def rows() -> Iterator[Row]:
    """A row for each network, and for each that is refused."""
    warnings.simplefilter("ignore")  # of torch about tracing and scripting
    for name in TORCHVISION:
        with tempfile.TemporaryDirectory() as folder:
            yield _row("torchvision", name, _torchvision(name, Path(folder)))
    for name in TRANSFORMERS:
        with tempfile.TemporaryDirectory() as folder:
            yield _row("transformers", *_transformers(name, Path(folder)))
    for mode in ("shortest", "longest", "squash"):
        with tempfile.TemporaryDirectory() as folder:
            yield _row("open_clip", f"`CLIP`, resize_mode {mode}", _open_clip(mode, Path(folder)))
    for kind in ("script", "trace", "export"):
        with tempfile.TemporaryDirectory() as folder:
            yield _row("torch", f"a small network, by {kind}", _program(kind, Path(folder)))
    yield from _refused()


def _row(library: str, name: str, pair: Pair) -> Row:
    network = load_network(pair.model, None, BuildContext(), **dict(pair.options))

    def measure(samples: torch.Tensor) -> torch.Tensor:
        return pair.output(network.module(network.prepare(samples)))

    with torch.no_grad():
        difference = float((measure(pair.samples) - pair.library(pair.samples)).abs().max())
    note = _note(network, pair)
    network.module.to(pair.precision)
    prefix = pair.model.partition(":")[0]
    return Row(
        f"{library} {name}", f"`model={prefix}:...`", difference, _gradient_error(measure, pair.precision), note=note
    )


def _gradient_error(measure: Callable[[torch.Tensor], torch.Tensor], precision: torch.dtype) -> float:
    stream = torch.Generator().manual_seed(2)
    samples, direction = SAMPLES.to(precision), torch.randn(SAMPLES.shape, generator=stream).to(precision)
    here = samples.clone().requires_grad_()
    outputs = measure(here)
    weights = torch.randn(outputs.shape, generator=stream).to(precision)
    (gradient,) = torch.autograd.grad((outputs * weights).sum(), here)
    slope = float((gradient * direction).sum())
    errors = []
    with torch.no_grad():
        for step in STEPS[precision]:
            ahead, behind = ((measure(samples + sign * step * direction) * weights).double().sum() for sign in (1, -1))
            errors.append(abs(float(ahead - behind) / (2 * step) - slope) / abs(slope))
    return min(errors)


def _note(network: Network, pair: Pair) -> str:
    if pair.file is None:
        return ""
    image = make_image()
    scale = network.prepare(torch.ones(1, *network.sample_shape)) - network.prepare(
        torch.zeros(1, *network.sample_shape)
    )
    apart = (network.prepare_image(image) - pair.file(image)).abs() / scale.abs() * 255
    return f"file: {float(apart.max()):.1f} steps, {float((apart > ANY).float().mean()):.2%} of the values"


def _torchvision(name: str, folder: Path) -> Pair:
    os.environ["TORCH_HOME"] = str(folder)
    torch.manual_seed(0)
    arguments = {"init_weights": False, "aux_logits": True} if name in ("googlenet", "inception_v3") else {}
    weights = torchvision.models.get_model_weights(name).DEFAULT
    path = folder / "hub" / "checkpoints" / weights.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    state = torchvision.models.get_model(name, **arguments).state_dict()
    for value in state.values():
        if value.ndim > 1 and not value.any():  # a fresh head of a transformer gives zeros to everything
            value.normal_(std=0.02)
    torch.save(state, path)
    module, transform = torchvision.models.get_model(name, weights=weights).eval(), weights.transforms()
    return Pair(
        f"torchvision:{name}",
        lambda samples: module(transform(samples)),
        lambda image: transform(image)[None],
        precision=torch.float64,
    )


def _transformers(name: str, folder: Path) -> tuple[str, Pair]:
    module, processor = save_tiny(name, folder)

    def pixels(images: Any) -> torch.Tensor:
        return processor(images=images, return_tensors="pt")["pixel_values"]

    def library(samples: torch.Tensor) -> torch.Tensor:
        inputs = pixels(samples * 255)
        if hasattr(module, "get_image_features"):
            return module.get_image_features(inputs).pooler_output
        return _first(module(inputs))

    return f"`{type(module).__name__}`", Pair(f"hf:{folder}", library, pixels, _first)


def _first(output: Any) -> torch.Tensor:
    """Logits, projected embedding, pooled embedding or last tokens, of those that there are."""
    names = ("logits", "image_embeds", "pooler_output", "last_hidden_state")
    return next(output[name] for name in names if output.get(name) is not None)


def _open_clip(mode: str, folder: Path) -> Pair:
    """open_clip prepares images of Pillow only, so the two samples are images that need no resizing."""
    model, preprocess = tiny_clip.save(folder / "tiny", mode)

    def library(samples: torch.Tensor) -> torch.Tensor:
        return model.encode_image(torch.stack([preprocess(to_image(sample)) for sample in samples]))

    return Pair(f"open_clip:{folder / 'tiny'}", library, lambda image: preprocess(image)[None], samples=EIGHT_BITS)


def _program(kind: str, folder: Path) -> Pair:
    torch.manual_seed(0)
    module, side = programs.Small().eval(), programs.SIDE
    if kind == "export":
        programs.export(module, folder / "net.pt2", **programs.DYNAMIC)
        spec = f"exported:{folder / 'net.pt2'}"
    else:
        programs.save_script(module, folder / "net.pt", kind)
        spec = f"torchscript:{folder / 'net.pt'}"
    network = load_network(spec, None, BuildContext(), size=side)
    return Pair(spec, lambda samples: module(network.prepare(samples)), options=(("size", side),))


def _refused() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("mae", "videomae", "bert"):
            module, _ = save_tiny(name, Path(folder) / name)
            yield _refusal("transformers", f"`{type(module).__name__}`", f"hf:{folder}/{name}")
    for name in ("fcn_resnet50", "fasterrcnn_resnet50_fpn", "raft_small", "r3d_18"):
        yield _refusal("torchvision", f"`{name}`", f"torchvision:{name}")
    yield _refusal("open_clip", "`ViT-B-32`, weights of OpenAI", "open_clip:ViT-B-32", pretrained="openai")


def _refusal(library: str, which: str, model: str, **options: Any) -> Row:
    try:
        load_network(model, None, BuildContext(), **options)
    except EquiDiffError as error:
        return Row(library, which, refused=error.problem.replace(model, "the network").rstrip("."))
    raise AssertionError(f"{model} can be loaded")
