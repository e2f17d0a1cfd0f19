"""A pipeline's folder in the layout of diffusers: its files, and those it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equidiff.errors import WeightsError
from equidiff.folders.json_files import MOST_OF_SETTINGS, read_json
from equidiff_sd import files
from equidiff_sd.files import WeightsFiles, find_weights

INDEX = "model_index.json"
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))  # either suffices
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
TEXT, XL, PIXELS = "text to image", "text to image, XL", "unconditional"
ONE_TEXT = {
    "unet": ("UNet2DConditionModel",),
    "text_encoder": ("CLIPTextModel",),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
CLASSES = {
    TEXT: ONE_TEXT,
    XL: ONE_TEXT | {"text_encoder_2": ("CLIPTextModelWithProjection",), "tokenizer_2": ONE_TEXT["tokenizer"]},
    PIXELS: {"unet": ("UNet2DModel",)},
}
# refiners, inpainting, consistency and score models may consist of the same classes
PIPELINES = {
    TEXT: ("StableDiffusionPipeline",),
    XL: ("StableDiffusionXLPipeline",),
    PIXELS: ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline"),
}
UNUSED = {"scheduler", "safety_checker", "feature_extractor", "image_encoder"}  # may be listed, with any class
SUPPORTED = (
    "a Stable Diffusion 1.x, 2.x, XL or Turbo pipeline from text to image (no refiner, no inpainting), "
    "or an unconditional DDPM or DDIM pipeline"
)


@dataclass(frozen=True)
class Folder:
    """A diffusers folder on this disk.

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

    def read(self, name: str) -> dict[str, Any]:
        """Read a JSON file of this folder.

        Raises:
            WeightsError: the file is missing or not a JSON object.
        """
        try:
            content = read_json(self.path / name, MOST_OF_SETTINGS)
        except (OSError, ValueError) as error:
            raise self.error(f"{name} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise self.error(f"{name} does not hold a JSON object.")
        return content

    def config(self, part: str, file: str = "config.json") -> dict[str, Any]:
        """Read a component's configuration; raises what `read` raises."""
        return self.read((self.part(part) / file).relative_to(self.path).as_posix())

    def classes(self) -> dict[str, str]:
        """The class of each component, from the index.

        Raises:
            WeightsError: there is no index, or it cannot be read.
        """
        if not (self.path / INDEX).is_file():
            raise self.error(f"This is not a diffusers folder: it has no {INDEX}.", SUPPORTED)
        named = {key: value for key, value in self.read(INDEX).items() if isinstance(value, list) and len(value) == 2}
        return {key: str(value[1]) for key, value in named.items() if value[1]}

    def kind(self) -> str | None:
        """`TEXT`, `XL` or `PIXELS`; None for any other pipeline."""
        classes, name = self.classes(), self.read(INDEX).get("_class_name")
        for kind, wanted in CLASSES.items():
            fits = all(classes.get(part) in names for part, names in wanted.items())
            if fits and classes.keys() <= wanted.keys() | UNUSED and name in PIPELINES[kind]:
                return kind
        return None

    def require(self, with_vae: bool = True) -> str:
        """Kind of the pipeline, after a check that its files are there.

        Raises:
            WeightsError: the pipeline is of another kind, or files are missing; the message names them.
        """
        kind = self.kind()
        if kind is None:
            made_of = ", ".join(f"{part} {name}" for part, name in sorted(self.classes().items()) if part not in UNUSED)
            pipeline = self.read(INDEX).get("_class_name", "pipeline without a name")
            raise WeightsError(
                f"This generator cannot use a {pipeline} (made of {made_of or 'nothing'}).",
                given=self.path,
                expected=SUPPORTED,
                hint=self.elsewhere(),
            )
        absent = self.missing(with_vae)
        if absent:
            some = ", ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
            raise self.error(f"The folder lacks {some}.", "a diffusers folder with all its weights")
        return kind

    def part(self, name: str) -> Path:
        """Folder of a component: its own, or that of the index, as in the first DDPM repositories."""
        return self.path / name if (self.path / name).is_dir() else self.path

    def weights(self, part: str) -> WeightsFiles:
        """The weights files of a network: safetensors, unless there are only pickles; plain ones before variants.

        Raises:
            WeightsError: an index of several files cannot be read.
        """
        return find_weights(self.part(part), files.TEXT if part in TEXT_ENCODERS else files.NETWORK)

    def missing(self, with_vae: bool = True) -> list[str]:
        """Names of the required files that are missing, relative to the folder."""
        needed = [self.part("scheduler") / "scheduler_config.json"]
        for part in CLASSES.get(self.kind() or "", ()):
            place = self.part(part)
            if not part.startswith("tokenizer"):
                needed += [place / "config.json", *self.weights(part).paths] if part != "vae" or with_vae else []
            elif not any(all((place / file).is_file() for file in each) for each in TOKENIZERS):
                needed += [place / file for file in TOKENIZERS[1]]
        return [file.relative_to(self.path).as_posix() for file in needed if not file.is_file()]

    def elsewhere(self) -> str:
        """A command that uses the folder through the generator for pipelines of every family."""
        return f"--generator diffusers:{self.name if self.revision else self.path}   # other families of diffusers"

    def error(self, problem: str, expected: str | None = None) -> WeightsError:
        """Make an error about this folder."""
        return WeightsError(problem, given=self.path, expected=expected, hint=self.hint)
