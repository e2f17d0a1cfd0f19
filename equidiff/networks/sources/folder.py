"""Folders of transformers: local ones, and repositories of the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from equidiff.errors import WeightsError
from equidiff.networks.checkpoints import weights_files
from equidiff.networks.hub import find_snapshot
from equidiff.networks.request import Request

CONFIG = "config.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
# single files and indexes of several, in order of preference
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
INDEX = ".index.json"


def find_folder(request: Request) -> tuple[Path, str | None]:
    """Find the folder that a name stands for.

    Args:
        request: its name is a folder, or REPOSITORY[@REVISION] of the hub.

    Returns:
        The folder, and the commit where it comes from the hub.

    Raises:
        WeightsError: there is no such folder or repository, or it has no model in the layout of transformers.
    """
    needs_weights = request.weights and request.checkpoint is None
    folder = Path(request.name).expanduser()
    if folder.is_dir():
        entry = weights_entry(folder) if needs_weights else folder
        if not (folder / CONFIG).is_file() or entry is None:
            found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
            raise WeightsError(
                "The folder does not hold a model in the layout of transformers.",
                given=f"{folder} with {found}",
                expected=f"{CONFIG} and {' or '.join(name for name in WEIGHTS if not name.endswith(INDEX))}",
            )
        return folder, None
    repository, _, revision = request.name.partition("@")
    if repository.startswith((".", "/", "~")) or repository.count("/") > 1 or not repository:
        raise WeightsError(
            "The folder does not exist.", given=folder, expected="a folder, or ORGANISATION/NAME of the hub"
        )
    found = find_snapshot(
        repository,
        lambda names: _wanted(names, needs_weights),
        lambda path: _is_complete(path, needs_weights),
        hint=f"hf download {repository} --local-dir DIR   # where there is a network; then model=hf:DIR",
        revision=revision or None,
    )
    return found, found.name


def weights_entry(folder: Path) -> Path | None:
    """The weights file of a folder, or the index of several; None if there is neither."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def _is_complete(folder: Path, weights: bool) -> bool:
    entry = weights_entry(folder)
    if not (folder / CONFIG).is_file():
        return False
    if not weights or entry is None:
        return not weights
    try:
        return bool(weights_files(entry))
    except WeightsError:  # a part is missing
        return False


def _wanted(names: Sequence[str], weights: bool) -> list[str]:
    if CONFIG not in names:
        raise LookupError(f"it has no {CONFIG}, so it is no model of transformers")
    wanted = [name for name in (CONFIG, *PROCESSORS) if name in names]
    first = next((name for name in WEIGHTS if name in names), None)
    if not weights:
        return wanted
    if first is None:
        raise LookupError(f"it has no {' or '.join(WEIGHTS[::2])}")
    shards = [f"{first.removesuffix(INDEX).replace('.', '-*-of-*.')}"] if first.endswith(INDEX) else []
    return [*wanted, first, *shards]
