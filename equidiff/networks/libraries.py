"""Loading models with the code of other libraries: they are kept quiet, and what they report is checked."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

WRONG = ("missing", "unexpected", "mismatched")
IGNORED = "position_ids"  # a table of 0, 1, 2, ... in old files, which no network reads


@contextmanager
def silenced(*libraries: str) -> Iterator[None]:
    """Silence the progress bars and reports of diffusers and transformers; an error message says what is wrong.

    Args:
        libraries: "diffusers", "transformers", or both.
    """
    logs: list[Any] = [importlib.import_module(f"{library}.utils.logging") for library in libraries]
    before = [(log, log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
    try:
        for log in logs:
            log.set_verbosity(log.CRITICAL)
            log.disable_progress_bar()
        yield
    finally:
        for log, verbosity, bars in before:
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()


@contextmanager
def without_logging(level: int) -> Iterator[None]:
    """Drop log lines up to this level, such as open_clip's about random weights that are filled next."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(before)


def loading_problems(info: Mapping[str, Any]) -> str | None:
    """Tensors that do not fit, of the report that `from_pretrained` gives for `output_loading_info`; None if all do."""
    wrong = {name: [key for key in _keys(info.get(f"{name}_keys")) if IGNORED not in key] for name in WRONG}
    return "; ".join(f"{len(keys)} {name} ({', '.join(keys[:3])})" for name, keys in wrong.items() if keys) or None


def _keys(keys: Any) -> list[str]:
    """Names of tensors; libraries list shapes beside those that are mismatched."""
    return sorted(key if isinstance(key, str) else str(key[0]) for key in keys or ())
