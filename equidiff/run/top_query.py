"""`--query top:FOLDER`: the image of a folder that has the highest measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from equidiff.builtin.objectives.descriptors import NeuronOptions
from equidiff.contracts import BuildContext, Weights
from equidiff.errors import QueryError
from equidiff.folders.text import shell_word
from equidiff.images.folder import TELL_EVERY_S, find_images
from equidiff.images.read import IMAGES, is_there
from equidiff.rank.folder import RankFolder
from equidiff.registry.build import Built
from equidiff.registry.specs import Spec
from equidiff.run.measure import measure_files
from equidiff.run.query import require_images

PREFIX = "top:"
HINT = "--query top:PHOTOGRAPHS"


def resolve_top(
    query: Any, objective: Built, context: BuildContext, tell: Callable[[str], None] = lambda _doing: None
) -> Any:
    """Replace `top:FOLDER` by the path of the image in the folder that has the highest measurement.

    If the objective has several outputs, which must be positions of one unit, their mean counts. A folder that
    `equidiff rank` made stands for the images that it ranks: nothing is measured again.

    Args:
        query: as the user gave it; any other than `top:FOLDER` is returned as it is.
        objective: measures the images.
        context: of the run: its generator, its device, and the files that it has loaded, to tell a ranking of the
            same network.
        tell: called with how far the search is, where it takes longer than two seconds.

    Raises:
        QueryError: there is no image that can be measured, the outputs are not of one unit, or the ranking is of
            other units.
        RunFolderError: the ranking cannot be read, or did not finish.
    """
    if not isinstance(query, str) or not query.startswith(PREFIX):
        return query
    folder = Path(query.removeprefix(PREFIX)).expanduser()
    names = objective.component.names
    units = {name.partition("[")[0] for name in names}
    if len(units) > 1:
        raise QueryError(
            f"top:FOLDER needs a single unit, and this objective has {len(names)} outputs.",
            given=f"{query}, for {objective.spec}",
            expected="a neuron, a class or a feature; all positions of one will do",
            hint=f"--query {shell_word(f'{PREFIX}{folder}')} with one of: " + ", ".join(list(names)[:3]),
        )
    if is_there(folder) and (folder / "rank.json").exists():
        return str(_look_up(folder, units.pop(), objective, context.weights))
    return str(_measure(folder, objective, context, tell))


def _measure(folder: Path, objective: Built, context: BuildContext, tell: Callable[[str], None]) -> Path:
    assert context.generator is not None  # objectives are built after the generator
    require_images(context.generator, f"top:{folder}")
    best: tuple[float, Path] | None = None
    files = find_images(folder, tell=tell)
    problem, told = "", time.monotonic()
    every = measure_files(folder, files, objective.component, context.generator, context.device)
    for number, (path, measured) in enumerate(every):
        if time.monotonic() - told >= TELL_EVERY_S:
            told = time.monotonic()
            tell(f"looking for the query: {number:,} of {len(files):,} images are measured")
        if isinstance(measured, QueryError):
            problem = problem or f"{path.relative_to(folder).as_posix()}: {measured.problem}"
            continue
        value = float(measured.mean())
        if best is None or value > best[0]:
            best = (value, path)
    if best is None:
        raise QueryError("None of these images can be read.", given=problem, expected=IMAGES)
    return best[1]


def _look_up(folder: Path, name: str, objective: Built, weights: Sequence[Weights]) -> Path:
    ranking = RankFolder.open(folder)
    ranking.require_complete()
    info = ranking.info
    layer, _, index = name.rpartition(".")
    asked = {"layer": layer, "known": True, **_reading_options(objective.options)}
    ranked = {
        "layer": info["layer"],
        "known": {file["sha256"] for file in info["weights"]} <= {file.sha256 for file in weights},
        **_reading_options(NeuronOptions.model_validate(Spec.parse(info["first_unit"]).options).model_dump()),
    }
    if asked != ranked or not index.isdecimal():
        raise QueryError(
            "This ranking is of other units.",
            given=objective.spec,
            expected=f"a unit of {info['layer']}, such as {info['first_unit']}",
            hint=f"--query {shell_word(PREFIX + info['settings']['images'])} measures the images themselves",
        )
    return Path(info["settings"]["images"]) / ranking.read_units()[int(index)].top[0].image


def _reading_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide a unit's value, beside its layer and the weights."""
    special = {options.get("positions"), options.get("tokens")} - {"mean", "all", None}  # of all, the mean counts
    return {"reduction": special, **{name: options.get(name) for name in ("mean", "std", "pad")}}
