"""Generators of models in memory."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from equidiff.errors import PluginError

if TYPE_CHECKING:
    from equidiff.contracts import Generator

PLUGIN = "equidiff_diffusers"


def diffusers(pipeline: Any, **options: Any) -> Generator:
    """A diffusers pipeline in memory, for `equidiff.sample(generator=...)`.

    The pipeline stays as it is. Needs the plugin `equidiff-diffusers`.

    Args:
        pipeline: a DiffusionPipeline that starts from noise and makes an image.
        options: `prompt`, `negative`, `guidance`, `label`, `steps`, `size` and `checkpoint`, which mean what they mean
            in a spec; and `call`, a mapping of other arguments of the pipeline's call.

    Raises:
        PluginError: the plugin is not installed.
        EquiDiffError: the pipeline, its scheduler or an option is not supported.
    """
    try:
        build = import_module(f"{PLUGIN}.build")
    except ModuleNotFoundError as error:
        if error.name != PLUGIN:
            raise
        raise PluginError(
            "Pipelines of diffusers need the plugin equidiff-diffusers.",
            given="equidiff.diffusers(...)",
            hint="pip install ./plugins/equidiff-diffusers",
        ) from error
    return build.from_pipeline(pipeline, **options)
