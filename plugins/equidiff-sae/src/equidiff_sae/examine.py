"""Does an autoencoder fit its transformer? Its published figures are measured again, on the user's pictures."""

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
from equidiff_sae.vit import Vision, choose_tokens

FEW = 32  # below so many pictures the figures say too little
VARIANCE_MARGIN = 0.05  # explained variance may fall short of the published one by so much: other pictures differ
L0_FACTOR = 1.5  # and the number of active features may differ by this factor
CHUNK = 256  # tokens encoded at a time: 50 MB of features at 49,152 of them


@dataclass(frozen=True)
class Figures:
    """Of one convention: explained variance (at most 1), and how many features are on at a token, on average."""

    explained_variance: float
    l0: float

    def __str__(self) -> str:
        return f"explained variance {100 * self.explained_variance:.1f} %, L0 {self.l0:.1f}"

    def fits(self, entry: Entry) -> bool:
        """Whether they are what was published, within the margins."""
        wanted = entry.explained_variance
        enough = wanted is None or self.explained_variance > wanted - VARIANCE_MARGIN
        return enough and (entry.l0 is None or entry.l0 / L0_FACTOR < self.l0 < entry.l0 * L0_FACTOR)


def examine(
    vision: Vision, autoencoder: SparseAutoencoder, entry: Entry | None, images: Sequence[Image]
) -> list[Finding]:
    """Explained variance and L0 under both conventions, the chosen one judged by what was published.

    Args:
        vision: the transformer at the autoencoder's place, under the chosen convention.
        autoencoder: the autoencoder.
        entry: what was published of it; None where nothing is known, and nothing is judged.
        images: the more the better; at least 32 for a judgement.
    """
    what = f"sae {entry.name if entry else vision.hook}"
    if not images:
        return [Finding(what, "does it fit its transformer? Give pictures: --images FOLDER")]
    findings = [Finding(what, _published(entry))]
    for processed in (vision.processed, not vision.processed):
        figures = measure_fit(Vision(vision.network, vision.hook, processed), autoencoder, images)
        chosen = processed == vision.processed
        state = f"{figures} on {len(images)} pictures"
        judged = chosen and entry is not None and len(images) >= FEW
        broken = judged and entry is not None and not figures.fits(entry)
        if broken:
            state += ": not what was published. Is it this transformer, with these weights?"
        elif chosen and not judged and entry is not None:
            state += f": too few to judge, {FEW} at least"
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
    """Explained variance 1 - sum |t - y|^2 / sum |t - mean(t)|^2 over all tokens it was trained on, and mean L0.

    Args:
        vision: where the autoencoder reads; t is what it reads, or what a transcoder is to predict.
        autoencoder: makes y of it.
        images: what the transformer sees.
    """
    config = autoencoder.config
    inputs, targets = _tokens_of(vision, config.tokens, images), None
    if config.out_hook:
        targets = _tokens_of(Vision(vision.network, config.out_hook, vision.processed), config.tokens, images)
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
    read = [choose_tokens(vision.read(network.prepare_image(image)), tokens, vision.prefix) for image in images]
    return torch.cat(read).flatten(0, 1)
