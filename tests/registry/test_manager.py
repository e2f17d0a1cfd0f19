"""Discovery and isolation: a broken plugin costs one line, never the tool.

Plugins are classes of this file, handed to `Plugins` as entry points; nothing installed on the machine is looked at.
"""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from equidiff.errors import PluginError, UnknownNameError
from equidiff.plugin import Descriptor, hookimpl
from equidiff.registry.descriptors import KINDS
from equidiff.registry.manager import Plugins

BUILTIN = EntryPoint("builtin", "equidiff.builtin", "equidiff")


def entry(name):
    """The entry point of a plugin that is a class of this file."""
    return EntryPoint(name.lower(), f"{__name__}:{name}", "equidiff")


def one(name, **others):
    return [Descriptor(name, "equidiff.builtin.regularizers.none:build", "For a test.", **others)]


class Sound:
    """Offers one component of each kind."""

    @staticmethod
    @hookimpl
    def equidiff_generators():
        return one("sound")

    @staticmethod
    @hookimpl
    def equidiff_objectives():
        return one("sound")

    @staticmethod
    @hookimpl
    def equidiff_regularizers():
        return one("sound")

    @staticmethod
    @hookimpl
    def equidiff_solvers():
        return one("sound")

    @staticmethod
    @hookimpl
    def equidiff_attributions():
        return one("sound")

    @staticmethod
    @hookimpl
    def equidiff_laws():
        return one("sound")

    @staticmethod
    @hookimpl
    def equidiff_executors():
        return one("sound")


class Raises:
    """Its hook raises."""

    @staticmethod
    @hookimpl
    def equidiff_objectives():
        raise RuntimeError("no licence found\nsecond line")


class Exits:
    """Its hook ends the process."""

    @staticmethod
    @hookimpl
    def equidiff_objectives():
        sys.exit(3)


class Text:
    """Its hook gives text."""

    @staticmethod
    @hookimpl
    def equidiff_objectives():
        return ["brightness"]


class Number:
    """Its hook gives a number."""

    @staticmethod
    @hookimpl
    def equidiff_objectives():
        return 7


class Misspelt:
    """Its hook is none of ours."""

    @staticmethod
    @hookimpl
    def equidiff_objectivs():
        return one("lost")


class Greedy:
    """Its hook asks for an argument that is never passed."""

    @staticmethod
    @hookimpl
    def equidiff_objectives(model):
        return one(model)


class Unmarked:
    """Its hook is not marked."""

    @staticmethod
    def equidiff_objectives():
        return one("lost")


class Twin:
    """Offers a solver of the same name as another plugin's."""

    @staticmethod
    @hookimpl
    def equidiff_solvers():
        return one("sound")


class Lost:
    """Its factory cannot be imported."""

    @staticmethod
    @hookimpl
    def equidiff_objectives():
        return [Descriptor("lost", "no_such_package.here:build", "For a test.")]


BROKEN = {
    "Raises": "RuntimeError: no licence found",
    "Exits": "SystemExit: 3",
    "Text": "TypeError: equidiff_objectives() returned a list with a str, not a Descriptor, in it",
    "Number": "TypeError: equidiff_objectives() returned an int, not a list of descriptors",
    "Misspelt": "equidiff_objectivs",
    "Greedy": "PluginValidationError: Plugin 'greedy",
    "Unmarked": "offers no components",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_costs_one_line(name):
    plugins = Plugins([BUILTIN, entry(name), entry("Sound")])
    builtin, *others = plugins.plugins
    problems = {plugin.name: plugin.problem for plugin in others}
    assert BROKEN[name] in problems.pop(name.lower())
    assert problems == {"sound": None}
    assert builtin.problem is None
    assert all(plugin.problem is None or "\n" not in plugin.problem for plugin in plugins.plugins)
    assert plugins.find("objective", "sound").plugin == "sound"
    assert plugins.find("objective", "neuron").plugin == "builtin"


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_offers_nothing(name):
    plugins = Plugins([entry(name)])
    assert [plugins.offers(kind) for kind in KINDS] == [[]] * len(KINDS)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("no_such_package.plugin", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("equidiff:no_such_attribute", "no_such_attribute"),
        ("not an import string", "AttributeError"),
    ],
)
def test_a_plugin_that_cannot_be_imported_costs_one_line(value, problem):
    plugins = Plugins([EntryPoint("gone", value, "equidiff"), entry("Sound")])
    found = {plugin.name: plugin for plugin in plugins.plugins}
    assert problem in found["gone"].problem
    assert found["sound"].problem is None
    assert plugins.find("solver", "sound")


def test_an_unknown_name_shows_the_nearest_and_the_broken_plugin():
    plugins = Plugins([BUILTIN, entry("Raises")])
    with pytest.raises(UnknownNameError) as caught:
        plugins.find("objective", "nueron")
    assert "neuron" in str(caught.value)
    assert "no licence found" in str(caught.value)


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownNameError, match="objektive"):
        Plugins([BUILTIN]).offers("objektive")


def test_one_name_from_two_plugins_is_refused_only_when_it_is_used():
    plugins = Plugins([entry("Sound"), entry("Twin")])
    assert plugins.find("generator", "sound")
    with pytest.raises(PluginError, match="2 plugins offer a solver named 'sound'") as caught:
        plugins.find("solver", "sound")
    assert "sound" in str(caught.value.given)
    assert "twin" in str(caught.value.given)


def test_a_factory_that_cannot_be_imported_names_its_plugin():
    plugins = Plugins([entry("Lost")])
    with pytest.raises(PluginError, match="of plugin 'lost' cannot be imported") as caught:
        plugins.factory(plugins.find("objective", "lost"))
    assert caught.value.hint == 'f"{__name__}:build", for one in the same file'


def test_builtins_come_first_and_the_others_by_name():
    plugins = Plugins([entry("Twin"), entry("Sound"), BUILTIN])
    assert [plugin.name for plugin in plugins.plugins] == ["builtin", "sound", "twin"]


def test_installed_plugins_are_found_with_their_version():
    found = {plugin.name: plugin for plugin in Plugins().plugins}
    assert found["builtin"].source == "equidiff"
    assert found["hello"].source == "equidiff-hello"
    assert found["hello"].version
    assert found["hello"].problem is None
    assert {(offer.kind, offer.descriptor.name) for offer in found["hello"].offers} == {
        ("objective", "brightness"),
        ("regularizer", "blur"),
    }


def test_listing_plugins_imports_no_torch():
    code = "import sys; from equidiff.registry.manager import Plugins; Plugins(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


FILE = """
from equidiff.plugin import Descriptor, hookimpl

@hookimpl
def equidiff_regularizers():
    return [Descriptor("inked", f"{__name__}:build", "For a test.")]

def build(argument, options, context):
    return argument
"""


def test_a_file_is_a_plugin(tmp_path):
    path = tmp_path / "inked_plugin.py"
    path.write_text(FILE)
    plugins = Plugins([BUILTIN], [path])
    offer = plugins.find("regularizer", "inked")
    assert (offer.plugin, offer.distribution) == ("inked_plugin", str(path))
    assert plugins.factory(offer)("dark", None, None) == "dark"
    assert Plugins([], [path]).find("regularizer", "inked")  # a second time in one process


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("import no_such_package", "No module named 'no_such_package'"),
        ("def (", "SyntaxError"),
        ("x = 1", "offers no components"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
    ],
)
def test_a_file_that_the_user_named_must_work(tmp_path, content, problem):
    path = tmp_path / "broken_plugin.py"
    path.write_text(content)
    with pytest.raises(PluginError, match=problem) as caught:
        Plugins([BUILTIN], [path])
    assert caught.value.given == path
    assert "equidiff_file_broken_plugin" not in sys.modules or content == "x = 1"


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(PluginError, match="does not exist"):
        Plugins([BUILTIN], [tmp_path / "nothing.py"])
