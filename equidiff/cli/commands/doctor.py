"""The `equidiff doctor` command."""

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
    typer.Option("--generator", "-g", metavar="SPEC", help="Generator to build and examine."),
]
Objective = Annotated[
    str | None, typer.Option("--objective", "-o", metavar="SPEC", help="Objective to build and examine.")
]
Regularizer = Annotated[
    str | None,
    typer.Option("--regularizer", "-r", metavar="SPEC", help="Regularizer to include in the prediction of memory."),
]
Samples = Annotated[
    int | None, typer.Option("--samples", "-n", metavar="COUNT", help="Samples per pass (default: 16).")
]
Images = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder of images to try the components on.")]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="Device: cpu, cuda, cuda:1, mps, or auto (default).")]
Dtype = Annotated[str | None, typer.Option(metavar="NAME", help="Precision: float32 (default), or bfloat16.")]


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
    """Report what is installed, missing or broken; exits with 1 if anything is broken.

    With a generator or an objective: build them, check that they fit, try them on images, and predict the memory.
    """
    terminal = context.obj.terminal
    names = ("generator", "objective", "regularizer", "samples", "images", "device", "dtype")
    given = {name: context.params[name] for name in names if context.params[name] is not None}
    if given and not given.keys() & {"generator", "objective"}:
        raise UsageError(
            "These options need a generator or an objective to apply to.",
            given=" ".join(f"--{name}" for name in given),
            expected="--generator or --objective too",
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
        ("what", "state"), [(each.subject, each.state) for each in findings], [each.broken for each in findings]
    )
    broken = sum(each.broken for each in findings)
    if broken:
        terminal.note("One of these is broken." if broken == 1 else f"{broken} of these are broken.", "red")
    return 1 if broken else 0
