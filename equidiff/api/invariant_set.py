"""The invariant set as users of Python get it: with the analyses of finished runs as methods."""

from __future__ import annotations

import shutil
import warnings
import weakref
import webbrowser
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from equidiff.analysis.compare.defaults import METHODS
from equidiff.analysis.limits import EVALUATED, ON_PAGE
from equidiff.api.progress import show_progress
from equidiff.errors import RunFolderError
from equidiff.registry.manager import Plugins
from equidiff.registry.specs import parse_list
from equidiff.run import invariant_set
from equidiff.run.finished import Finished
from equidiff.run.reopen import reopen

if TYPE_CHECKING:
    from equidiff.api.results import Comparison, Evaluation, PathResult


class _Home:
    """The run folder of a set: where it was read or saved, or a temporary one, which goes when the set goes.

    Args:
        path: of the run folder, where there is one.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._temporary: Path | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)

    def folder(self, found: InvariantSet) -> Path:
        """The run folder; the set is written to a temporary one where it has none."""
        if self.path is not None and self.path.is_dir():
            return self.path
        if self._temporary is None:
            place = mkdtemp(prefix="equidiff-")
            weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
            self._temporary = invariant_set.InvariantSet.save(found, Path(place) / "run")
        return self._temporary


# `analysis` reads the sets of `run` and lies above it, so that a set in `run` cannot have these methods. They import it
# when they are called, because that takes seconds.
@dataclass(frozen=True, eq=False, repr=False)
class InvariantSet(invariant_set.InvariantSet):
    """Samples that a network cannot tell from the query.

    It is a sequence of its members: `len(found)`, `found[3]`, `found[:4]` and `for member in found` have them in index
    order. In a notebook it shows a card with the query and the members.

    `report`, `evaluate`, `compare` and `path` do what the commands of these names do, and write into the run folder
    that the set was loaded from or saved to; into a temporary one if there is none. They work with the components that
    made the set, objects made in Python included, and build those of a loaded set again.

    It pickles, without the components that made it: what is unpickled is like a set that was loaded from a folder.
    Copies share the components.

    Attributes:
        info: the content of `run.json`: specs, target, seed, counts, versions.
        records: one for each sample asked for, members or not, in index order.
        rows: latents, samples and measurements of all records, in that order; not-a-number where one failed. Those of
            a run folder are read as they are asked for: `rows.take("samples", [3, 7])` reads two.
        query: `[1, ...]`, the query sample; None where the target was given as numbers.
        query_latent: `[1, *latent_shape]`, where the run started from it.
        prior: samples, measurements, losses and, where the network has any, classes of prior samples that the run
            measured before its search; empty for a run of before it did.
    """

    _home: _Home = field(default_factory=_Home)

    def __copy__(self) -> InvariantSet:
        return replace(self, _home=_Home(self._home.path))

    def save(self, path: str | Path) -> Path:
        """Write the set as a run folder, as `equidiff run` would; analyses of the set are written there from then on.

        Args:
            path: where nothing is yet; a leading `~` is the user's home.

        Returns:
            The path of the folder.

        Raises:
            RunFolderError: something is there already, or it cannot be written.
        """
        folder = super().save(path)
        if self._home.path is None:
            self._home.path = folder
        return folder

    @classmethod
    def load(cls, path: str | Path) -> InvariantSet:
        """Read a run folder, as `equidiff.load` does."""
        return cls(**vars(invariant_set.InvariantSet.load(path)), _home=_Home(Path(path).expanduser()))

    def report(
        self,
        path: str | Path | None = None,
        *,
        members: int = ON_PAGE,
        open: bool = False,
        progress: bool | None = None,
    ) -> Path:
        """Put the set on one page, as `equidiff report` does, with all that was evaluated, compared and so on before.

        Args:
            path: file to write; by default `report.html` in the run folder. A set that was neither loaded nor saved has
                a temporary one, which goes when the set goes.
            members: put this many on the page; of a set with more, they are drawn by its seed.
            open: show the page in the browser.
            progress: show a bar; by default where stderr is a terminal, and in notebooks.

        Returns:
            The path of the file.

        Raises:
            RunFolderError: the set has no members, or the page cannot be written.
        """
        from equidiff.analysis.citations import citations
        from equidiff.analysis.report import write_report

        found, folder = self._in_folder()
        cited, _ = citations(self.info, Plugins() if self._session is None else self._session.plugins)
        file = folder / "report.html" if path is None else Path(path).expanduser()
        with show_progress(2 * min(len(self), members), progress) as show:
            written = write_report(found, folder, file, cited, show, members)
        if open:
            webbrowser.open(written.resolve().as_uri())
        return written

    def evaluate(
        self,
        *,
        features: str | None = None,
        reference: str | Path | None = None,
        members: int = EVALUATED,
        batch: int | None = None,
        seed: int | None = None,
        lpips: str | Path | None = None,
        progress: bool | None = None,
    ) -> Evaluation:
        """Measure the members beside prior samples, as `equidiff evaluate` does: target, realism, diversity.

        Args:
            features: spec of the space to compare samples in; by default, one that suits the samples.
            reference: a folder of real images to compare with; prior samples by default.
            members: evaluate this many; of a set with more, they are drawn by its seed.
            batch: samples in one pass; as in the run by default.
            seed: of prior samples and intervals; the run's by default.
            lpips: weights of torchvision's AlexNet, which add LPIPS.
            progress: as in `report`.

        Raises:
            EquiDiffError: the set has no members, its components cannot be built again, or the feature space or the
                reference cannot be used.
        """
        from equidiff.analysis.evaluation import Plan, evaluate
        from equidiff.analysis.evaluation.folder import write_evaluation
        from equidiff.analysis.evaluation.measure import count_rows
        from equidiff.api.results import Evaluation

        finished = self._finished()
        files = (None if each is None else Path(each).expanduser() for each in (reference, lpips))
        plan = Plan(features, next(files), members, batch, seed, next(files))
        with show_progress(count_rows(finished, plan), progress) as show:
            metrics = evaluate(finished, plan, show)
        return Evaluation(metrics, write_evaluation(finished, metrics))

    def compare(
        self, methods: str = METHODS, *, members: int | None = None, batch: int = 16, progress: bool | None = None
    ) -> Comparison:
        """Compare attribution methods on the query and the members, as `equidiff compare` does.

        Args:
            methods: specs, separated by commas, such as "saliency,gradcam"; or "all". They are looked up where those of
                the run were.
            members: explain the first ones, this many: by default as many as before, or 16.
            batch: samples in one pass.
            progress: as in `report`.

        Raises:
            EquiDiffError: the set has no members, its components cannot be built again, or a method is not known.
        """
        from equidiff.analysis.compare.work import draw_images, prepare, run_methods
        from equidiff.api.results import Comparison

        finished = self._finished()
        specs = None if methods.strip() == "all" else parse_list(methods)
        work = prepare(finished, finished.session.plugins, specs, members, batch)
        with show_progress(work.effort, progress) as show:
            for _ in run_methods(work, show):
                pass
        draw_images(work)
        return Comparison(work.folder.path, work.folder.info)

    def path(
        self, first: int, second: int, *, frames: int = 9, gif: bool = False, progress: bool | None = None
    ) -> PathResult:
        """Find a path from one member to another within the set, as `equidiff path` does.

        Args:
            first: index of a member in the run, as in `found[0].index`.
            second: index of another member.
            frames: number of frames, both ends included.
            gif: write an animation too, `path.gif` in the path's folder.
            progress: as in `report`.

        Raises:
            EquiDiffError: one of them is not a member, or the components of the set cannot be built again.
        """
        from equidiff.analysis.path.folder import write_path
        from equidiff.analysis.path.search import find_path
        from equidiff.analysis.path.watch import FrameCounter
        from equidiff.api.results import PathResult

        finished = self._finished()
        problem = finished.session.problem
        with show_progress(frames - 2, progress) as show:
            counter = FrameCounter(show, lambda text: warnings.warn(text, stacklevel=3), frames - 1)
            path = find_path(finished.session, finished.found, first, second, frames, counter)
        folder = write_path(
            finished.path,
            path,
            finished.found,
            lambda samples: problem.objective.measure(samples.to(problem.target.device)),
            gif,
        )
        return PathResult(path, folder)

    def _finished(self) -> Finished:
        found, folder = self._in_folder()
        session = self._session or reopen(self.info, self.query_latent, Plugins(), device="auto")
        return Finished(folder, replace(found, _session=session), session)

    def _in_folder(self) -> tuple[invariant_set.InvariantSet, Path]:
        """The set as its folder has it, where records name their images; and the folder."""
        if not len(self):
            raise RunFolderError(
                "This set has no members.",
                given=f"{len(self.records)} samples",
                expected="a set with at least one member",
                hint=f"equidiff.sample with a budget above {self.info.budget:g}, or a wider tolerance",
            )
        folder = self._home.folder(self)
        return invariant_set.InvariantSet.load(folder), folder


def load(path: str | Path) -> InvariantSet:
    """Read a run folder. Loads no component and runs no code.

    Args:
        path: the folder that `equidiff run` or `InvariantSet.save` wrote; a leading `~` is the user's home.

    Raises:
        RunFolderError: it is no run folder, or damaged.
    """
    return InvariantSet.load(path)
