"""Names of a new plugin: its distribution, its module, its component and its classes."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass

from equidiff.errors import UsageError
from equidiff.registry.manager import Plugins
from equidiff.registry.specs import NAME

PROJECT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508; `\w` would allow letters like é
SEPARATORS = re.compile(r"[-_.]+")  # one hyphen each, by PEP 503
PREFIX = "equidiff-"
LONGEST = 36


@dataclass(frozen=True)
class Names:
    """Names that follow from one name.

    Attributes:
        distribution: what `pip` installs, e.g. "equidiff-soft-tint".
        module: what Python imports, "equidiff_soft_tint".
        component: what specs say, "soft-tint".
    """

    distribution: str
    module: str
    component: str

    @property
    def camel(self) -> str:
        """The component's name as a class has it: "SoftTint"."""
        return "".join(word.capitalize() for word in re.split("[-_]", self.component))


def check_name(name: str, kind: str, plugins: Plugins) -> Names:
    """Derive the names of a new plugin.

    Args:
        name: of the distribution, as the user gives it.
        kind: of its component.
        plugins: those that are installed.

    Raises:
        UsageError: it is no name of a distribution or a module, or it is taken.
        UnknownNameError: there is no such kind of component.
    """
    taken = {offer.descriptor.name: offer.plugin for offer in plugins.offers(kind)}
    if not PROJECT.fullmatch(name) or len(name) > LONGEST:
        raise _refuse(
            "A distribution cannot have this name.",
            name,
            kind,
            f"up to {LONGEST} letters, digits, '-', '_' and '.', with a letter or a digit at both ends",
        )
    distribution = SEPARATORS.sub("-", name).lower()
    names = Names(distribution, distribution.replace("-", "_"), distribution.removeprefix(PREFIX))
    if not names.module.isidentifier() or keyword.iskeyword(names.module):
        raise _refuse(f"No Python module can be called {names.module!r}.", name, kind, "a letter first, and no keyword")
    if not NAME.fullmatch(names.component):
        problem = f"A component cannot be called {names.component!r}."
        raise _refuse(problem, name, kind, f"a letter first, also behind '{PREFIX}'")
    if _is_taken(names.module):
        problem = f"Python has a module {names.module!r} already, which the new one would hide."
        raise _refuse(problem, name, kind, "a name that is not taken")
    if names.component in taken:
        problem = f"There is a {kind} named {names.component!r} already, of the plugin {taken[names.component]!r}."
        raise _refuse(problem, name, kind, "a name that is not taken")
    return names


def _refuse(problem: str, name: str, kind: str, expected: str) -> UsageError:
    return UsageError(
        problem, given=name, expected=expected, hint=f"equidiff new plugin {PREFIX}my-{kind} --kind {kind}"
    )


def _is_taken(module: str) -> bool:
    if module in sys.stdlib_module_names:
        return True
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None  # a folder of that name is found too, and is no module
