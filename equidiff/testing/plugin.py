"""Checks of the contract of a plugin module: its descriptors, and that listing them imports nothing heavy."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError
from equidiff.registry.descriptors import Options, Reference
from equidiff.registry.manager import GROUP, Offer, Plugins
from equidiff.registry.options import read_options
from equidiff.registry.specs import NAME, Spec, parse_sum
from equidiff.testing.failure import Check, ContractError, require, run_all

HEAVY = ("torch", "timm", "diffusers", "transformers", "matplotlib", "scipy")

# run in a separate process, where nothing is imported yet
_PROBE = """
import sys
from importlib.metadata import EntryPoint
from equidiff.registry.manager import Plugins
Plugins([EntryPoint("plugin", sys.argv[1], "equidiff")])
print(*[name for name in sys.argv[2:] if name in sys.modules])
"""


def load_plugins(*plugins: str | ModuleType | Path) -> Plugins:
    """Load the named plugins and no others, even if more are installed on the machine.

    Args:
        plugins: modules, their import names ("equidiff.builtin" for the built-in components), or paths of one-file
            plugins.

    Raises:
        ContractError: one of them cannot be used.
    """
    files = [plugin for plugin in plugins if isinstance(plugin, Path)]
    names = [plugin.__name__ if isinstance(plugin, ModuleType) else plugin for plugin in plugins if plugin not in files]
    try:
        found = Plugins([EntryPoint(str(name), str(name), GROUP) for name in names], files)
    except EquiDiffError as error:
        raise ContractError(str(error)) from error
    for plugin in found.plugins:
        require(not plugin.problem, f"The plugin {plugin.name} cannot be used: {plugin.problem}", "a plugin that loads")
    return found


def check_plugin(plugin: str | ModuleType | Path) -> Plugins:
    """Check that a plugin keeps its contract.

    Its descriptors must be well formed, its factories importable and callable as documented, its options must forbid
    unknown keys, its examples be valid and its listings be tables; listing the plugin must import nothing heavy (except
    for one-file plugins, which cost only those who name them).

    Args:
        plugin: a module, its import name, or the path of a one-file plugin.

    Returns:
        The plugin, loaded alone.

    Raises:
        ContractError: the plugin breaks its contract.
    """
    plugins = load_plugins(plugin)
    if not isinstance(plugin, Path):
        _check_light(plugin.__name__ if isinstance(plugin, ModuleType) else plugin)
    offers = plugins.plugins[0].offers
    pairs = [(offer.kind, offer.descriptor.name) for offer in offers]
    for kind, name in pairs:
        require(pairs.count((kind, name)) == 1, f"The {kind} {name!r} is offered twice", "names that are unique")
    for offer in offers:
        run_all(offer_checks(offer, plugins))
    return plugins


def offer_checks(offer: Offer, plugins: Plugins) -> list[Check]:
    """The checks of one descriptor, by name; see `check_plugin`."""
    return [
        Check("descriptor", lambda: _check_descriptor(offer)),
        Check("options", lambda: _check_options(offer)),
        Check("examples", lambda: _check_examples(offer)),
        Check("factory", lambda: _check_factory(offer, plugins)),
        Check("listing", lambda: _check_listing(offer, plugins)),
        Check("descriptor pickles", lambda: _check_pickles(offer)),
    ]


def _check_pickles(offer: Offer) -> None:
    what = f"The descriptor of {offer.kind} {offer.descriptor.name!r}"
    try:
        same = pickle.loads(pickle.dumps(offer.descriptor)) == offer.descriptor
    except Exception as error:
        raise ContractError(f"{what} cannot be pickled: {error}", "options defined at a module's top") from error
    require(same, f"{what} is another one when it was pickled", "fields that compare equal")


def _check_light(module: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", _PROBE, module, *HEAVY]
    probe = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    require(probe.returncode == 0, f"Importing {module} in a new process fails: {probe.stderr.strip()}", "a module")
    heavy = probe.stdout.split()
    asked = "a module that only describes; put the components into other modules, named by `factory`"
    require(not heavy, f"Listing the plugin {module} imports {', '.join(heavy)}", asked)


def _check_descriptor(offer: Offer) -> None:
    descriptor = offer.descriptor
    what = f"The {offer.kind} {descriptor.name!r}"
    asked = "letters, digits, - and _, a letter first"
    require(bool(NAME.fullmatch(descriptor.name)), f"{what} has a name that no spec can contain", asked)
    one_line = bool(descriptor.summary.strip()) and "\n" not in descriptor.summary
    require(one_line, f"{what} has the summary {descriptor.summary!r}", "one line that describes it")
    module, colon, function = descriptor.factory.partition(":")
    well_formed = bool(colon) and all(part.isidentifier() for part in [*module.split("."), function])
    require(well_formed, f"{what} has the factory {descriptor.factory!r}", 'an import string "package.module:function"')
    for reference in descriptor.references:
        good = isinstance(reference, Reference) and all(map(bool, vars(reference).values()))
        require(good, f"{what} has an incomplete reference: {reference!r}", "key, authors, title, year and url")
    for needed in descriptor.needs:
        good = all(part.isidentifier() for part in needed.split("."))
        require(good, f"{what} needs {needed!r}", "import names, not names of distributions")


def _check_options(offer: Offer) -> None:
    options, what = offer.descriptor.options, f"The options of {offer.kind} {offer.descriptor.name!r}"
    proper = isinstance(options, type) and issubclass(options, Options)
    require(proper, f"{what} are {options!r}", "a subclass of equidiff.plugin.Options")
    asked = 'extra="forbid", as equidiff.plugin.Options has it: a misspelt option must be an error'
    require(options.model_config.get("extra") == "forbid", f"{what} accept any key", asked)
    for name, field in options.model_fields.items():
        require(bool(field.description), f"{what}: {name} has no description", "Field(default, description=...)")
        require(bool(NAME.fullmatch(name)), f"{what}: {name} cannot be typed", "letters, digits and _")
    names = {field.alias or name for name, field in options.model_fields.items()}
    for synonym, written in offer.descriptor.synonyms.items():
        require(
            synonym not in names
            and (written in names or (written.startswith(":") and bool(offer.descriptor.argument))),
            f"{what}: the synonym {synonym!r} stands for {written!r}",
            "the name of no option, which stands for that of an option, or for an argument that the component takes",
        )
    try:
        options()
    except ValidationError as error:
        raise ContractError(f"{what} have no defaults.\nThe contract asks for a default for each: {error}") from None


def _check_examples(offer: Offer) -> None:
    for example in offer.descriptor.examples:
        what = f"The {offer.kind} {offer.descriptor.name!r} with its example {example!r}"
        _check_example(offer, example, what)


def _check_example(offer: Offer, example: str, what: str) -> None:
    try:
        specs = [spec for _, spec in parse_sum(example)] if offer.kind == "objective" else [Spec.parse(example)]
        for spec in specs:
            read_options(offer.descriptor, spec)
    except EquiDiffError as error:
        raise ContractError(f"{what} is refused: {error}") from error
    descriptor = offer.descriptor
    for spec in specs:
        require(spec.name == descriptor.name, f"{what} names another component", "examples of the component itself")
        documented = spec.argument is None or bool(descriptor.argument)
        require(documented, f"{what} has an argument that is not documented", "`argument` to say what it means")


def _check_factory(offer: Offer, plugins: Plugins) -> None:
    what = f"The factory of {offer.kind} {offer.descriptor.name!r}"
    try:
        factory = plugins.factory(offer)
    except EquiDiffError as error:
        raise ContractError(f"{what} cannot be imported: {error}") from error
    require(callable(factory), f"{what} is a {type(factory).__name__}", "a function")
    try:
        inspect.signature(factory).bind(None, offer.descriptor.options(), BuildContext())
    except TypeError as error:
        raise ContractError(f"{what} cannot be called as factory(argument, options, context): {error}") from None


def _check_listing(offer: Offer, plugins: Plugins) -> None:
    what = f"The listing of {offer.kind} {offer.descriptor.name!r}"
    try:
        listing = plugins.listing(offer)
    except Exception as error:
        raise ContractError(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
    if listing is None:
        return
    columns, rows = listing
    named = len(columns) > 0 and all(isinstance(column, str) and column for column in columns)
    require(named and len(set(columns)) == len(columns), f"{what} has the columns {columns!r}", "a name for each")
    for row in rows:
        fits = isinstance(row, Sequence) and len(row) == len(columns)
        require(fits, f"{what} has the row {row!r}", f"{len(columns)} values, one for each column")
