"""The `equidiff path` command."""

from __future__ import annotations

from typing import Annotated

import typer

from equidiff.cli.options import Device, Json, Plain, PluginFiles, Quiet, Run, RunObjective, State, Traceback, examples

First = Annotated[int, typer.Argument(metavar="FIRST", help="Index of the member to start from.", show_default=False)]
Second = Annotated[int, typer.Argument(metavar="SECOND", help="Index of the member to end at.", show_default=False)]
Frames = Annotated[int, typer.Option(metavar="COUNT", min=3, max=999, help="Number of frames, both ends included.")]
Gif = Annotated[bool, typer.Option("--gif", metavar="", help="Also write an animation, there and back.")]

EPILOG = examples("equidiff path RUN 3 11", "equidiff path RUN 3 11 --frames 24 --gif")


def path(
    context: typer.Context,
    run: Run,
    first: First,
    second: Second,
    frames: Frames = 9,
    gif: Gif = False,
    device: Device = "auto",
    objective: RunObjective = None,
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Find a path from one member to another within the set: every frame is a member, too.

    Prints the folder's path, RUN/paths/FIRST-SECOND. Exit code: 0 all frames are members, 3 some are not, 1 error,
    2 usage, 130 interrupted.
    """
    state: State = context.obj
    state.terminal.quiet = quiet
    with state.terminal.status("loading"):
        from equidiff.cli.handlers.path import check_gif, perform

        finished = state.open_run(run, ("equidiff", "path"), objective, device, plugin)
        check_gif(finished, gif)
    return perform(finished, (first, second), frames, gif, state.terminal, as_json)
