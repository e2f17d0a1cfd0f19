"""Rankings: a scan of images by a network, and the units of a layer in order."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from equidiff.contracts import BuildContext
from equidiff.devices import choose_device
from equidiff.errors import QueryError, RunFolderError, UnknownNameError, UnsupportedError, UsageError, unknown_name
from equidiff.folders.paths import free_path
from equidiff.folders.status import INTERRUPTED, RUNNING
from equidiff.folders.text import shell_word
from equidiff.images.folder import ImageFile, find_images
from equidiff.networks import Network, Units, find_class
from equidiff.rank.folder import RankFolder, check_unranked
from equidiff.rank.scan import Show, scan
from equidiff.rank.scores import Statistics, entropy, selectivity, summarize
from equidiff.rank.specs import check_model, find_units
from equidiff.rank.unit import TopImage, Unit
from equidiff.registry.provenance import versions

SORT_KEYS = ("selectivity", "sparsity", "entropy", "max", "mean", "alignment", "clarity")
ASCENDING = {"entropy"}  # a unit of few classes ranks above one of many


@dataclass(frozen=True)
class Plan:
    """Settings of a scan.

    Attributes:
        images: the folder of the images.
        model: a network with its options, e.g. "mobilenetv2_100,checkpoint=weights.safetensors".
        layer: a layer with its options, e.g. "blocks.6,positions=max"; the input of the classifier's final layer when
            absent.
        labels: a CSV file with the columns `image` and `label`; `find_images` documents the default.
        top: number of strongest images to keep for each unit.
        batch: images per forward pass.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    images: str
    model: str = "fashion"
    layer: str | None = None
    labels: str | None = None
    top: int = 16
    batch: int = 32
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("top", "batch"):
            if (value := getattr(self, name)) < 1:
                raise UsageError(f"The value of {name} is too small.", given=value, expected="an integer of at least 1")


@final
@dataclass(frozen=True)
class Ranking:
    """A finished scan.

    Attributes:
        folder: its folder on disk.
        units: the units of the layer, by index.
    """

    folder: RankFolder
    units: list[Unit]

    @classmethod
    def load(cls, path: Path | str) -> Ranking:
        """Read a finished scan.

        Raises:
            RunFolderError: it is not a ranking, is damaged, or did not finish.
        """
        folder = RankFolder.open(Path(path))
        folder.require_complete()
        return cls(folder, folder.read_units())

    def best(self, count: int, sort: str | None = None) -> list[Unit]:
        """List the first units in an order; units without the value and units that are never active come last.

        Args:
            count: number of units.
            sort: one of `SORT_KEYS`; by default selectivity if the images have labels, else sparsity.

        Raises:
            UsageError: the units do not have that value.
        """
        key = sort or self.default_sort
        if all(getattr(unit, key) is None for unit in self.units):
            needs = "--concepts" if key in {"alignment", "clarity"} else "images with labels"
            raise UsageError(f"The {key} of these units is not known.", given=f"--sort {key}", expected=needs)
        sign = 1 if key in ASCENDING else -1

        def order(unit: Unit) -> tuple[bool, float, float]:
            value = getattr(unit, key)
            return value is None or unit.max <= 0, sign * (value or 0.0), -unit.max

        return sorted(self.units, key=order)[:count]

    @property
    def default_sort(self) -> str:
        """Statistic that units are sorted by unless another is given."""
        return "selectivity" if self.folder.info["classes"] else "sparsity"

    def for_class(self, label: str, count: int) -> list[tuple[Unit, float]]:
        """List the units that respond most to one class, with their selectivity for it (-1 to 1).

        Raises:
            UnknownNameError: no image has that label.
        """
        classes = self.folder.info["classes"]
        if label not in classes:
            raise unknown_name("class among these images", label, classes)
        values = selectivity(self.folder.read_tensors()["class_means"])[:, classes.index(label)].nan_to_num(-1.0)
        order = values.sort(descending=True, stable=True)
        pairs = zip(order.indices[:count].tolist(), order.values[:count].tolist(), strict=True)
        return [(self.units[index], value) for index, value in pairs]


@final
@dataclass(frozen=True)
class Scan:
    """Scan that is prepared, or partly done."""

    plan: Plan
    folder: RankFolder
    units: Units
    specs: list[str]

    def run(self, show: Show = lambda done, state: None) -> Ranking:
        """Scan the remaining images and rank the units.

        Args:
            show: called with the number of finished images and a line about them.

        Raises:
            QueryError: none of the images can be read.
            KeyboardInterrupt: passed on once the state and all finished files of activations are on disk.
        """
        info, started = self.folder.info, time.monotonic()
        info["status"] = RUNNING
        try:
            scan(self.folder, Path(info["settings"]["images"]), self.units, self.plan.batch, show)
        except KeyboardInterrupt:
            self._note(INTERRUPTED, started)
            raise
        self._note(RUNNING, started)
        return self._conclude()

    def _note(self, status: str, started: float) -> None:
        info = self.folder.info
        scanned = len(self.folder.images) - sum(map(len, self.folder.missing()))
        info["broken"] = self.folder.broken()
        info["counts"] |= {"scanned": scanned, "broken": len(info["broken"])}
        info |= {"status": status, "wall_s": round(info.get("wall_s", 0.0) + time.monotonic() - started, 3)}
        self.folder.write()

    def _conclude(self) -> Ranking:
        folder, classes = self.folder, self.folder.info["classes"]
        broken = folder.info["broken"]
        if len(broken) == len(folder.images):
            image, reason = next(iter(broken.items()))
            raise QueryError(
                f"None of the {len(broken)} images can be read.", given=f"{image}: {reason}", expected="8-bit images"
            )
        numbers = {label: number for number, label in enumerate(classes)}
        labels = [None if file.label is None else numbers[file.label] for file in folder.images]
        found = summarize(folder.activations(), labels, len(classes), self.plan.top)
        units = describe_units(found, self.specs, folder.images, classes)
        folder.finish(units, vars(found))
        return Ranking(folder, units)


def begin(plan: Plan, out: Path | None = None) -> Scan:
    """Prepare a scan and create its folder.

    Args:
        plan: settings of the scan.
        out: the folder to create; by default named after the time, the model and the layer.

    Raises:
        EquiDiffError: the network, the layer or the images cannot be found or used.
    """
    if out is not None:
        check_unranked(out)
    context = BuildContext(choose_device(plan.device))
    units, specs = find_units(plan.model, plan.layer, context)
    images = _find_images(plan, units.tap.network)
    places = {"images": plan.images, "labels": plan.labels}
    where = {name: value and os.path.abspath(Path(value).expanduser()) for name, value in places.items()}
    description = {
        "settings": asdict(plan) | where,
        "layer": units.tap.name,
        "reduction": units.reduction,
        "units": len(specs),
        "first_unit": specs[0],
        "classes": sorted({file.label for file in images if file.label is not None}),
        "device": context.device,
        "versions": versions([]),
        "weights": _weights(context),
    }
    path = out or free_path(plan.model.partition(",")[0], units.tap.name, Path("rankings"))
    return Scan(plan, RankFolder.create(path, description, images), units, specs)


def resume(path: Path, model: str | None = None) -> Scan:
    """Prepare the rest of a scan, none of whose inputs may have changed; a network that is a program is named again.

    Raises:
        RunFolderError: the folder is not a ranking, or its weights or images have changed.
    """
    folder = RankFolder.open(path)
    plan = Plan(**folder.info["settings"])
    check_model(plan.model, model, path)
    context = BuildContext(choose_device(plan.device))
    units, specs = find_units(plan.model, plan.layer, context)
    if _weights(context) != folder.info["weights"]:
        raise RunFolderError("The weights have changed since the scan began.", given=path, expected="the same file")
    images = _find_images(plan, units.tap.network)
    if images != folder.images:
        differ = len(set(images) ^ set(folder.images))
        raise RunFolderError(
            f"The images have changed since the scan began; new, missing or relabelled: {differ}.",
            given=plan.images,
            expected=f"the {len(folder.images)} images of {path / 'images.csv'}",
            hint=f"equidiff rank --images {shell_word(plan.images)}   # a new scan",
        )
    return Scan(plan, folder, units, specs)


def rank(plan: Plan, out: Path | None = None) -> Ranking:
    """Scan a folder of images with a network and rank the units of a layer.

    Args:
        plan: settings of the scan.
        out: the folder to create; by default named after the time, the model and the layer.

    Raises:
        EquiDiffError: the network, the layer or the images cannot be found or used.
    """
    return begin(plan, out).run()


def describe_units(
    found: Statistics, specs: Sequence[str], images: Sequence[ImageFile], classes: Sequence[str]
) -> list[Unit]:
    """Describe each unit, as a line of `units.jsonl`.

    Args:
        found: the statistics.
        specs: the spec of each unit.
        images: the image of each row.
        classes: the class of each column of the class means.
    """
    by_class = selectivity(found.class_means).nan_to_num(-math.inf)
    units = []
    for index, spec in enumerate(specs):
        strongest = zip(found.top_rows[index].tolist(), found.top_values[index].tolist(), strict=True)
        top = tuple(TopImage(images[row].path, value, images[row].label) for row, value in strongest)
        known: dict[str, Any] = {}
        if classes and found.maximum[index] > 0:
            best = int(by_class[index].argmax())
            labelled = [image for image in top if image.label is not None]
            known = {
                "best_class": classes[best],
                "selectivity": float(by_class[index, best]),
                "entropy": entropy([(str(image.label), image.activation) for image in labelled]),
            }
        numbers = (getattr(found, name)[index].item() for name in ("mean", "maximum", "active", "sparsity"))
        units.append(Unit(index, spec, *numbers, top=top, **known))
    return units


def _find_images(plan: Plan, network: Network) -> list[ImageFile]:
    if len(network.sample_shape) != 3:
        raise UnsupportedError(f"{network.name} takes no images.", given=plan.model, expected="a network for images")
    files = find_images(Path(plan.images).expanduser(), None if plan.labels is None else Path(plan.labels).expanduser())
    names = {label: _class_name(network, label) for label in {file.label for file in files} if label is not None}
    return [ImageFile(file.path, None if file.label is None else names[file.label]) for file in files]


def _class_name(network: Network, label: str) -> str:
    """Name that the network itself gives to a class labelled by index, synset or another of its names."""
    if network.classes is None:
        return label
    try:
        return network.classes[find_class(network, label, len(network.classes))]
    except UnknownNameError:
        return label


def _weights(context: BuildContext) -> list[dict[str, Any]]:
    return [{name: value for name, value in vars(file).items() if value is not None} for file in context.weights]
