"""Concepts: texts compared by CLIP with the strongest images of each unit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL.Image import Image
from pydantic import Field
from torch import Tensor, nn

from equidiff.contracts import Weights
from equidiff.devices import choose_device
from equidiff.errors import EquiDiffError, PluginError, QueryError, UsageError, WeightsError, first_line, unknown_name
from equidiff.images.folder import read_ahead
from equidiff.networks.checkpoints import hash_weights, put_weights, read_weights
from equidiff.networks.libraries import without_logging
from equidiff.rank.folder import RankFolder
from equidiff.rank.ranking import Ranking
from equidiff.rank.scan import Show
from equidiff.rank.specs import parse_named
from equidiff.registry.descriptors import Options

QUICK_GELU = "-quickgelu"
DEFAULT_CLIP = "ViT-B-32-quickgelu,pretrained=openai"
BATCH = 32  # images per pass
COMPLETE_PREFIXES = ("hf-hub:", "local-dir:")  # of names for which open_clip finds both configuration and weights


class ClipOptions(Options):
    """Options of `--clip`."""

    checkpoint: str | None = Field(None, description="a local weights file (safetensors, or a plain state dict)")
    pretrained: str | None = Field(None, description="a tag of open_clip, such as openai: weights from the hub")


@dataclass(frozen=True, eq=False, repr=False)
class Clip:
    """CLIP model with its preprocessing.

    Attributes:
        encode_image: maps prepared images `[batch, 3, height, width]` to embeddings `[batch, dims]`.
        encode_text: maps tokens `[batch, length]` to embeddings `[batch, dims]`.
        prepare: maps an image to an input of the model.
        tokenize: maps texts to tokens.
        device: device of the model.
        weights: record of the weights file, if it is a local one.
        warning: a sentence about weights that were trained with another activation function, if they were.
    """

    encode_image: Callable[[Tensor], Tensor]
    encode_text: Callable[[Tensor], Tensor]
    prepare: Callable[[Image], Tensor]
    tokenize: Callable[[list[str]], Tensor]
    device: str
    weights: Weights | None = None
    warning: str | None = None


@dataclass(frozen=True, eq=False)
class Concepts:
    """Texts, and the CLIP model that compares them with images.

    Attributes:
        names: the texts.
        source: path of the file with the texts.
        spec: spec of the model.
        clip: the model.
    """

    names: tuple[str, ...]
    source: str
    spec: str
    clip: Clip


def read_concepts(path: Path, spec: str | None, device: str = "auto") -> Concepts:
    """Read the texts and load the model.

    Args:
        path: a text file with one concept per line.
        spec: `NAME[,checkpoint=FILE][,pretrained=TAG]`; OpenAI's ViT-B/32 when absent.
        device: "auto", "cpu", "cuda", ...

    Raises:
        QueryError: the file cannot be read, or is empty.
        EquiDiffError: the model cannot be loaded.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise QueryError(
            f"The concepts cannot be read: {error}", given=path, expected="a text file in UTF-8"
        ) from error
    names = tuple(dict.fromkeys(filter(None, map(str.strip, lines))))
    if not names:
        raise QueryError("There are no concepts in this file.", given=path, expected="one concept per line, e.g. zebra")
    return Concepts(names, str(path), spec or DEFAULT_CLIP, load_clip(spec or DEFAULT_CLIP, choose_device(device)))


def load_clip(spec: str, device: str) -> Clip:
    """Load a CLIP model of open_clip.

    Raises:
        PluginError: open_clip is not installed.
        UsageError: the spec names no weights, or both a file and a tag.
        UnknownNameError: open_clip knows no such model.
        WeightsError: the weights cannot be obtained or read, or do not fit.
    """
    try:
        import open_clip
    except ImportError as error:
        raise PluginError(
            "Concepts need open_clip.", given=f"--clip {spec}", hint="pip install equidiff[clip]"
        ) from error
    name, _, options = parse_named("clip", spec, ClipOptions)
    complete = name.startswith(COMPLETE_PREFIXES)
    if not complete and name not in open_clip.list_models():
        raise unknown_name("model of open_clip", name, open_clip.list_models())
    if not complete and (options.checkpoint is None) == (options.pretrained is None):
        raise UsageError(
            "The spec must name exactly one source of weights.",
            given=f"--clip {spec}",
            expected="a local file, or a tag of open_clip",
            hint=f"--clip {name},checkpoint=FILE or --clip {_published(name)}",
        )
    with _weights_errors(spec), without_logging(logging.WARNING):
        model, _, prepare = open_clip.create_model_and_transforms(name, pretrained=options.pretrained, device=device)
        tokenize = open_clip.get_tokenizer(name)
        weights = None
        if options.checkpoint is not None:
            path = Path(options.checkpoint)
            put_weights(model, read_weights(path), path, hint="--clip NAME must name the model of the checkpoint")
            weights = hash_weights(path)
    model.eval().requires_grad_(False)
    encoders: tuple[Any, Any] = model.encode_image, model.encode_text
    warning = None if complete or options.pretrained is None else activation_warning(name, options.pretrained)
    return Clip(*encoders, lambda image: prepare(image.convert("RGB")), tokenize, device, weights, warning)


def _published(name: str) -> str:
    """The spec of a model with published weights that fit it: OpenAI's were trained with QuickGELU."""
    import open_clip

    twin = f"{name}{QUICK_GELU}"
    if twin in open_clip.list_models() and "openai" in open_clip.list_pretrained_tags_by_model(twin):
        return f"{twin},pretrained=openai"
    fitting = (tag for tag in open_clip.list_pretrained_tags_by_model(name) if activation_warning(name, tag) is None)
    return f"{name},pretrained={next(fitting, 'TAG')}"


def activation_warning(name: str, tag: str) -> str | None:
    """A sentence where the weights' activation function is another one than the model's; open_clip loads them alike."""
    import open_clip

    quick = bool((open_clip.get_model_config(name) or {}).get("quick_gelu", False))
    trained = bool(open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False))
    if quick == trained:
        return None
    has, had = ("QuickGELU", "GELU") if quick else ("GELU", "QuickGELU")
    twin = name.removesuffix(QUICK_GELU) if quick else f"{name}{QUICK_GELU}"
    right = f": --clip {twin},pretrained={tag} has it" if twin in open_clip.list_models() else ""
    return f"The weights {tag} were trained with {had}, and {name} computes {has}{right}."


def align(ranking: Ranking, concepts: Concepts, show: Show) -> Ranking:
    """Compare each unit's strongest images with the concepts, and store the result.

    As SemanticLens does it: a unit is the mean of the CLIP embeddings of its strongest images, and its alignment with a
    concept is the cosine between that mean and the embedding of the text as written. Its clarity is the mean cosine
    between two of the images.

    Args:
        ranking: a finished scan.
        concepts: the texts and their model.
        show: called with the number of finished images and a line about them.

    Returns:
        The ranking with each unit's nearest concept; `concepts.safetensors` holds the alignment with every concept.

    Raises:
        QueryError: an image has disappeared since the scan.

    References:
        Dreyer et al. (2025), "Mechanistic understanding and validation of large AI models with SemanticLens".
        https://arxiv.org/abs/2501.05398
    """
    folder, clip = ranking.folder, concepts.clip
    rows, positions = folder.read_tensors()["top_rows"].unique(return_inverse=True)
    embeddings = _embed_images(folder, rows.tolist(), clip, show)[positions]
    with torch.inference_mode():
        texts = clip.encode_text(clip.tokenize(list(concepts.names)).to(clip.device)).float().cpu()
    alignment, clarities = cosines(embeddings, texts), clarity(embeddings)
    best = alignment.max(dim=1)
    described = zip(ranking.units, best.indices.tolist(), best.values.tolist(), clarities, strict=True)
    units = [
        replace(unit, concept=concepts.names[index], alignment=value, clarity=clear)
        for unit, index, value, clear in described
    ]
    about: dict[str, Any] = {"file": concepts.source, "clip": concepts.spec, "names": list(concepts.names)}
    if clip.weights is not None:
        about["weights"] = {"name": clip.weights.name, "sha256": clip.weights.sha256}
    folder.add_concepts(about, alignment, units)
    return replace(ranking, units=units)


def cosines(
    embeddings: Float[Tensor, "units top dims"], texts: Float[Tensor, "concepts dims"]
) -> Float[Tensor, "units concepts"]:
    """Cosine between the mean of each unit's embeddings and the embedding of each text."""
    means = nn.functional.normalize(embeddings.mean(dim=1), dim=1)
    return means @ nn.functional.normalize(texts, dim=1).T


def clarity(embeddings: Float[Tensor, "units top dims"]) -> list[float | None]:
    """Mean cosine between two different images of a unit; None if it has only one."""
    count = embeddings.shape[1]
    if count < 2:
        return [None] * len(embeddings)
    # the squared length of a sum of unit vectors is the sum of all their cosines, each with itself included
    total = nn.functional.normalize(embeddings, dim=2).sum(dim=1).square().sum(dim=1)
    return ((total - count) / (count * (count - 1))).tolist()


@torch.inference_mode()
def _embed_images(folder: RankFolder, rows: list[int], clip: Clip, show: Show) -> Float[Tensor, "images dims"]:
    images, files = Path(folder.info["settings"]["images"]), [folder.images[row] for row in rows]
    found: list[Tensor] = []
    inputs: list[Tensor] = []
    for number, (file, reading) in enumerate(read_ahead(images, files, clip.prepare), start=1):
        if isinstance(reading, QueryError):
            raise QueryError(f"An image of this ranking is missing: {reading.problem}", given=images / file.path)
        inputs.append(reading)
        if len(inputs) == BATCH or number == len(files):
            found.append(clip.encode_image(torch.stack(inputs).to(clip.device)).float().cpu())
            inputs = []
            show(number, f"of {len(files)} images")
    return torch.cat(found)


@contextmanager
def _weights_errors(spec: str) -> Iterator[None]:
    try:
        yield
    except EquiDiffError:
        raise
    except Exception as error:  # whatever open_clip, the hub or the connection raises, there are no weights
        raise WeightsError(
            f"The CLIP model cannot be loaded: {first_line(error)}",
            given=f"--clip {spec}",
            expected="a reachable model hub, or a local weights file",
            hint="--clip NAME,checkpoint=FILE",
        ) from error
