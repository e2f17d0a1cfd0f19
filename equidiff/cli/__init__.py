"""The command line."""

from equidiff.cli.app import main

__all__ = ["main"]
