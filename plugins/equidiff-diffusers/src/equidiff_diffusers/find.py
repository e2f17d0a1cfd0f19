"""Search for a pipeline's folder: on this disk, in the hub's cache, or on the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equidiff.errors import UnknownNameError, WeightsError
from equidiff.folders.json_files import read_json
from equidiff.networks.hub import find_snapshot

INDEX = "model_index.json"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
EXPECTED = "a folder that DiffusionPipeline.save_pretrained wrote, or a hub id"
LIBRARIES = ("diffusers", "transformers")  # of components
UNUSED = ("safety_checker", "feature_extractor", "image_encoder", "watermarker", "pe", "pe_tokenizer")  # components
SMALL = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
WEIGHTS = re.compile(
    r"(model|diffusion_pytorch_model)(\.(?P<variant>\w+))?(-\d{5}-of-(?P<parts>\d{5})(\.(?P<late>\w+))?)?\.safetensors"
)


@dataclass(frozen=True)
class Folder:
    """A pipeline's folder on this disk.

    Attributes:
        path: path of the folder.
        name: prefix of its files' names in `run.json`: the hub id, or the folder's own name.
        revision: the hub's commit; None for a local folder.
        hint: command that downloads the files.
    """

    path: Path
    name: str
    revision: str | None = None
    hint: str | None = None

    def index(self) -> dict[str, Any]:
        """Content of the index: the pipeline's class, and library and class of each component.

        Raises:
            WeightsError: there is none, it cannot be read, or it names code that is neither diffusers' nor
                transformers'.
        """
        file = self.path / INDEX
        if not file.is_file():
            raise self.error(f"This is not a pipeline's folder: it has no {INDEX}.", EXPECTED)
        try:
            content = read_json(file)
        except (OSError, ValueError) as error:
            raise self.error(f"{INDEX} cannot be read: {error}") from error
        if not isinstance(content, dict) or not isinstance(content.get("_class_name"), str):
            raise self.error(f"{INDEX} does not name the pipeline's class.", EXPECTED)
        for name, (library, _) in components(content).items():
            self._check_library(name, library)
        return content

    def _check_library(self, name: str, library: str) -> None:
        import diffusers.pipelines

        if library not in LIBRARIES and (not library.isidentifier() or not hasattr(diffusers.pipelines, library)):
            raise self.error(
                f"The component {name} comes with code of its own, which is never run.",
                "components of " + " and ".join(LIBRARIES) + f", and not of {library!r}",
            )

    def weights(self, part: str, variant: str | None) -> list[Path]:
        """Files with the weights of a network: of the variant where it has one, else without; none if parts lack."""
        files = sorted((self.path / part).glob("*.safetensors"))
        found = {file: match for file in files if (match := WEIGHTS.fullmatch(file.name))}
        for wanted in dict.fromkeys((variant, None)):
            chosen = [file for file, match in found.items() if (match["variant"] or match["late"]) == wanted]
            if chosen and int(found[chosen[0]]["parts"] or 1) == len(chosen):
                return chosen
        return []

    def error(self, problem: str, expected: str | None = None, hint: str | None = None) -> WeightsError:
        """Make an error about this folder."""
        return WeightsError(problem, given=self.path, expected=expected, hint=hint or self.hint)


def components(index: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Library and class of each component of a pipeline that is there and used."""
    lists = {name: value for name, value in index.items() if isinstance(value, list) and name not in UNUSED}
    # a list of two numbers is a setting, and an absent component is two nulls
    return {name: (value[0], value[1]) for name, value in lists.items() if [type(each) for each in value] == [str, str]}


def find_folder(name: str, variant: str | None = None) -> Folder:
    """Find the folder of a pipeline.

    Args:
        name: path or hub id that the user typed.
        variant: such as "fp16": the files to download.

    Raises:
        UnknownNameError: it is neither.
        WeightsError: it is a file, or it cannot be downloaded.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return Folder(path, path.resolve().name)
    if path.exists():
        raise WeightsError(
            "This is a file, but a pipeline is a folder.",
            given=path,
            expected=EXPECTED,
            hint=f"PIPELINE.from_single_file('{path.name}').save_pretrained('DIR') in diffusers, then diffusers:DIR",
        )
    if not HUB_ID.fullmatch(name):
        raise UnknownNameError(
            "There is no such folder.", given=name, expected=EXPECTED, hint="diffusers:./FOLDER or diffusers:ORG/REPO"
        )
    return _from_hub(name, variant)


def _from_hub(repository: str, variant: str | None) -> Folder:
    def wanted(there: Sequence[str]) -> list[str]:
        return [*SMALL, *_weights(there, variant)]

    def complete(path: Path) -> bool:
        if not (path / INDEX).is_file():
            return False
        folder = Folder(path, repository)
        networks = [name for name in components(folder.index()) if (path / name / "config.json").is_file()]
        return bool(networks) and all(folder.weights(name, variant) for name in networks)

    local = repository.rpartition("/")[2]
    download = f"hf download {repository} --exclude '*.bin' '*.msgpack' '*.onnx*' --local-dir {local}"
    hint = f"{download}\nthen diffusers:./{local}"
    path = find_snapshot(repository, wanted, complete, hint)
    return Folder(path, repository, revision=path.name, hint=hint)


def _weights(there: Sequence[str], variant: str | None) -> list[str]:
    """Weights files of a repository to download: in each subfolder those of the variant, where it has them."""
    folders: dict[str, dict[str | None, list[str]]] = {}
    for file in there:
        folder, _, name = file.rpartition("/")
        match = WEIGHTS.fullmatch(name)
        if folder and match and folder.split("/")[0] not in UNUSED:
            folders.setdefault(folder, {}).setdefault(match["variant"] or match["late"], []).append(file)
    return [file for kinds in folders.values() for file in kinds.get(variant, kinds.get(None, []))]
