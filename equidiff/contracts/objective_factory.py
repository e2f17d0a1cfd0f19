"""The contract of objectives made in Python that need to know the run before they can be built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from equidiff.contracts.context import BuildContext
from equidiff.contracts.objective import Objective


class ObjectiveFactory(ABC):
    """An objective that a run builds for its generator and its device.

    Attributes:
        spec: stands for it in `run.json`; in angle brackets, because no spec string can name it.
        options: as recorded in `run.json`; JSON can hold them.
    """

    spec: str
    options: Mapping[str, Any]

    @abstractmethod
    def build(self, context: BuildContext) -> Objective:
        """Build the objective.

        Args:
            context: the run's generator and device; weights are appended to its list.
        """
