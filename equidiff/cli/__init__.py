"""The command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.interrupts import prompt_interruption, say_interrupted

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code.

    Args:
        args: the words after `equidiff`; those of `sys.argv` when absent.
    """
    with prompt_interruption():
        try:
            from equidiff.cli.app import main

            main(args)
        except KeyboardInterrupt:  # outside of any command: those say more about it
            say_interrupted()
            raise SystemExit(INTERRUPTED) from None
