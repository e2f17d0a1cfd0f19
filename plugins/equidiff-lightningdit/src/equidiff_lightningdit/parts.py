"""Search for the three parts that the user named: transformer, autoencoder and latent statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from equidiff.contracts import Weights
from equidiff.errors import UnknownNameError, WeightsError, nearest
from equidiff.networks.checkpoints import hash_weights
from equidiff.networks.hub import find_file
from equidiff_lightningdit.autoencoder import build_autoencoder
from equidiff_lightningdit.checkpoints import (
    ROLES,
    LatentStats,
    build_latent_stats,
    build_transformer,
    check_role,
    read_checkpoint,
    role_of,
)
from equidiff_lightningdit.layouts import check_lightningdit
from equidiff_lightningdit.published import DEFAULT, STATS_FILE, TRANSFORMERS, HubFile, autoencoder_of, stats_of
from equidiff_lightningdit.transformer import LightningDiT

SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors")
TRANSFORMER, AUTOENCODER, STATS = ROLES
FASHION = "fashion"


@dataclass(frozen=True)
class Parts:
    """Parts of a generator.

    Attributes:
        transformer: predicts velocities of normalised latents.
        autoencoder: maps between latents and images in [-1, 1].
        stats: maps between normalised and raw latents.
        weights: records of the files.
    """

    transformer: LightningDiT
    autoencoder: AutoencoderKL
    stats: LatentStats
    weights: tuple[Weights, ...]


def load_parts(
    argument: str | None,
    *,
    autoencoder: str | None = None,
    stats: str | None = None,
    multiplier: float = 1.0,
    heads: int | None = None,
) -> Parts:
    """Find, read and check the three files.

    Args:
        argument: a published name, "fashion", or a path; the default published name when absent.
        autoencoder: path of the autoencoder's file; by default that of the folder, otherwise that of the hub.
        stats: path of the statistics' file; likewise.
        multiplier: see `load_latent_stats`.
        heads: see `load_transformer`.

    Raises:
        UnknownNameError: the argument is neither a name nor a path.
        WeightsError: a file is missing, cannot be downloaded, has another role, or does not match the others.
    """
    records: list[Weights] = []
    found = _named(argument or DEFAULT, records)
    if autoencoder:
        found[AUTOENCODER] = _read(Path(autoencoder), records)
    if stats:
        found[STATS] = _read(Path(stats), records)
    check_lightningdit(found[TRANSFORMER].weights, found[TRANSFORMER].path)  # before the other files are downloaded
    for role, file_of in ((AUTOENCODER, autoencoder_of), (STATS, stats_of)):
        if role not in found:
            found[role] = _fetch(file_of(argument), records)
    parts = Parts(
        build_transformer(found[TRANSFORMER].weights, found[TRANSFORMER].path, heads),
        build_autoencoder(found[AUTOENCODER].weights, found[AUTOENCODER].path),
        build_latent_stats(found[STATS].weights, found[STATS].path, multiplier),
        tuple(records),
    )
    check_channels(parts)
    return parts


@dataclass(frozen=True)
class _File:
    path: Path
    weights: Mapping[str, Tensor]


def _named(argument: str, records: list[Weights]) -> dict[str, _File]:
    """Files that the argument itself names, by their roles; the transformer is one of them."""
    if argument in TRANSFORMERS:
        return {TRANSFORMER: _fetch(TRANSFORMERS[argument], records)}
    if argument == FASHION:
        with as_file(files("equidiff_lightningdit") / "weights" / FASHION) as folder:
            return _folder(folder, records)
    path = Path(argument).expanduser()
    if path.is_dir():
        return _folder(path, records)
    if path.is_file():
        file = _read(path, records)
        check_role(file.weights, path, TRANSFORMER)  # before the other files are downloaded
        return {TRANSFORMER: file}
    names = [*TRANSFORMERS, FASHION]
    near = nearest(argument, names)
    raise UnknownNameError(
        "There is neither a LightningDiT of this name nor a file or folder.",
        given=argument,
        expected=", ".join(names) + ", or a path",
        similar=near,
        hint=f"--generator lightningdit:{near[0] if near else FASHION}",
    )


def _folder(folder: Path, records: list[Weights]) -> dict[str, _File]:
    """Files of a folder by their roles; others are ignored."""
    found: dict[str, _File] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES):
        weights = read_checkpoint(path)
        role = role_of(weights)
        if role in found:
            raise WeightsError(
                f"The folder holds more than one {role}.",
                given=f"{found[role].path.name}, {path.name}",
                expected="one of each kind",
                hint=f"lightningdit:{path},autoencoder=FILE,stats=FILE",
            )
        if role is not None:
            found[role] = _File(path, weights)
    if TRANSFORMER not in found:
        raise WeightsError(
            "The folder holds no transformer.",
            given=f"{folder}, with " + (", ".join(file.path.name for file in found.values()) or "no weights at all"),
            expected=f"a file with {ROLES[TRANSFORMER]} in it, one of {', '.join(SUFFIXES)}",
            hint=_by_hand(TRANSFORMERS[DEFAULT], folder),
        )
    records += [hash_weights(file.path) for file in found.values()]
    return found


def _read(path: Path, records: list[Weights]) -> _File:
    file = _File(path, read_checkpoint(path.expanduser()))
    records.append(hash_weights(path.expanduser()))
    return file


def _fetch(published: HubFile, records: list[Weights]) -> _File:
    path = find_file(published.repository, [published.file], _hint(published), published.revision)
    records.append(hash_weights(path, f"{published.repository}/{published.file}", revision=path.parent.name))
    return _File(path, read_checkpoint(path))


def _hint(published: HubFile) -> str:
    folder = published.repository.rpartition("/")[2]
    use = f"--generator lightningdit:{folder}{published.needs}"
    if published not in TRANSFORMERS.values():
        option = "stats" if published.file == STATS_FILE else "autoencoder"
        use = f"--generator lightningdit:FOLDER   # with the file in it, or {option}={folder}/{published.file}"
    return f"{_by_hand(published, folder)}   # on a machine with internet access\n{use}"


def _by_hand(published: HubFile, folder: Path | str) -> str:
    return f"hf download {published.repository} {published.file} --local-dir {folder}"


def check_channels(parts: Parts) -> None:
    """Raise if the latents of the parts have different numbers of channels."""
    channels = {
        TRANSFORMER: parts.transformer.config.in_channels,
        AUTOENCODER: parts.autoencoder.config["latent_channels"],
        STATS: parts.stats.mean.shape[1],
    }
    if len(set(channels.values())) > 1:
        raise WeightsError(
            "The files do not belong together: their latents have different numbers of channels.",
            given=", ".join(f"{role} {count}" for role, count in channels.items()),
            expected="the same number",
            hint="autoencoder=FILE and stats=FILE choose the files that the transformer was trained with",
        )
