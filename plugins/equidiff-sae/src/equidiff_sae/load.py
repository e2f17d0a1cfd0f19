"""Search and loading of sparse autoencoders: from a folder, a file, or the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from torch import Tensor

from equidiff.errors import EquiDiffError, WeightsError, first_line
from equidiff.networks.checkpoints import Kind, check_tensors, recognise
from equidiff.networks.hub import find_snapshot
from equidiff_sae.autoencoder import SparseAutoencoder
from equidiff_sae.catalog import Entry, entries, find_entry, unknown_entry
from equidiff_sae.config import SaeConfig
from equidiff_sae.files import Shell, read_after_header, read_header, read_json, read_pickle, read_safetensors
from equidiff_sae.layouts.check import check
from equidiff_sae.layouts.dictionary_learning import read_dictionary_learning
from equidiff_sae.layouts.overcomplete import flatten, read_overcomplete
from equidiff_sae.layouts.prisma import read_prisma
from equidiff_sae.layouts.saelens import SCALER, WHITENING, read_saelens
from equidiff_sae.layouts.saev import read_saev
from equidiff_sae.layouts.sparsify import read_sparsify

EXPECTED = (
    "Prisma (weights.pt and config.json), SAELens (sae_weights.safetensors and cfg.json), "
    "sparsify (sae.safetensors and cfg.json), saev (sae.pt), dictionary_learning (ae.pt and config.json) or "
    "overcomplete (a module, or a state dict and config.json)"
)
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?P<folder>(?:/[\w.-]+)*)(?:@(?P<revision>[\w./-]+))?")
SETTINGS = ("config.json", "cfg.json", SCALER, WHITENING)
SPARSITY = "_log_feature_sparsity.pt"


@dataclass(frozen=True)
class Source:
    """A weights file that was found.

    Attributes:
        file: the weights.
        name: its name in `run.json`: the hub's repository, or the file's name.
        revision: the hub's commit.
    """

    file: Path
    name: str
    revision: str | None = None


def load_sae(path: str | Path) -> SparseAutoencoder:
    """Load a sparse autoencoder; the layout is recognised by the files' content.

    No code in the files is run. Tensors stay in the file until they are used.

    Args:
        path: a folder, a weights file, a name that `equidiff show objective sae` lists, or a hub repository
            "organisation/name", which may be followed by a folder in it and by "@revision".

    Returns:
        The autoencoder, on the CPU: `.encode(activations)`, `.decode(features)`, `.config`.

    Raises:
        UnknownNameError: no autoencoder, or more than one, matches the name.
        WeightsError: it cannot be downloaded, is damaged, has an unknown layout, holds code, or lacks a setting that
            affects its results.
    """
    return read_source(locate(str(path))[1])


def locate(text: str, layer: int | None = None, site: str | None = None) -> tuple[Entry | None, Source]:
    """Locate the autoencoder of a path or a name: its catalog entry, if any, and its file.

    Args:
        text: as in `load_sae`.
        layer: of several published autoencoders, the one of this layer.
        site: of several published autoencoders, the one of this site.

    Raises:
        UnknownNameError: no autoencoder, or more than one, matches.
        WeightsError: it cannot be downloaded.
    """
    if Path(text).expanduser().exists():
        place = Path(text).resolve()
        known = (entry for entry in entries() if entry.name in (place.name, place.parent.name))
        return next(known, None), find(text)
    if text.startswith((".", "/", "~")):
        raise WeightsError("The autoencoder does not exist.", given=text, expected="a folder or a weights file")
    entry = find_entry(text, layer, site)
    if entry is not None:
        return entry, source_of(entry)
    if HUB_ID.fullmatch(text):
        return None, find(text)
    raise unknown_entry(text)


def source_of(entry: Entry) -> Source:
    """Locate the file of a catalog entry: on the hub, or in this package.

    Raises:
        WeightsError: it cannot be downloaded.
    """
    if entry.repo is not None:
        return find(entry.repo)
    return replace(find(str(files("equidiff_sae") / "weights" / entry.name)), name=entry.name)


def find(text: str) -> Source:
    """Find the weights file of a path or a hub id.

    Raises:
        WeightsError: there is none.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        run = path / "checkpoint"  # of saev
        file = run / "sae.pt" if (run / "sae.pt").is_file() else _choose_in(path)
        return Source(file, file.name)
    if path.is_file():
        return Source(path, path.name)
    match = HUB_ID.fullmatch(text)
    if match is None:
        raise WeightsError("The autoencoder does not exist.", given=text, expected=f"a folder or a file: {EXPECTED}")
    return _from_hub(match["repo"], match["folder"].strip("/"), match["revision"])


def choose(folder: Path, names: Iterable[str]) -> Path:
    """Choose the file in a folder that holds the weights.

    Raises:
        WeightsError: none of them does.
    """
    there = sorted(names)
    candidates = [name for name in there if name.endswith((".pt", ".pth")) and not name.endswith(SPARSITY)]
    candidates = candidates or [name for name in there if name.endswith(".safetensors")]
    for name in ("sae_weights.safetensors", "sae.safetensors", "weights.pt", "sae.pt", "ae.pt"):
        if name in there:
            return folder / name
    if len(candidates) == 1:
        return folder / candidates[0]
    raise WeightsError(
        "It is not clear which file holds the weights." if candidates else "There are no weights of an autoencoder.",
        given=f"{folder}: {', '.join(candidates or there[:8]) or 'nothing'}",
        expected=EXPECTED,
        hint=f"sae={folder / candidates[0]}" if candidates else None,
    )


def _choose_in(folder: Path) -> Path:
    return choose(folder, (entry.name for entry in folder.iterdir()))


def read_source(source: Source) -> SparseAutoencoder:
    """Load the autoencoder from a weights file that was found.

    Raises:
        WeightsError: as in `load_sae`.
    """
    path = source.file
    if path.suffix in (".pkl", ".gz"):
        raise WeightsError(
            "A plain pickle may hold code, so it is not read.",
            given=path,
            expected=EXPECTED,
            hint="the .pt file of the same repository",
        )
    try:
        # saev's files begin with a line of their own
        safe = read_header(path) is None and recognise(path) is Kind.SAFETENSORS
        config, tensors = _read_safetensors(path) if safe else _read_torch(path)
        check_tensors(tensors, path)
        check(config, tensors, path)
    except EquiDiffError:
        raise
    except Exception as error:  # settings and tensors of other kinds than a layout has, wherever it meets them first
        raise WeightsError(
            f"The settings or the tensors of the autoencoder are not those of a layout: {first_line(error)}",
            given=path,
            expected=EXPECTED,
        ) from error
    return SparseAutoencoder(config, tensors)


def _read_safetensors(path: Path) -> tuple[SaeConfig, dict[str, Tensor]]:
    tensors = read_safetensors(path)
    if any(name.startswith("dictionary.") for name in tensors):
        settings = path.with_name("config.json")
        return read_overcomplete(read_json(settings), tensors, settings)
    settings = path.with_name("cfg.json")
    read = read_sparsify if "encoder.weight" in tensors else read_saelens
    return read(read_json(settings), tensors, settings)


def _read_torch(path: Path) -> tuple[SaeConfig, dict[str, Tensor]]:
    header = read_header(path)
    if header is not None:
        return read_saev(header, _tensors(read_after_header(path), path), path)
    content = read_pickle(path)
    if isinstance(content, Shell):
        described, tensors = flatten(content)
        return read_overcomplete(described, tensors, path)
    combined = "state_dict" in content
    tensors = _tensors(content["state_dict"] if combined else content, path)
    settings = _settings_of(path)
    if combined and not settings.exists():
        # the same settings are pickled beside the tensors
        return read_prisma(vars(content.get("cfg", object)), tensors, path)
    described = read_json(settings)
    if any(name.startswith("dictionary.") for name in tensors):
        return read_overcomplete(described, tensors, settings)
    return (read_dictionary_learning if "trainer" in described else read_prisma)(described, tensors, settings)


def _settings_of(path: Path) -> Path:
    """The settings beside the weights, or beside the folder of dictionary_learning's checkpoints."""
    above = path.parent.with_name("config.json")
    return above if path.parent.name == "checkpoints" and above.exists() else path.with_name("config.json")


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(
            "The file does not hold the state dict of an autoencoder.", given=path, expected="names and tensors only"
        )
    return dict(content)


def _from_hub(repo: str, folder: str, revision: str | None) -> Source:
    """Find the weights file in the hub's local cache; download it with its settings if it is not there."""
    prefix = f"{folder}/" if folder else ""

    def wanted(there: Sequence[str]) -> list[str]:
        names = [name.removeprefix(prefix) for name in there if name.startswith(prefix)]
        weights = choose(Path(repo, folder), (name for name in names if "/" not in name))
        return [prefix + name for name in names if name in (*SETTINGS, weights.name)]

    def complete(root: Path) -> bool:
        try:
            return _choose_in(root / folder).is_file()
        except (OSError, WeightsError):
            return False

    name = repo.rpartition("/")[2]
    hint = (
        f"https://huggingface.co/{repo}: weights (.pt or .safetensors), and config.json or cfg.json, into ./{name}\n"
        f"sae=./{name},checkpoint=VIT_WEIGHTS"
    )
    root = find_snapshot(repo, wanted, complete, hint, revision)
    return Source(_choose_in(root / folder), repo, root.name)
