"""Image towers of open_clip, by name and tag, from a folder or a repository, or with a local checkpoint."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from equidiff.contracts import Weights
from equidiff.errors import UnsupportedError, UsageError, WeightsError, first_line, unknown_name
from equidiff.images.convert import to_channels
from equidiff.networks.checkpoints import hash_weights, read_weights, weights_files
from equidiff.networks.hub import find_file, find_snapshot
from equidiff.networks.libraries import without_logging
from equidiff.networks.network import Network
from equidiff.networks.pillow import PillowResizing
from equidiff.networks.request import Request
from equidiff.networks.sources.building import CLASS_TOKENS, finish, normalize, per_channel, require
from equidiff.types import Samples

HUB = "hf-hub:"
CONFIG = "open_clip_config.json"
FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclasses.dataclass(frozen=True)
class _Place:
    """A model of open_clip.

    Attributes:
        name: as `open_clip.create_model` takes it.
        weights: its weights file; None without weights.
        record: of that file.
        preprocessing: settings that the tag of the weights has.
    """

    name: str
    weights: Path | None
    record: Weights | None
    preprocessing: Mapping[str, Any]


def load(request: Request) -> Network:
    """Load the image tower of a model with its own preprocessing; the part for texts is not kept.

    Raises:
        UnknownNameError: there is no such model, or no such weights of it.
        UsageError: it is not said which weights are meant.
        UnsupportedError: the weights were trained with another activation function.
        WeightsError: the files cannot be obtained or read, or do not fit.
        PluginError: open_clip is not installed.
    """
    library = require("open_clip", "clip", request.model)
    request.refuse("size", "pad", why="open_clip says how images are prepared.", expected="no such option")
    place = _find(library, request)
    module = _tower(library, place)
    if place.record is not None and place.record not in request.context.weights:
        request.context.weights.append(place.record)
    cfg: Any = library.transform.PreprocessCfg(**getattr(module, "preprocess_cfg"))  # noqa: B009  not known to nn.Module
    height, width = (cfg.size, cfg.size) if isinstance(cfg.size, int) else cfg.size
    network = Network(
        module,
        request.model,
        request.context.device,
        (3, height, width),
        prepare=_on_tensors(library, cfg, per_channel(request.mean, cfg.mean), per_channel(request.std, cfg.std)),
        classifies=False,
        class_token=any(name.endswith(CLASS_TOKENS) for name, _ in module.named_parameters()),
    )
    return finish(network)


def _find(library: Any, request: Request) -> _Place:
    folder = Path(request.name).expanduser()
    if request.name.startswith(HUB):
        return _from_hub(request)
    if folder.is_dir():
        return _from_folder(request, folder, None)
    name = request.name.replace("/", "-")
    if name not in library.list_models():
        raise unknown_name("model of open_clip", name, library.list_models())
    if not request.weights:
        return _Place(name, None, None, {})
    if request.checkpoint is not None:
        request.refuse("pretrained", why="A checkpoint is in place of published weights.", expected="one of the two")
        path = Path(request.checkpoint)
        return _Place(name, _one_file(path), hash_weights(path), {})
    return _from_tag(library, request, name)


def _from_tag(library: Any, request: Request, name: str) -> _Place:
    tags = library.list_pretrained_tags_by_model(name)
    if request.pretrained is None:
        fitting = [tag for tag in tags if _activation_fits(library, name, tag)]
        raise UsageError(
            f"Which weights of {name} are meant?" if tags else f"open_clip has no weights for {name}.",
            given=f"model={request.model}",
            expected="pretrained=TAG, or checkpoint=PATH" if tags else "checkpoint=PATH",
            hint=f"model={request.model},pretrained={fitting[0]}   # or {', '.join(fitting[1:6])}" if fitting else None,
        )
    if request.pretrained not in tags:
        raise unknown_name(f"set of weights of {name}", request.pretrained, tags)
    if not _activation_fits(library, name, request.pretrained):
        raise _other_activation(library, request, name)
    published = library.get_pretrained_cfg(name, request.pretrained)
    repository, _, file = published["hf_hub"].rpartition("/")
    hint = f"hf download {repository} --local-dir DIR   # then model={request.model},checkpoint=DIR"
    path = find_file(repository, (file,) if file else FILES, hint)
    known = {field.name for field in dataclasses.fields(library.transform.PreprocessCfg)} - {"size"}
    settings = {key: value for key, value in published.items() if key in known}
    return _Place(name, path, hash_weights(path, f"{repository}/{path.name}", path.parent.name), settings)


def _activation_fits(library: Any, name: str, tag: str) -> bool:
    """Tell if weights are for the network's kind of GELU: with the other, values are wrong, though not obviously."""
    trained = bool(library.get_pretrained_cfg(name, tag).get("quick_gelu", False))
    return trained == bool(library.get_model_config(name).get("quick_gelu", False))


def _other_activation(library: Any, request: Request, name: str) -> UnsupportedError:
    other = name.removesuffix("-quickgelu") if name.endswith("-quickgelu") else f"{name}-quickgelu"
    kind = "GELU" if name.endswith("-quickgelu") else "QuickGELU"
    return UnsupportedError(
        f"The weights {request.pretrained!r} are for a network with {kind}.",
        given=f"model={request.model}",
        expected=f"a network with {kind}",
        hint=f"model=open_clip:{other},pretrained={request.pretrained}" if other in library.list_models() else None,
    )


def _from_hub(request: Request) -> _Place:
    repository, _, revision = request.name.removeprefix(HUB).partition("@")
    needs_weights = request.weights and request.checkpoint is None

    def wanted(names: Any) -> list[str]:
        return [CONFIG, *([name for name in FILES if name in names][:1] if needs_weights else [])]

    def complete(folder: Path) -> bool:
        found = any((folder / name).is_file() for name in FILES)
        return (folder / CONFIG).is_file() and (found or not needs_weights)

    hint = f"hf download {repository} --local-dir DIR   # where there is a network; then model=open_clip:DIR"
    folder = find_snapshot(repository, wanted, complete, hint, revision or None)
    return _from_folder(request, folder, folder.name)


def _from_folder(request: Request, folder: Path, revision: str | None) -> _Place:
    request.refuse("pretrained", why="A folder has one set of weights.", expected="no pretrained option")
    if not (folder / CONFIG).is_file():
        raise WeightsError(
            "The folder does not hold a model in the layout of open_clip.",
            given=folder,
            expected=f"{CONFIG} and {' or '.join(FILES)}",
        )
    name = f"local-dir:{folder}"
    if not request.weights:
        return _Place(name, None, None, {})
    path = Path(request.checkpoint) if request.checkpoint is not None else folder
    called = f"{request.name}/{_one_file(path).name}" if revision and path == folder else None
    return _Place(name, _one_file(path), hash_weights(path, called, revision if path == folder else None), {})


def _one_file(path: Path) -> Path:
    files = weights_files(path)
    if len(files) > 1:
        raise WeightsError("open_clip reads weights in one file only.", given=path, expected="one file")
    return files[0]


def _tower(library: Any, place: _Place) -> nn.Module:
    with without_logging(logging.CRITICAL):
        try:
            model = library.create_model(
                place.name, load_weights=False, pretrained_text=False, force_preprocess_cfg=dict(place.preprocessing)
            )
        except Exception as error:  # whatever open_clip raises, and a text tower of the hub that it cannot reach
            raise UnsupportedError(
                f"open_clip cannot build this model: {first_line(error)}",
                given=place.name,
                expected="a model whose parts are all on this machine",
            ) from error
        if place.weights is not None:
            _fill(library, model, place.weights)
    return model.visual


def _fill(library: Any, model: nn.Module, path: Path) -> None:
    try:
        library.load_checkpoint(model, str(path), weights_only=True)
    except Exception as error:  # whatever open_clip raises, the weights are unusable
        if path.suffix != ".npz":
            read_weights(path)  # says more of a file that is damaged, incomplete or something else
        raise WeightsError(
            f"The weights do not fit the model: {first_line(error)}",
            given=path,
            expected="weights of this architecture, both towers",
            hint="model=open_clip:NAME must name the architecture that the weights were trained with",
        ) from error


def _on_tensors(library: Any, cfg: Any, mean: list[float], std: list[float]) -> Callable[[Samples], Tensor]:
    """Adapt the transform to samples: its steps for sizes, without conversions of images."""
    from torchvision.transforms import CenterCrop, Resize, functional

    own = library.transform
    steps = own.image_transform_v2(cfg, is_train=False).transforms
    sizes = [
        step for step in steps if isinstance(step, CenterCrop | Resize | own.ResizeKeepRatio | own.CenterCropOrPad)
    ]

    def prepare(samples: Samples) -> Tensor:
        samples = to_channels(samples, 3)
        with PillowResizing():
            samples = resized(samples)
        return normalize(samples, mean, std)

    def resized(samples: Tensor) -> Tensor:
        for step in sizes:
            if isinstance(step, own.ResizeKeepRatio):  # which reads the size of an image of Pillow
                height, width = samples.shape[-2:]
                scale = _scale(height / step.size[0], width / step.size[1], step.longest)
                size = [round(height / scale), round(width / scale)]
                samples = functional.resize(samples, size, step.interpolation)
            elif isinstance(step, own.CenterCropOrPad):  # counts from 0 to 255
                samples = own.center_crop_or_pad(samples, step.size, fill=step.fill / 255)
            else:
                samples = step(samples)
        return samples

    return prepare


def _scale(rows: float, columns: float, longest: float) -> float:
    return max(rows, columns) * longest + min(rows, columns) * (1 - longest)
