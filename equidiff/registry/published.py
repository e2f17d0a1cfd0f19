"""Files of a model hub that a run needs, looked for before anything heavy is loaded."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies

from equidiff.errors import EquiDiffError, WeightsError, first_line
from equidiff.registry.descriptors import Published
from equidiff.registry.manager import Plugins
from equidiff.registry.options import read_options
from equidiff.registry.specs import parse_sum

PATIENCE_S = 1.5  # to hear that the hub cannot be reached; a slow network gets as long as it takes


def check_published(plugins: Plugins, specs: Mapping[str, str]) -> None:
    """Refuse a run whose files are neither in the hub's cache nor can be fetched.

    Whatever else may be wrong with the specs is left to those who build from them.

    Args:
        plugins: where specs are looked up.
        specs: what the user typed, by kind of component.

    Raises:
        WeightsError: files are missing and the hub cannot be reached; the hint says how to fetch them by hand, and
            what runs without them.
    """
    needed = {kind: _published(plugins, kind, text) for kind, text in specs.items()}
    missing = [file for each in needed.values() if each is not None for file in each.files if not _is_cached(*file)]
    reason = _unreachable() if missing else None
    if reason is None:
        return
    by_hand = [line for each in needed.values() if each is not None and each.files for line in each.by_hand]
    instead = [word for kind, each in needed.items() if each is not None for word in (f"--{kind}", each.instead)]
    raise WeightsError(
        f"The files of this run are not on this machine, and the model hub cannot be reached: {reason}",
        given="\n".join(f"{repository}: {file}" for repository, file in missing),
        expected="these files, or components whose weights ship with them",
        hint="\n".join([*by_hand, f"equidiff run {' '.join(instead)}   # runs at once, without a download"]),
    )


def _published(plugins: Plugins, kind: str, text: str) -> Published | None:
    try:
        (_, spec), *others = parse_sum(text)
        offer = plugins.find(kind, spec.name)
        if others or not offer.descriptor.published:
            return None
        return plugins.published(offer)(spec.argument, read_options(offer.descriptor, spec))
    except EquiDiffError:
        return None


def _is_cached(repository: str, file: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, file), str)


def _unreachable() -> str | None:
    """The reason why the hub cannot be reached; None where it may be."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if getproxies():
        return None
    parts = urlsplit(constants.ENDPOINT)
    place = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
    found: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection(place, PATIENCE_S).close()
        except TimeoutError:
            pass
        except Exception as error:  # also those of a sandbox that allows no sockets
            found.append(f"{place[0]}: {first_line(error)}")

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return found[0] if found else None
