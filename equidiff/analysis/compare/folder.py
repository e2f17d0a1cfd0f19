"""`attributions/` in a run folder: a file of maps for each method, and `attributions.json` about all of them.

    attributions.json         schema_version, command, seed, versions, explained (name, unit, values), members (their
                              indices), freedom, methods
    METHOD.safetensors        query [1, height, width] where the run has one, members [n, height, width] in their order
    freedom.safetensors       freedom, plain [1, height, width]
    compare.png, freedom.png  the maps; freedom of the pixels beside their importance

A method has a name, its spec and a status (complete, does_not_fit, failed). A complete one also has its file, its
numbers and the seconds it took; another has a `reason`. `notes` are warnings. Files are replaced atomically.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, final

from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from equidiff.errors import RunFolderError
from equidiff.folders.atomic import write_atomically, write_image
from equidiff.folders.status import read_description
from equidiff.folders.tensors import read_tensors, write_tensors
from equidiff.folders.text import shell_word, to_json

SCHEMA_VERSION = 1
NAME = "attributions.json"
NEEDED = {"explained", "members", "methods", "seed"}
COMPLETE, DOES_NOT_FIT, FAILED = "complete", "does_not_fit", "failed"


@final
class AttributionFolder:
    """The folder `attributions/` of a run.

    Args:
        path: the folder.
        info: the content of `attributions.json`.
    """

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path = path
        self.info = info

    @classmethod
    def read(cls, run: Path) -> AttributionFolder | None:
        """Read the folder that earlier comparisons of a run left; None if there were none.

        Raises:
            RunFolderError: it is damaged, or of another schema version.
        """
        path = run / "attributions"
        file = path / NAME
        if not file.exists():
            return None
        damaged = RunFolderError(
            "The attributions.json of this run cannot be read.", given=file, expected="what equidiff compare writes",
            hint=f"mv {shell_word(path)} {shell_word(f'{path}-damaged')}",
        )  # fmt: skip
        info = read_description(file, "folder of attributions", SCHEMA_VERSION, NEEDED, damaged, damaged)
        return cls(path, info)

    def write(self, **changes: Any) -> None:
        """Write the description, with these changes.

        Raises:
            RunFolderError: the folder cannot be written.
        """
        known = self.info | changes
        # the long list comes last, for readers of the file
        self.info = {"schema_version": SCHEMA_VERSION, **known, "methods": known.pop("methods")}
        try:
            self.path.mkdir(exist_ok=True)
            write_atomically(self.path / NAME, to_json(self.info, indent=2) + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def add(self, entry: dict[str, Any], maps: dict[str, Tensor] | None) -> None:
        """Add the entry of a method, in place of an earlier one with the same spec.

        Args:
            entry: as in `attributions.json`.
            maps: `query` and `members`; None if the method is not complete.
        """
        if maps is not None:
            entry["file"] = self.save(file_name(entry["spec"]), maps)
        methods = self.info["methods"]
        places = [place for place, each in enumerate(methods) if each["spec"] == entry["spec"]]
        if places:
            methods[places[0]] = entry
        else:
            methods.append(entry)
        self.write()

    def save(self, name: str, tensors: dict[str, Tensor]) -> str:
        """Write a file of tensors, float32, and return its name."""
        self.path.mkdir(exist_ok=True)
        try:
            write_tensors(self.path / name, {key: value.float().clone() for key, value in tensors.items()})
        except OSError as error:
            raise self._unwritable(error) from error
        return name

    def load(self, name: str) -> dict[str, Tensor]:
        """Read a file of tensors.

        Raises:
            RunFolderError: it is missing or damaged.
        """
        try:
            return read_tensors(self.path / name)
        except (SafetensorError, OSError) as error:
            raise RunFolderError(f"These maps cannot be read: {error}", given=self.path / name) from error

    def add_image(self, name: str, image: Image.Image) -> Path:
        """Write an image about the comparison atomically, and return its path."""
        return write_image(self.path / name, image)

    def _unwritable(self, error: Exception) -> RunFolderError:
        return RunFolderError(f"The maps cannot be written: {error}", given=self.path, expected="a disk with room")


def file_name(spec: str) -> str:
    """File name for a method's spec; different specs get different names, unusual characters aside."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", spec).strip("-.") + ".safetensors"
