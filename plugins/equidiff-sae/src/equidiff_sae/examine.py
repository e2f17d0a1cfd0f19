"""Check of an autoencoder against its transformer: its published figures, measured again on the user's images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor

from equidiff.contracts import Finding
from equidiff_sae.autoencoder import SparseAutoencoder
from equidiff_sae.catalog import Entry
from equidiff_sae.vision import Vision, can_process, choose_tokens

ENOUGH_IMAGES = 32  # with fewer, the figures are not judged
VARIANCE_MARGIN = 0.05  # explained variance may be this much below the published one, because the images differ
L0_FACTOR = 1.5  # the number of active features may differ by this factor
CHUNK = 256  # tokens encoded at a time: 50 MB of features at 49,152 of them


@dataclass(frozen=True)
class Figures:
    """Explained variance (at most 1) and mean number of active features at a token, under one convention."""

    explained_variance: float
    l0: float

    def __str__(self) -> str:
        return f"explained variance {100 * self.explained_variance:.1f} %, L0 {self.l0:.1f}"

    def fits(self, entry: Entry) -> bool:
        """Compare with the published figures, within the margins."""
        published = entry.explained_variance
        enough = published is None or self.explained_variance > published - VARIANCE_MARGIN
        return enough and (entry.l0 is None or entry.l0 / L0_FACTOR < self.l0 < entry.l0 * L0_FACTOR)


def examine(
    vision: Vision, autoencoder: SparseAutoencoder, entry: Entry | None, images: Sequence[Image]
) -> list[Finding]:
    """Explained variance and L0 under both conventions; the chosen one is compared with the published figures.

    Args:
        vision: the transformer at the autoencoder's hook, under the chosen convention.
        autoencoder: the autoencoder.
        entry: its published figures; None if there are none, so that nothing is judged.
        images: as many as possible; at least 32 for a verdict.
    """
    what = f"sae {entry.name if entry else vision.hook}"
    if not images:
        return [Finding(what, "needs images to check that it fits its transformer: --images FOLDER")]
    findings = [Finding(what, _published(entry))]
    other = [not vision.processed] if can_process(vision.network, vision.hook) else []
    for processed in (vision.processed, *other):
        width = autoencoder.config.d_in
        figures = measure_fit(Vision(vision.network, vision.hook, processed, width), autoencoder, images)
        chosen = processed == vision.processed
        state = f"{figures} on {len(images)} images"
        judged = chosen and entry is not None and len(images) >= ENOUGH_IMAGES
        broken = judged and entry is not None and not figures.fits(entry)
        if broken:
            state += ": not the published figures. Is this the right transformer, with the right weights?"
        elif chosen and not judged and entry is not None:
            state += f": too few for a verdict, which needs {ENOUGH_IMAGES}"
        name = f"  weights={'processed' if processed else 'raw'}{'' if chosen else ' (not chosen)'}"
        findings.append(Finding(name, state, broken=broken))
    return findings


def _published(entry: Entry | None) -> str:
    known = []
    if entry is not None and entry.explained_variance is not None:
        known.append(f"explained variance {100 * entry.explained_variance:.1f} %")
    if entry is not None and entry.l0 is not None:
        known.append(f"L0 {entry.l0:.1f}")
    return f"published: {', '.join(known)}" if known else "no published figures to compare with"


@torch.no_grad()
def measure_fit(vision: Vision, autoencoder: SparseAutoencoder, images: Sequence[Image]) -> Figures:
    """Explained variance 1 - sum |t - y|^2 / sum |t - mean(t)|^2 over the tokens that it was trained on, and mean L0.

    Args:
        vision: the transformer at the autoencoder's hook; t are the activations there, or at the output hook.
        autoencoder: computes y from them.
        images: images for the transformer.
    """
    config = autoencoder.config
    inputs, targets = _tokens_of(vision, config.tokens, images), None
    if config.out_hook:
        there = Vision(vision.network, config.out_hook, vision.processed, config.d_out)
        targets = _tokens_of(there, config.tokens, images)
    targets = inputs if targets is None else targets
    error, on = 0.0, 0.0
    local = autoencoder.to(vision.network.device)
    for tokens, wanted in zip(inputs.split(CHUNK), targets.split(CHUNK), strict=True):
        features = local.encode(tokens)
        error += float((wanted - local.decode(features, tokens)).double().square().sum())
        on += float((features > 0).sum())
    spread = float((targets - targets.mean(dim=0)).double().square().sum())
    return Figures(1 - error / spread, on / len(inputs))


def _tokens_of(vision: Vision, tokens: str, images: Sequence[Image]) -> Float[Tensor, "tokens width"]:
    network = vision.network
    read = [choose_tokens(vision.read(network.prepare_image(image)), tokens, vision) for image in images]
    return torch.cat(read).flatten(0, 1)
