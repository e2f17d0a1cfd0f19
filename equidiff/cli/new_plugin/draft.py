"""Files of a new plugin, from their templates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

import equidiff
from equidiff.cli.new_plugin.kinds import OF_KIND, Kind
from equidiff.cli.new_plugin.names import Names
from equidiff.errors import EquiDiffError
from equidiff.folders.text import shell_word

# marks that neither Python nor TOML nor a workflow has a use for
TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("equidiff.cli.new_plugin"),
    autoescape=False,  # code, not pages; every name in it was checked
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    comment_start_string="<#",
    comment_end_string="#>",
)


@dataclass(frozen=True)
class Draft:
    """A distribution with one component, before it is written.

    Args:
        names: of the distribution, its module and its component.
        kind: of the component.
    """

    names: Names
    kind: str

    @property
    def command(self) -> str:
        """A command that uses the component, as the README has it."""
        return self._about.command.format(name=self.names.component)

    @property
    def files(self) -> dict[str, str]:
        """Content of each file, by its path in the folder."""
        module, kind = f"src/{self.names.module}", self.kind
        places = {
            "pyproject.toml": "pyproject.toml",
            "README.md": "README.md",
            ".gitignore": "gitignore",
            ".github/workflows/ci.yml": "ci.yml",
            f"{module}/__init__.py": "init.py",
            f"{module}/plugin.py": "plugin.py",
            f"{module}/{kind}.py": f"{kind}.py",
            f"tests/test_{kind}.py": f"test_{kind}.py",
        }
        return {place: self._fill(template) for place, template in places.items()}

    @property
    def _about(self) -> Kind:
        return OF_KIND[self.kind]

    def _fill(self, template: str) -> str:
        return TEMPLATES.get_template(f"{template}.j2").render(
            about=self._about,
            article="an" if self.kind[0] in "aeiou" else "a",
            cls=f"{self.names.camel}{self.kind.capitalize()}",
            command=self.command,
            component=self.names.component,
            distribution=self.names.distribution,
            kind=self.kind,
            module=self.names.module,
            options=f"{self.names.camel}Options",
            version=equidiff.__version__,
        )


def check_free(folder: Path, command: str) -> None:
    """Refuse a folder that has something in it, and one that is a file.

    Args:
        folder: to write.
        command: that the user typed, without its folder.

    Raises:
        EquiDiffError: it cannot be used.
    """
    try:
        used = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise _unwritable(folder, error) from error
    if used:
        raise EquiDiffError(
            "There is something in this folder already." if folder.is_dir() else "This folder is a file.",
            given=folder,
            expected="a folder that does not exist yet, or is empty",
            hint=f"{command} --directory {shell_word(f'{folder}-2')}",
        )


def write(draft: Draft, folder: Path) -> list[str]:
    """Write the files of a distribution, and return their paths in the folder.

    Raises:
        EquiDiffError: they cannot be written.
    """
    files = draft.files
    try:
        for place, content in files.items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8", newline="\n")
    except OSError as error:
        raise _unwritable(folder, error) from error
    return list(files)


def _unwritable(folder: Path, error: OSError) -> EquiDiffError:
    return EquiDiffError(
        f"The plugin cannot be written: {error.strerror or error}",
        given=folder,
        expected="a folder in a place where you may write",
        hint="--directory ./my-plugin",
    )
