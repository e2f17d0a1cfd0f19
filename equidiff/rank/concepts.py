"""How well texts describe what a unit's strongest images show, as CLIP sees both."""

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
from equidiff.rank.folder import RankFolder
from equidiff.rank.ranking import Ranking
from equidiff.rank.scan import Show
from equidiff.rank.specs import parse_named
from equidiff.registry.descriptors import Options

USUAL = "ViT-B-32-quickgelu,pretrained=openai"
BATCH = 32
SCHEMAS = ("hf-hub:", "local-dir:")  # names with which open_clip finds configuration and weights together


class ClipOptions(Options):
    """Options of `--clip`."""

    checkpoint: str | None = Field(None, description="a local weights file (safetensors, or a plain state dict)")
    pretrained: str | None = Field(None, description="a tag of open_clip, such as openai: weights from the hub")


@dataclass(frozen=True, eq=False, repr=False)
class Clip:
    """A CLIP model.

    Attributes:
        encode_image: prepared pictures `[batch, 3, height, width]` to embeddings `[batch, dims]`.
        encode_text: tokens `[batch, length]` to embeddings `[batch, dims]`.
        prepare: a picture to the model's input.
        tokenize: texts to tokens.
        device: where it is.
        weights: the file, where it is a local one.
    """

    encode_image: Callable[[Tensor], Tensor]
    encode_text: Callable[[Tensor], Tensor]
    prepare: Callable[[Image], Tensor]
    tokenize: Callable[[list[str]], Tensor]
    device: str
    weights: Weights | None = None


@dataclass(frozen=True, eq=False)
class Concepts:
    """Texts, and the CLIP model that is to compare them with images.

    Attributes:
        names: the texts.
        source: the file.
        spec: of the model.
        clip: the model.
    """

    names: tuple[str, ...]
    source: str
    spec: str
    clip: Clip


def read_concepts(path: Path, spec: str | None, device: str = "auto") -> Concepts:
    """Read the texts and load the model.

    Args:
        path: a text file with one concept a line.
        spec: `NAME[,checkpoint=FILE][,pretrained=TAG]`; OpenAI's ViT-B/32 when absent.
        device: "auto", "cpu", "cuda", ...

    Raises:
        QueryError: the file cannot be read, or is empty.
        EquiDiffError: the model cannot be had.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise QueryError(
            f"The concepts cannot be read: {error}", given=path, expected="a text file in UTF-8"
        ) from error
    names = tuple(dict.fromkeys(filter(None, map(str.strip, lines))))
    if not names:
        raise QueryError("There are no concepts in this file.", given=path, expected="one concept a line, e.g. zebra")
    return Concepts(names, str(path), spec or USUAL, load_clip(spec or USUAL, choose_device(device)))


def load_clip(spec: str, device: str) -> Clip:
    """Load a CLIP model of open_clip.

    Raises:
        PluginError: open_clip is not installed.
        UsageError: it is not said where the weights are.
        UnknownNameError: open_clip knows no such model.
        WeightsError: the weights cannot be had, read, or do not fit.
    """
    try:
        import open_clip
    except ImportError as error:
        raise PluginError(
            "Concepts need open_clip.", given=f"--clip {spec}", hint="pip install equidiff[clip]"
        ) from error
    name, _, options = parse_named("clip", spec, ClipOptions)
    whole = name.startswith(SCHEMAS)
    if not whole and name not in open_clip.list_models():
        raise unknown_name("model of open_clip", name, open_clip.list_models())
    if not whole and (options.checkpoint is None) == (options.pretrained is None):
        raise UsageError(
            "It is not clear which weights are meant.",
            given=f"--clip {spec}",
            expected="either a local file or a tag of open_clip",
            hint=f"--clip {name},checkpoint=FILE or --clip {name},pretrained=openai",
        )
    with _weights_errors(spec), _quiet():
        model, _, prepare = open_clip.create_model_and_transforms(name, pretrained=options.pretrained, device=device)
        tokenize = open_clip.get_tokenizer(name)
        weights = None
        if options.checkpoint is not None:
            path = Path(options.checkpoint)
            put_weights(model, read_weights(path), path, hint="--clip NAME must name the model of the checkpoint")
            weights = hash_weights(path)
    model.eval().requires_grad_(False)
    encoders: tuple[Any, Any] = model.encode_image, model.encode_text
    return Clip(*encoders, lambda image: prepare(image.convert("RGB")), tokenize, device, weights)


def align(ranking: Ranking, concepts: Concepts, show: Show) -> Ranking:
    """Compare each unit's strongest images with the concepts, and write down what is found.

    As SemanticLens does it: a unit is the mean of the CLIP embeddings of its strongest images, and its alignment with a
    concept is the cosine between that mean and the embedding of the text, as it is written. Its clarity is the mean
    cosine between two of the images.

    Args:
        ranking: a finished scan.
        concepts: what to compare with.
        show: called with the number of images that are done, and a line about them.

    Returns:
        The ranking with each unit's nearest concept; `concepts.safetensors` has the alignment with every one.

    Raises:
        QueryError: an image has gone since the scan.

    References:
        Dreyer et al. (2025), "Mechanistic understanding and validation of large AI models with SemanticLens".
        https://arxiv.org/abs/2501.05398
    """
    folder, clip = ranking.folder, concepts.clip
    rows, places = folder.read_tensors()["top_rows"].unique(return_inverse=True)
    embeddings = _embed_images(folder, rows.tolist(), clip, show)[places]
    with torch.inference_mode():
        texts = clip.encode_text(clip.tokenize(list(concepts.names)).to(clip.device)).float().cpu()
    alignment, clear = cosines(embeddings, texts), clarity(embeddings)
    best = alignment.max(dim=1)
    found = zip(ranking.units, best.indices.tolist(), best.values.tolist(), clear, strict=True)
    units = [
        replace(unit, concept=concepts.names[index], alignment=value, clarity=how) for unit, index, value, how in found
    ]
    about: dict[str, Any] = {"file": concepts.source, "clip": concepts.spec, "names": list(concepts.names)}
    if clip.weights is not None:
        about["weights"] = {"name": clip.weights.name, "sha256": clip.weights.sha256}
    folder.add_concepts(about, alignment, units)
    return replace(ranking, units=units)


def cosines(
    embeddings: Float[Tensor, "units top dims"], texts: Float[Tensor, "concepts dims"]
) -> Float[Tensor, "units concepts"]:
    """The cosine between the mean of each unit's embeddings and each text's."""
    means = nn.functional.normalize(embeddings.mean(dim=1), dim=1)
    return means @ nn.functional.normalize(texts, dim=1).T


def clarity(embeddings: Float[Tensor, "units top dims"]) -> list[float | None]:
    """Mean cosine between two different images of a unit; None where it has but one."""
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
            raise QueryError(f"An image of this ranking is gone: {reading.problem}", given=images / file.path)
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
    except Exception as error:  # whatever open_clip, the hub or the connection raises, the weights are not there
        raise WeightsError(
            f"The CLIP model cannot be had: {first_line(error)}",
            given=f"--clip {spec}",
            expected="a reachable model hub, or a local weights file",
            hint="--clip NAME,checkpoint=FILE",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's log lines, which say that there are no weights before they are put in."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
