"""The distribution that `equidiff new plugin` writes: its names, and its files."""

from equidiff.cli.new_plugin.draft import Draft, check_free, write
from equidiff.cli.new_plugin.names import Names, check_name

__all__ = ["Draft", "Names", "check_free", "check_name", "write"]
