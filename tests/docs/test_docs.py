"""The documentation is true: hooks, snippets, generated pages, commands, the README's program."""

import inspect
import re
import runpy
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

import equidiff
from equidiff.cli.new_plugin import Draft, check_name
from equidiff.registry import hookspecs
from equidiff.registry.descriptors import KINDS
from equidiff.registry.manager import Plugins
from equidiff.registry.options import read_options
from equidiff.registry.specs import Spec, parse_sum
from equidiff.testing import load_plugins

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
HOOKS = [name for name in vars(hookspecs) if name.startswith("equidiff_")]
GENERATE = runpy.run_path(str(DOCS / "generate.py"))
FILLING = runpy.run_path(str(DOCS / "filling.py"))


def name(path):
    return str(path.relative_to(ROOT))


def written(path):
    """A page without the snippets and references that are generated into it."""
    return FILLING["without_filling"](path.read_text())


def hook_id(path):
    return path if isinstance(path, str) else name(path)


def test_hooks_are_those_of_the_contract():
    assert [f"equidiff_{kind}s" for kind in KINDS] == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_exact_signature(hook):
    signature = str(inspect.signature(getattr(hookspecs, hook))).replace("'", "")
    page = (DOCS / "reference" / "hooks.md").read_text()
    assert f"\n## `{hook}{signature}`\n" in page


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_tested(hook):
    assert f"def {hook}(" in (ROOT / "tests" / "registry" / "test_manager.py").read_text()


@pytest.mark.parametrize("path", GENERATE["pages"]().keys(), ids=hook_id)
def test_generated_pages_are_fresh(path):
    content = GENERATE["pages"]()[path]()
    assert path.read_text() == content, "run: python docs/generate.py"


@pytest.mark.parametrize("path", PAGES, ids=hook_id)
def test_snippets_and_references_in_pages_are_fresh(path):
    assert FILLING["fill"](path.read_text()) == path.read_text(), "run: python docs/generate.py"


def test_a_code_host_shows_each_snippet_and_each_object():
    plain = "\n".join(path.read_text() for path in PAGES)
    assert not re.findall(r"^(?:--8<--|:::).*", plain, re.MULTILINE)
    assert "class Symmetry(Objective):" in plain  # of examples/my_plugin.py
    assert "- `generate(latents, steps)`: Map latents to samples; differentiable and deterministic." in plain


@pytest.mark.parametrize("path", PAGES, ids=hook_id)
def test_a_page_is_filled_as_its_author_wrote_it(path):
    assert FILLING["fill"](written(path)) == path.read_text()


@pytest.mark.parametrize("path", PAGES, ids=hook_id)
def test_every_snippet_exists(path):
    for file in re.findall(r'^--8<-- "(.+)"$', written(path), re.MULTILINE):
        assert (ROOT / file).is_file(), file


@pytest.mark.parametrize("path", PAGES, ids=hook_id)
def test_pages_hold_no_code_but_snippets(path):
    for code in re.findall(r"^```(?!text\n)\w+\n(.*?)^```$", written(path), re.MULTILINE | re.DOTALL):
        assert re.fullmatch(r'--8<-- ".+"\n', code), code


@pytest.mark.parametrize("path", TEXTS, ids=hook_id)
def test_every_link_to_a_file_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", written(path)):
        assert target.startswith("http") or (path.parent / target).exists(), target


def test_every_page_is_in_the_navigation():
    navigation = re.findall(r"([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text())
    assert sorted(navigation) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def test_the_readme_shows_the_first_run():
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    docstring, _, rest = (ROOT / "examples" / "first_run.py").read_text().partition("\n\n")
    assert docstring.startswith('"""')
    assert program == rest


def commands(path):
    """The equidiff commands that a page shows, each on its own line."""
    found = re.findall(r"^    (?:.* && )?(equidiff(?: .*)?)$", written(path), re.MULTILINE)
    return [shlex.split(command, comments=True) for command in found]


def shown_commands():
    return [words for path in TEXTS for words in commands(path)]


@pytest.fixture(scope="module")
def offered(tmp_path_factory):
    """All plugins of the source, and those that the tutorials make."""
    packages = sorted(path.name for path in ROOT.glob("plugins/*/src/equidiff_*") if (path / "plugin.py").is_file())
    made = tmp_path_factory.mktemp("tutorials")
    for kind, name in GENERATE["TUTORIALS"].items():
        draft = Draft(check_name(name, kind, Plugins([])), kind)
        (made / f"{kind}.py").write_text(draft.files[f"src/{draft.names.module}/plugin.py"])
    own = ("examples/my_plugin.py", "examples/pulsars/pulsars.py", "benchmarks/foreign/ddpm.py")
    files = [*(ROOT / file for file in own), *sorted(made.iterdir())]
    return load_plugins("equidiff.builtin", *(f"{package}.plugin" for package in packages), *files)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_tutorial_that_shows_what_is_written(kind):
    page = written(DOCS / "tutorials" / "plugins" / f"{kind}.md")
    name = GENERATE["TUTORIALS"][kind]
    draft = Draft(check_name(name, kind, Plugins([])), kind)
    assert f"\n    equidiff new plugin {name} --kind {kind}\n" in page
    for command in draft.command.split(" && "):
        assert f"\n    {command}\n" in page
    assert f'--8<-- "docs/snippets/{kind}.py"' in page


@pytest.mark.parametrize("words", shown_commands(), ids=" ".join)
def test_every_command_shown_exists(words, offered):
    callbacks = {name: each.callback for name, each in GENERATE["commands"](GENERATE["app"])}
    command = next((word for word in [*map(" ".join, pairwise(words)), *words[1:]] if word in callbacks), None)
    known = [*GENERATE["parameters"](GENERATE["app"].registered_callback.callback)]
    known += [*GENERATE["parameters"](callbacks[command])] if command else []
    options = {option for spelling, _ in known for option in re.findall(r"--?[\w-]+", spelling)}
    options |= {"--help", "--install-completion", "--show-completion"}
    assert {word for word in words if word.startswith("-")} <= options
    for kind in KINDS:
        for spec in re.findall(rf"--{kind} (\S.*?)(?= --|$)", " ".join(words)):
            check_spec(kind, spec, offered)


def check_spec(kind, text, plugins):
    for spec in [spec for _, spec in parse_sum(text)] if kind == "objective" else [Spec.parse(text)]:
        read_options(plugins.find(kind, spec.name).descriptor, spec)


def test_commands_are_found():
    assert len(shown_commands()) > 20


def test_the_changelog_knows_the_version():
    assert equidiff.__version__ in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {equidiff.__version__}" in (ROOT / "CITATION.cff").read_text()
