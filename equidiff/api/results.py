"""Results of the analyses, as users of Python get them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image
from torch import Tensor

from equidiff.analysis.compare.folder import AttributionFolder
from equidiff.analysis.compare.work import COLUMNS, complete_entries
from equidiff.analysis.path.drawing import describe_frames
from equidiff.analysis.path.search import SetPath
from equidiff.api.tables import Table
from equidiff.errors import RunFolderError
from equidiff.images.convert import is_image_shape, to_image
from equidiff.images.read import read_drawn


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Measures of a set's members beside prior samples: four sentences, and a table.

    Attributes:
        metrics: the content of `metrics.json`.
        file: that file.
    """

    metrics: Mapping[str, Any]
    file: Path

    @property
    def warnings(self) -> list[str]:
        """Cautions for whoever reads the numbers."""
        return self.metrics["warnings"]

    @property
    def verdicts(self) -> list[str]:
        """Four sentences: do members hit the target, survive saving, look like prior samples, are they as diverse?"""
        return [each["sentence"] for each in self.metrics.get("verdicts", [])]

    def to_pandas(self) -> Any:
        """Make a `pandas.DataFrame` with a row for each metric.

        Its columns: group, name, label, members, low and high (a 95 % confidence interval), prior, reference, unit.
        """
        columns = ("group", "name", "label", "members", "low", "high", "prior", "reference", "unit")
        rows = [
            (group, name, each["label"], each["value"], *each.get("interval", (None, None)),
             each.get("plain"), each.get("reference"), each["unit"])
            for group, metrics in self.metrics["groups"].items() for name, each in metrics.items()
        ]  # fmt: skip
        return Table(columns, rows).to_pandas()

    def __repr__(self) -> str:
        return "\n".join([*self.verdicts, self._table().to_text(), *self.warnings])

    def _repr_html_(self) -> str:
        verdicts, warnings = (
            [Markup("<p>{}</p>").format(text) for text in texts] for texts in (self.verdicts, self.warnings)
        )
        return str(Markup("").join([*verdicts, self._table().to_html(), *warnings]))

    def _table(self) -> Table:
        rows = [
            (each["label"], each["value"], _between(each.get("interval")), each.get("plain"), each["unit"])
            for metrics in self.metrics["groups"].values()
            for each in metrics.values()
        ]
        # of one output, all deviations are the same number
        distinct = {row[1:]: row for row in reversed(rows)}
        return Table(("", "members", "95 % interval", "prior samples", "unit"), [*reversed(distinct.values())])


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Attribution methods on a set: their maps, and numbers about them. In a notebook it shows both.

    Attributes:
        folder: the run's folder `attributions`.
        info: the content of its `attributions.json`, earlier comparisons of the set included.
    """

    folder: Path
    info: Mapping[str, Any]

    @property
    def image(self) -> Image.Image:
        """The maps of all methods on the query and the first members."""
        file = self.folder / "compare.png"
        image = read_drawn(file)
        if image is None:
            raise RunFolderError("The image of the maps cannot be read.", given=file, hint="equidiff compare RUN")
        return image

    @property
    def problems(self) -> dict[str, str]:
        """Methods that did not fit or failed, and the reasons."""
        return {entry["spec"]: entry["reason"] for entry in self.info["methods"] if "reason" in entry}

    def maps(self, method: str) -> dict[str, Tensor]:
        """Maps of one method: `query` `[1, height, width]` where there is one, and `members` `[n, height, width]`.

        Args:
            method: its spec, such as "saliency".
        """
        files = {entry["spec"]: entry["file"] for entry in self._complete()}
        return AttributionFolder(self.folder, dict(self.info)).load(files[method])

    def to_pandas(self) -> Any:
        """Make a `pandas.DataFrame` with a row for each method, the random control last."""
        names = self._numbers()
        rows = [(entry["spec"], *(entry["numbers"].get(name) for name in names)) for entry in self._complete()]
        return Table(("method", *names), rows).to_pandas()

    def __repr__(self) -> str:
        problems = [f"{spec}: {reason}" for spec, reason in self.problems.items()]
        return "\n".join([self._table().to_text(), *problems])

    def _repr_html_(self) -> str:
        parts = [self._table().to_html(), *(_paragraph(*each) for each in self.problems.items())]
        return str(Markup("").join([*parts, _picture(self.folder / "compare.png", "maps of each method")]))

    def _complete(self) -> list[dict[str, Any]]:
        return complete_entries(AttributionFolder(self.folder, dict(self.info)))

    def _table(self) -> Table:
        known = [name for name in self._numbers() if name in COLUMNS]
        rows = [(entry["spec"], *(entry["numbers"].get(name) for name in known)) for entry in self._complete()]
        return Table(("method", *(COLUMNS[name] for name in known)), rows)

    def _numbers(self) -> list[str]:
        names = dict.fromkeys(name for entry in self._complete() for name in entry["numbers"])
        return [name for name in names if name != "spread"]


@dataclass(frozen=True, eq=False, repr=False)
class PathResult:
    """A path between two members. In a notebook it shows the filmstrip.

    Attributes:
        path: its frames: records, latents, samples and measurements.
        folder: its folder in the run's `paths`.
    """

    path: SetPath
    folder: Path

    @property
    def images(self) -> list[Image.Image]:
        """The frames that are members, as 8-bit images; none for samples of other kinds."""
        samples = self.path.rows["samples"]
        return [to_image(samples[frame]) for frame in self.path.members] if is_image_shape(samples.shape[1:]) else []

    @property
    def image(self) -> Image.Image | None:
        """The filmstrip, or the path in the plane; None where there is nothing to draw."""
        return read_drawn(self.folder / "path.png")

    def __repr__(self) -> str:
        return f"<Path from {describe_frames(self.path)}>"

    def _repr_html_(self) -> str:
        text = f"From {describe_frames(self.path)}"
        file = self.folder / "path.png"
        return str(Markup("<p>{}</p>").format(text) + (_picture(file, text) if file.exists() else ""))


def _between(interval: list[float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.3g} to {interval[1]:.3g}"


def _paragraph(name: str, text: str) -> Markup:
    return Markup("<p>{}: {}</p>").format(name, text)


def _picture(file: Path, text: str) -> Markup:
    data = base64.b64encode(file.read_bytes()).decode()
    return Markup('<img alt="{}" style="max-width: 100%" src="data:image/png;base64,{}">').format(text, data)
