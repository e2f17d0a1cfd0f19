"""LoRA: small changes of weights, from a safetensors file, added to a pipeline's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equidiff.contracts import BuildContext
from equidiff.errors import UnsupportedError, WeightsError, first_line
from equidiff.networks.checkpoints import hash_weights
from equidiff.networks.hub import find_file
from equidiff.networks.libraries import silenced
from equidiff_diffusers.find import HUB_ID

NAME = "pytorch_lora_weights.safetensors"
EXPECTED = "a safetensors file, a folder with one, or a hub id"


def add_lora(pipeline: Any, place: str, scale: float, context: BuildContext) -> None:
    """Add the changes of a LoRA to the weights of a pipeline, and record its file.

    Args:
        pipeline: is changed.
        place: file, folder or hub id.
        scale: factor on the changes.
        context: receives the record.

    Raises:
        UnsupportedError: this pipeline has no LoRAs.
        WeightsError: there is no such file, or it does not fit.
    """
    if not hasattr(pipeline, "load_lora_weights"):
        raise UnsupportedError(f"A {type(pipeline).__name__} takes no LoRA.", given=f"lora={place}")
    file, name, revision = _find(place)
    try:
        with silenced("diffusers", "transformers"):
            pipeline.load_lora_weights(file.parent, weight_name=file.name, use_safetensors=True, local_files_only=True)
            changed = [part for part, adapters in pipeline.get_list_adapters().items() if adapters]
            if changed:
                pipeline.fuse_lora(components=changed, lora_scale=scale)
                pipeline.unload_lora_weights()
    except Exception as error:  # each library raises what its readers raise
        raise WeightsError(
            f"The LoRA cannot be loaded: {first_line(error)}", given=file, expected="one of this pipeline"
        ) from error
    if not changed:
        raise WeightsError("The LoRA changes no network of this pipeline.", given=file, expected="one of this pipeline")
    context.weights.append(hash_weights(file, name, revision))


def _find(place: str) -> tuple[Path, str, str | None]:
    """The file, its name in `run.json`, and the hub's commit."""
    path = Path(place).expanduser()
    if path.is_file() and path.suffix == ".safetensors":
        return path, path.name, None
    if path.is_dir():
        files = [path / NAME] if (path / NAME).is_file() else sorted(path.glob("*.safetensors"))
        if len(files) == 1:
            return files[0], f"{path.resolve().name}/{files[0].name}", None
        raise WeightsError(
            f"The folder has {len(files) or 'no'} safetensors files.", given=path, expected=f"one, or {NAME} among them"
        )
    if not path.exists() and HUB_ID.fullmatch(place):
        local = place.rpartition("/")[2]
        file = find_file(place, [NAME], f"hf download {place} {NAME} --local-dir {local}\nthen lora=./{local}")
        return file, f"{place}/{NAME}", file.parent.name
    raise WeightsError("There is no such LoRA.", given=f"lora={place}", expected=EXPECTED)
