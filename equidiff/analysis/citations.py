"""Citations for a run: EquiDiff, and the publications that its components implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equidiff.errors import EquiDiffError
from equidiff.registry.specs import Spec, parse_sum

if TYPE_CHECKING:
    from equidiff.registry.descriptors import Reference
    from equidiff.registry.manager import Plugins
    from equidiff.run.info import RunInfo

EQUIDIFF = """\
@software{{equidiff,
  author = {{{{The EquiDiff developers}}}},
  title = {{EquiDiff: sampling the invariant sets of neural networks}},
  version = {{{version}}},
}}"""


def citations(info: RunInfo, plugins: Plugins) -> tuple[list[str], list[str]]:
    """Collect BibTeX entries, each once, and the components whose references are unknown.

    Args:
        info: the content of `run.json`.
        plugins: used to look up components, without loading any.
    """
    found: dict[str, Reference] = {}
    missing = []
    for kind, text in info.specs:
        if kind in info.specs.objects:
            missing.append(f"the {kind} {text}: it was made in Python")
            continue
        for spec in [spec for _, spec in parse_sum(text)] if kind == "objective" else [Spec.parse(text)]:
            try:
                references = plugins.find(kind, spec.name).descriptor.references
            except EquiDiffError as error:
                missing.append(f"the {kind} {spec}: its plugin is no longer installed ({error.problem})")
                continue
            found |= {reference.key: reference for reference in references}
    own = EQUIDIFF.format(version=info.versions["equidiff"])
    return [own, *(reference.bibtex() for reference in found.values())], missing
