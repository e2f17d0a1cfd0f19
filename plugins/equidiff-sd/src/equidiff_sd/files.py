"""Weights files of a network in a diffusers folder: one file, or several with an index; plain, or a variant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from equidiff.networks.checkpoints import read_index

# stem and suffix, in order of preference; the second is a pickle
NETWORK = (("diffusion_pytorch_model", "safetensors"), ("diffusion_pytorch_model", "bin"))
TEXT = (("model", "safetensors"), ("pytorch_model", "bin"))
VARIANTS = (None, "fp16", "bf16")  # in order of preference
SHARD = r"-\d{5}-of-\d{5}"


@dataclass(frozen=True)
class WeightsFiles:
    """Weights files of one network.

    Attributes:
        paths: the files with tensors.
        variant: part of their names that says how they were rounded, e.g. "fp16"; None for plain ones.
        index: the file that lists them; None for a single file.
    """

    paths: tuple[Path, ...]
    variant: str | None = None
    index: Path | None = None

    @property
    def safe(self) -> bool:
        """Whether they are safetensors, which hold no code."""
        return self.paths[0].suffix == ".safetensors"


def find_weights(place: Path, forms: Iterable[tuple[str, str]]) -> WeightsFiles:
    """Find the weights in a network's folder; the first file preferred, which is missing, where there are none.

    Args:
        place: folder of the network.
        forms: `NETWORK` or `TEXT`.

    Raises:
        WeightsError: an index cannot be read.
    """
    forms = tuple(forms)
    for stem, suffix in forms:
        for variant in VARIANTS:
            single = place / f"{_named(stem, variant)}.{suffix}"
            if single.is_file():
                return WeightsFiles((single,), variant)
            index = place / f"{_named(f'{stem}.{suffix}.index', variant)}.json"
            if index.is_file():
                return WeightsFiles(tuple(place / name for name in read_index(index)), variant, index)
    stem, suffix = forms[0]
    return WeightsFiles((place / f"{stem}.{suffix}",))


def choose_weights(names: Iterable[str], forms: Iterable[tuple[str, str]]) -> list[str]:
    """The names of the weights that `find_weights` would take, among those of a repository's folder."""
    names = list(names)
    for stem, suffix in forms:
        for variant in VARIANTS:
            start = re.escape(_named(stem, variant))
            for middle in ("", SHARD):
                found = [name for name in names if re.fullmatch(rf"{start}{middle}\.{suffix}", name)]
                if found:
                    return found
    return []


def _named(stem: str, variant: str | None) -> str:
    return f"{stem}.{variant}" if variant else stem
