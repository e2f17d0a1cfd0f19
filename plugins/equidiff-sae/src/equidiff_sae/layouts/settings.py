"""Settings as a layout stores them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from equidiff.errors import WeightsError

Tensors = dict[str, Tensor]


class Settings:
    """Settings as a layout stores them; those that affect results must be present.

    Args:
        content: the settings as stored.
        path: file of the settings, for messages.
    """

    def __init__(self, content: Mapping[str, Any], path: Path) -> None:
        self.content = content
        self.path = path

    def need(self, *names: str) -> Any:
        """The first of these settings that is present.

        Raises:
            WeightsError: none of them is present.
        """
        for name in names:
            if name in self.content:
                return self.content[name]
        raise self.wrong(f"The autoencoder's settings do not say its {names[0]}.", None, " or ".join(names))

    def need_number(self, name: str) -> float:
        """A setting that is a number.

        Raises:
            WeightsError: it is absent, or something else.
        """
        value = self.need(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(f"The autoencoder's settings have no {name}.", value, f"{name}: a number")
        return float(value)

    def get(self, name: str, default: Any = None) -> Any:
        """A setting that may be absent."""
        return self.content.get(name, default)

    def pick(self, what: str, given: Any, known: Mapping[Any, str]) -> str:
        """Translate a value to the name that this package uses.

        Raises:
            WeightsError: the value is unknown.
        """
        if given not in known:
            known_names = ", ".join(str(key) for key in known if key is not None)
            raise self.wrong(f"The {what} of this autoencoder is not supported.", given, f"one of {known_names}")
        return known[given]

    def wrong(self, problem: str, given: Any, expected: str) -> WeightsError:
        """Make an error about these settings."""
        return WeightsError(
            problem, given=f"{given} in {self.path}" if given is not None else self.path, expected=expected
        )

    def refuse(self, what: str, given: Any, reason: str) -> WeightsError:
        """Make the error for something that is not supported, with the reason."""
        return WeightsError(f"{what} is not supported: {reason}", given=f"{given} in {self.path}")
