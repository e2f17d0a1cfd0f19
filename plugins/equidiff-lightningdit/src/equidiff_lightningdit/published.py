"""Published checkpoints, and the files that each needs. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from equidiff.plugin import Published

if TYPE_CHECKING:
    from equidiff_lightningdit.plugin import LightningDiTOptions

FOLDER = "lightningdit"  # in which the files lie that were fetched by hand


@dataclass(frozen=True)
class HubFile:
    """A published file.

    Attributes:
        repository: hub id of its repository.
        file: its name there.
        revision: a commit; None stands for the main branch, whose commit `run.json` records.
    """

    repository: str
    file: str
    revision: str | None = None


TRANSFORMERS = {
    "xl-800ep": HubFile("hustvl/lightningdit-xl-imagenet256-800ep", "lightningdit-xl-imagenet256-800ep.pt"),
    "xl-64ep": HubFile("hustvl/lightningdit-xl-imagenet256-64ep", "lightningdit-xl-imagenet256-64ep.pt"),
}
VA_VAE = "hustvl/vavae-imagenet256-f16d32-dinov2"
AUTOENCODER_FILE = HubFile(VA_VAE, "vavae-imagenet256-f16d32-dinov2.pt")
STATS_FILE = HubFile(VA_VAE, "latents_stats.pt")
DEFAULT = "xl-800ep"


def published(argument: str | None, options: LightningDiTOptions) -> Published | None:
    """The files that a published name takes from the hub; None for a path, and for the one that ships."""
    name = argument or DEFAULT
    if name not in TRANSFORMERS:
        return None
    files = [TRANSFORMERS[name]]
    files += [] if options.autoencoder else [AUTOENCODER_FILE]
    files += [] if options.stats else [STATS_FILE]
    by_hand = [f"hf download {file.repository} {file.file} --local-dir {FOLDER}" for file in files]
    by_hand.append(f"equidiff run --generator lightningdit:{FOLDER}   # with the folder that these make elsewhere")
    pairs = tuple((file.repository, file.file) for file in files)
    return Published(pairs, tuple(by_hand), "lightningdit:fashion")
