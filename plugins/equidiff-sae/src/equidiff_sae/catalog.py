"""Catalog of the autoencoders that EquiDiff knows by name: published ones and its own. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from equidiff.errors import UnknownNameError, unknown_name
from equidiff.folders.json_files import parse_json
from equidiff.plugin import Published
from equidiff_sae.config import join_hook, split_hook

if TYPE_CHECKING:
    from equidiff_sae.plugin import SaeOptions

# the one that Prisma's README recommends to try first
PRISMA_DEFAULT = "sparse-autoencoder-clip-b-32-sae-vanilla-x64-layer-11-hook_resid_post-l1-1e-05"
PRISMA_FAMILY = "clip-b32-datacomp/Vanilla SAEs (All Patches)"
FASHION_SAE, FASHION_VIT = "fashion-sae", "fashion-vit"
_HOOK = re.compile(r"blocks\.\d+\.[\w.]+")


@dataclass(frozen=True)
class Entry:
    """An autoencoder that is known by name.

    Attributes:
        name: the repository's name without its organisation, or "fashion-sae".
        repo: hub id of its repository; None for the one that ships.
        family: published table that lists it.
        model: name of its Vision Transformer.
        hook: hook name of the activations that it reads, e.g. "blocks.11.hook_resid_post".
        tokens: tokens that it was trained on: "cls", "patches" or "all".
        d_sae: number of features.
        explained_variance: published value, in [0, 1]; None if there is none.
        l0: published mean number of active features at a token; None if there is none.
    """

    name: str
    repo: str | None
    family: str
    model: str
    hook: str
    tokens: str
    d_sae: int
    explained_variance: float | None
    l0: float | None


@cache
def entries() -> tuple[Entry, ...]:
    """All entries: the one that ships, then the published ones."""
    return (_own(), *map(_published, _read("catalog.json")))


def default_for(network: str | None, layer: int | None, site: str | None) -> Entry:
    """The default autoencoder.

    For EquiDiff's own garments ("fashion"), it is the one that ships. For all others, it is Prisma's vanilla SAE of
    CLIP ViT-B/32 on all tokens of layer 11's residual stream, or of the given layer and site.

    Raises:
        UnknownNameError: no autoencoder has that layer and site.
    """
    if network == "fashion":
        return entries()[0]
    if layer is None and site is None:
        return next(entry for entry in entries() if entry.name == PRISMA_DEFAULT)
    hook = join_hook(11 if layer is None else layer, site or "resid_post")
    family = [entry for entry in entries() if entry.family == PRISMA_FAMILY]
    return _one([entry for entry in family if entry.hook == hook], hook, family)


def find_entry(text: str, layer: int | None, site: str | None) -> Entry | None:
    """Find the entry of a name, or of a part of a name between punctuation marks; None if there is none.

    Args:
        text: e.g. "CLS_9", "DINO" or a whole repository name, in any case.
        layer: only entries of this layer.
        site: only entries of this site.

    Raises:
        UnknownNameError: several entries match; the message lists some.
    """
    for entry in entries():
        if text.casefold() in (entry.name.casefold(), (entry.repo or "").casefold()):
            return entry
    part = re.compile(rf"(?<![0-9a-z]){re.escape(text.casefold())}(?![0-9a-z])")
    hits = [entry for entry in entries() if part.search(entry.name.casefold())]
    if layer is not None:
        hits = [entry for entry in hits if (split_hook(entry.hook) or (None,))[0] == layer]
    if site is not None:
        hits = [entry for entry in hits if (split_hook(entry.hook) or (None, None))[1] == site]
    return _one(hits, text, hits) if hits else None


def unknown_entry(text: str) -> UnknownNameError:
    """Make the error for an unknown name; it shows the nearest ones."""
    return unknown_name(
        "autoencoder",
        text,
        [entry.name for entry in entries()],
        hint="equidiff show objective sae lists them; sae=PATH or sae=ORGANISATION/NAME names another",
    )


def published(argument: str | None, options: SaeOptions) -> Published | None:
    """A feature that needs no files; those that a published autoencoder needs are told when it is built."""
    return Published((), (), "sae:17")


def listing() -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Columns and rows for `equidiff show objective sae`."""
    columns = ("autoencoder", "layer", "site", "tokens", "width", "L0", "EV %")
    return columns, [_row(entry) for entry in entries()]


@cache
def fashion_facts() -> dict[str, Any]:
    """Measurements of the autoencoder that ships, and a line about each feature that is worth a look."""
    return _read("weights/fashion-sae/features.json")


def _row(entry: Entry) -> tuple[object, ...]:
    layer, site = split_hook(entry.hook) or ("", entry.hook)
    variance = "" if entry.explained_variance is None else f"{100 * entry.explained_variance:.1f}"
    return (entry.name, layer, site, entry.tokens, entry.d_sae, "" if entry.l0 is None else f"{entry.l0:g}", variance)


def _own() -> Entry:
    facts = fashion_facts()
    return Entry(
        name=FASHION_SAE,
        repo=None,
        family="EquiDiff",
        model=FASHION_VIT,
        hook=facts["hook"],
        tokens=facts["tokens"],
        d_sae=facts["d_sae"],
        explained_variance=facts["explained_variance"],
        l0=facts["l0"],
    )


def _published(line: dict[str, Any]) -> Entry:
    return Entry(
        name=line["repo"].partition("/")[2],
        repo=line["repo"],
        family=line["family"],
        model=line["vit"].partition(" ")[0],
        hook=_HOOK.findall(line["hook"])[0],  # a transcoder's entry names its output, too
        tokens=line["tokens"],
        d_sae=line["d_sae"],
        explained_variance=float(line["ev_percent"]) / 100 if line.get("ev_percent") else None,
        l0=float(line["l0"]) if line.get("l0") else None,
    )


def _one(hits: list[Entry], query: str, near: Iterable[Entry]) -> Entry:
    if len(hits) == 1:
        return hits[0]
    some = [entry.name for entry in near][:6]
    raise UnknownNameError(
        f"{len(hits) or 'No'} published autoencoders match {query!r}.",
        given=query,
        expected="one of " + ", ".join(some) + (", ..." if len(some) == 6 else ""),
        hint="equidiff show objective sae",
    )


def _read(name: str) -> Any:
    return parse_json((files("equidiff_sae") / name).read_bytes())
