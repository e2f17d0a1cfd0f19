"""Loader of a pipeline's components, from safetensors files alone and without code of the folder's own."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, first_line
from equidiff.networks.checkpoints import hash_weights, recognise
from equidiff.networks.libraries import loading_problems, silenced
from equidiff_diffusers.families import family
from equidiff_diffusers.find import UNUSED, Folder, components
from equidiff_diffusers.run import DECODERS

LARGE = 10**9  # parameters of a network from which on it is loaded in bfloat16
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_pipeline(folder: Folder, dtype: str, variant: str | None, context: BuildContext) -> Any:
    """Load a pipeline on the CPU, and record its files in the context.

    Args:
        folder: in the layout of diffusers.
        dtype: of the networks: "float32", "bfloat16", "float16", or "auto" for bfloat16 where a network is large. The
            decoder is always in float32.
        variant: ending of the names of the files to prefer, such as "fp16".
        context: receives the records.

    Raises:
        UnsupportedError: pipelines of this class are not supported.
        WeightsError: files are missing or damaged, do not fit, or come with code of their own.
    """
    index = folder.index()
    family(index["_class_name"])
    pipeline_class = _find_class("diffusers", index["_class_name"])
    takes = inspect.signature(pipeline_class.__init__).parameters
    loaded: dict[str, Any] = {name: None for name in UNUSED if name in takes}
    with silenced("diffusers", "transformers"):
        # the largest network comes last, so that errors are reported before it is loaded
        for name, (library, class_name) in sorted(components(index).items(), key=lambda part: _size(folder, part[0])):
            component_class = _find_class(library, class_name)
            if inspect.isclass(component_class) and issubclass(component_class, nn.Module):
                loaded[name] = _load_network(folder, name, component_class, dtype, variant, context)
        try:
            return pipeline_class.from_pretrained(
                folder.path, local_files_only=True, use_safetensors=True, trust_remote_code=False, **loaded
            )
        except Exception as error:  # each library raises what its readers raise
            raise folder.error(f"The pipeline cannot be loaded: {first_line(error)}") from error


def _find_class(library: str, name: str) -> Any:
    """The class of a component; None where the installed library has none of this name."""
    import diffusers
    import diffusers.pipelines
    import transformers

    places = {"diffusers": diffusers, "transformers": transformers}
    return getattr(places.get(library) or getattr(diffusers.pipelines, library), name, None)


def _size(folder: Folder, part: str) -> int:
    return sum(file.stat().st_size for file in (folder.path / part).glob("*.safetensors"))


def _load_network(
    folder: Folder, part: str, network_class: Any, dtype: str, variant: str | None, context: BuildContext
) -> nn.Module:
    files = folder.weights(part, variant)
    if not files:
        raise folder.error(
            f"The folder lacks {part}'s weights.",
            "safetensors files; others may contain code, and are not read",
            hint="pipeline.save_pretrained('DIR') in diffusers writes them",
        )
    for file in files:
        recognise(file)  # names what it is, if it is not the weights
    named = variant if variant is not None and f".{variant}" in files[0].name else None
    try:
        network, info = network_class.from_pretrained(
            folder.path / part,
            dtype=_dtype(dtype, part, files, context),
            variant=named,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except EquiDiffError:
        raise
    except Exception as error:  # each library raises what its readers raise
        raise folder.error(f"The weights of {part} cannot be loaded: {first_line(error)}") from error
    wrong = loading_problems(info)
    if wrong:
        raise folder.error(f"The weights of {part} do not fit its configuration: {wrong}.")
    for file in files:
        context.weights.append(hash_weights(file, f"{folder.name}/{part}/{file.name}", folder.revision))
    return network


def _dtype(asked: str, part: str, files: list[Path], context: BuildContext) -> torch.dtype:
    if part in DECODERS:
        return torch.float32
    if asked == "auto":
        asked = context.dtype
        count = sum(map(_count, files))
        if count > LARGE and asked != "bfloat16":
            asked = "bfloat16"
            context.notes.append(f"{part}, with {count / 1e9:.1f} billion parameters, was loaded in bfloat16.")
    return DTYPES[asked]


def _count(file: Path) -> int:
    """Number of parameters in a file, from its header."""
    with safe_open(file, "pt") as content:
        return sum(math.prod(content.get_slice(name).get_shape()) for name in content.keys())  # noqa: SIM118
