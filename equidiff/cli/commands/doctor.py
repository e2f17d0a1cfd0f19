"""`equidiff doctor`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equidiff.cli.options import Plain, PluginFiles, Traceback
from equidiff.errors import UsageError

if TYPE_CHECKING:
    from equidiff.cli.console import Terminal
    from equidiff.contracts import Finding

Generator = Annotated[
    str | None,
    typer.Option("--generator", "-g", metavar="SPEC", help="Examine this generator: build it, predict memory."),
]
Objective = Annotated[
    str | None, typer.Option("--objective", "-o", metavar="SPEC", help="Examine this objective, too.")
]
Regularizer = Annotated[
    str | None, typer.Option("--regularizer", "-r", metavar="SPEC", help="Whose views the memory is to include.")
]
Samples = Annotated[
    int | None, typer.Option("--samples", "-n", metavar="COUNT", help="Samples in one pass (default: 16).")
]
Images = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Pictures to try the components with.")]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps, or auto (default).")]
Dtype = Annotated[str | None, typer.Option(metavar="NAME", help="float32 (default), or bfloat16.")]


def doctor(
    context: typer.Context,
    generator: Generator = None,
    objective: Objective = None,
    regularizer: Regularizer = None,
    samples: Samples = None,
    images: Images = None,
    device: Device = None,
    dtype: Dtype = None,
    plugin: PluginFiles = None,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Say what is installed, what is missing and what is broken; exits with 1 if something is broken.

    With a generator or an objective: whether they work together, how they do on pictures, and what memory they need.
    """
    terminal = context.obj.terminal
    names = ("generator", "objective", "regularizer", "samples", "images", "device", "dtype")
    given = {name: context.params[name] for name in names if context.params[name] is not None}
    if given and not given.keys() & {"generator", "objective"}:
        raise UsageError(
            "There is nothing to try this with.",
            given=" ".join(f"--{name}" for name in given),
            expected="a generator or an objective with it",
            hint="equidiff doctor --generator toy --samples 8",
        )
    with terminal.status("examining"):
        from equidiff.doctor.components import Checkup, examine_components
        from equidiff.doctor.installation import examine

        plugins = context.obj.plugins(plugin)
        findings = list(examine_components(Checkup(**given), plugins) if given else examine(plugins))
    return _show(terminal, findings)


def _show(terminal: Terminal, findings: Iterable[Finding]) -> int:
    findings = list(findings)
    terminal.table(
        ("what", "state"), [(each.what, each.state) for each in findings], [each.broken for each in findings]
    )
    broken = sum(each.broken for each in findings)
    if broken:
        terminal.note(f"{broken} of these are broken.", "red")
    return 1 if broken else 0
