"""`equidiff doctor`."""

from __future__ import annotations

import typer

from equidiff.cli.options import Plain, PluginFiles, Traceback


def doctor(
    context: typer.Context, plugin: PluginFiles = None, plain: Plain = False, traceback: Traceback = False
) -> int:
    """Say what is installed, what is missing and what is broken; exits with 1 if something is broken."""
    terminal = context.obj.terminal
    with terminal.status("examining"):
        from equidiff.doctor import examine

        findings = examine(context.obj.plugins(plugin))
    terminal.table(
        ("what", "state"), [(each.what, each.state) for each in findings], [each.broken for each in findings]
    )
    broken = sum(each.broken for each in findings)
    if broken:
        terminal.note(f"{broken} of these are broken.", "red")
    return 1 if broken else 0
