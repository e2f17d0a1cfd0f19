"""Loader of a pipeline's components, one by one, from a diffusers folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from equidiff.contracts import BuildContext
from equidiff.errors import first_line
from equidiff.networks.checkpoints import hash_weights, read_content, recognise
from equidiff_sd.folder import TEXT_ENCODERS, Folder

WRONG = ("missing", "unexpected", "mismatched")
IGNORED = "position_ids"  # a table of 0, 1, 2, ... in old files, which no network reads


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
        with _quiet():
            model, info = model_class.from_pretrained(files.paths[0].parent, **options)
    except Exception as error:  # each library raises what its readers raise
        raise folder.error(f"The weights of {part} cannot be loaded: {first_line(error)}") from error
    wrong = {name: [key for key in _keys(info.get(f"{name}_keys")) if IGNORED not in key] for name in WRONG}
    if any(wrong.values()):
        text = "; ".join(f"{len(keys)} {name} ({', '.join(keys[:3])})" for name, keys in wrong.items() if keys)
        raise folder.error(f"The weights of {part} do not fit its configuration: {text}.")
    for file in files.paths:
        record = hash_weights(file, f"{folder.name}/{file.relative_to(folder.path).as_posix()}", folder.revision)
        if record not in context.weights:
            context.weights.append(record)
    return model.float()


def _keys(keys: Any) -> list[str]:
    """Names of tensors; libraries list shapes beside those that are mismatched."""
    return sorted(key if isinstance(key, str) else str(key[0]) for key in keys or ())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the libraries' progress bars and reports; an error message says what is wrong."""
    import diffusers.utils.logging as diffusers_log
    import transformers.utils.logging as transformers_log

    before = [(log, log.get_verbosity(), log.is_progress_bar_enabled()) for log in (diffusers_log, transformers_log)]
    try:
        for log, _, _ in before:
            log.set_verbosity(log.CRITICAL)
            log.disable_progress_bar()
        yield
    finally:
        for log, verbosity, bars in before:
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()
