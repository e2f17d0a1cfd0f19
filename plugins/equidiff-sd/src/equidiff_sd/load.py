"""Loader of a pipeline's components, one by one, from a diffusers folder."""

from __future__ import annotations

from typing import Any

from equidiff.contracts import BuildContext
from equidiff.errors import first_line
from equidiff.networks.checkpoints import hash_weights, read_content, recognise
from equidiff.networks.libraries import loading_problems, silenced
from equidiff_sd.folder import TEXT_ENCODERS, Folder


def load_model(folder: Folder, part: str, model_class: Any, context: BuildContext) -> Any:
    """Load a network from a folder, in float32 on the CPU, and record its file in the context.

    Args:
        folder: has the part's files.
        part: "unet", "vae", "text_encoder" or "text_encoder_2"; anything else is looked for at the top of the folder.
        model_class: class of diffusers or transformers that the index names.
        context: receives the record.

    Raises:
        WeightsError: the file is damaged, or its tensors are not those of the configuration.
    """
    files = folder.weights(part)
    for file in files.paths:
        recognise(file)  # names what it is, if it is not the weights
        if not files.safe:
            read_content(file)  # refuses a pickle with code in it, even if the library's own reader would run it
    # diffusers reads several files only into a network that has no memory yet
    options: dict[str, Any] = {} if part in TEXT_ENCODERS else {"low_cpu_mem_usage": files.index is not None}
    options |= {"use_safetensors": files.safe, "variant": files.variant}
    options |= {"local_files_only": True, "output_loading_info": True}
    try:
        with silenced("diffusers", "transformers"):
            model, info = model_class.from_pretrained(files.paths[0].parent, **options)
    except Exception as error:  # each library raises what its readers raise
        raise folder.error(f"The weights of {part} cannot be loaded: {first_line(error)}") from error
    wrong = loading_problems(info)
    if wrong:
        raise folder.error(f"The weights of {part} do not fit its configuration: {wrong}.")
    for file in files.paths:
        record = hash_weights(file, f"{folder.name}/{file.relative_to(folder.path).as_posix()}", folder.revision)
        if record not in context.weights:
            context.weights.append(record)
    return model.float()
