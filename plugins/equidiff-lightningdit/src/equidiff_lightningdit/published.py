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
        needs: options that a copy of it in a folder needs, because its content does not tell what it is.
    """

    repository: str
    file: str
    revision: str | None = None
    needs: str = ""


FACM = "Peterande/FACM"
STUDENT = ",sampler=consistency,class=340"
TRANSFORMERS = {
    "xl-800ep": HubFile("hustvl/lightningdit-xl-imagenet256-800ep", "lightningdit-xl-imagenet256-800ep.pt"),
    "xl-64ep": HubFile("hustvl/lightningdit-xl-imagenet256-64ep", "lightningdit-xl-imagenet256-64ep.pt"),
    "facm": HubFile(FACM, "400ep-stg2.pt", needs=STUDENT),
    "facm-250ep": HubFile(FACM, "250ep-stg2.pt", needs=STUDENT),
    "facm-100ep": HubFile(FACM, "100ep-stg2.pt", needs=f"{STUDENT},steps=2"),
    "facm-teacher": HubFile(FACM, "800ep-stg1.pt"),
}
STUDENTS = {"facm": 1, "facm-250ep": 1, "facm-100ep": 2}  # consistency models, and the steps each was published with
VA_VAE = "hustvl/vavae-imagenet256-f16d32-dinov2"
AUTOENCODER_FILE = "vavae-imagenet256-f16d32-dinov2.pt"
STATS_FILE = "latents_stats.pt"
DEFAULT = "xl-800ep"


def autoencoder_of(name: str | None) -> HubFile:
    """The autoencoder's file that goes with a published transformer, or with one of the user's own."""
    return HubFile(_repository_of(name), AUTOENCODER_FILE)


def stats_of(name: str | None) -> HubFile:
    """The file of the latent statistics; likewise."""
    return HubFile(_repository_of(name), STATS_FILE)


def _repository_of(name: str | None) -> str:
    return FACM if name in TRANSFORMERS and TRANSFORMERS[name].repository == FACM else VA_VAE


def published(argument: str | None, options: LightningDiTOptions) -> Published | None:
    """The files that a published name takes from the hub; None for a path, and for the one that ships."""
    name = argument or DEFAULT
    if name not in TRANSFORMERS or (name in STUDENTS and options.label is None):
        return None  # without a class, a student is refused, whatever files there are
    files = [TRANSFORMERS[name]]
    files += [] if options.autoencoder else [autoencoder_of(name)]
    files += [] if options.stats else [stats_of(name)]
    by_hand = [f"hf download {file.repository} {file.file} --local-dir {FOLDER}" for file in files]
    use = f"--generator lightningdit:{FOLDER}{files[0].needs}"
    by_hand.append(f"equidiff run {use}   # with the folder that these make elsewhere")
    pairs = tuple((file.repository, file.file) for file in files)
    return Published(pairs, tuple(by_hand), "lightningdit:fashion")
