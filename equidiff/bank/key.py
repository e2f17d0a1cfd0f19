"""Keys of banks and of their columns: everything that a sample, or its measurement, depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from equidiff.folders import text
from equidiff.registry.manager import FROM_FILE
from equidiff.registry.provenance import versions

if TYPE_CHECKING:
    from equidiff.contracts import Weights
    from equidiff.registry.build import Built

UINT8, FLOAT32 = "uint8", "float32"
LETTERS = 16  # of a key's name


@dataclass(frozen=True)
class BankKey:
    """All that the samples of a bank depend on, besides their numbers.

    Attributes:
        generator: its spec in canonical form.
        options: its options, defaults included.
        weights: name and SHA-256 of each file that it loaded.
        dtype: "float32", "tf32" or "bfloat16".
        device: kind of the torch device, such as "cuda"; kernels of another one round otherwise.
        stored: "uint8" for images and "int16" for sounds as their files hold them, "float32" for samples before
            rounding, and for those of other kinds.
        versions: of torch, EquiDiff and the generator's plugin.
    """

    generator: str
    options: dict[str, Any]
    weights: tuple[tuple[str, str], ...]
    dtype: str
    device: str
    stored: str
    versions: dict[str, str]

    @property
    def name(self) -> str:
        """The name of the bank's folder."""
        return fingerprint(asdict(self))


def bank_key(built: Built, weights: Iterable[Weights], dtype: str, device: str, stored: str) -> BankKey | None:
    """The key of a generator's bank; None where nothing is known that its samples depend on.

    That is the case for a generator that was made in Python, and for one of a plugin that is a single file, whose code
    may change without a new version.
    """
    code = versions([built])
    if built.spec.startswith("<") or FROM_FILE in code.values():
        return None
    files = tuple((file.name, file.sha256) for file in weights)
    own = {name: version for name, version in code.items() if name != "python"}
    return BankKey(built.spec, built.options, files, dtype, device.partition(":")[0], stored, own)


def fingerprint(values: Any) -> str:
    """A name for values of JSON."""
    return hashlib.sha256(text.to_json(values).encode("utf-8", "surrogatepass")).hexdigest()[:LETTERS]
