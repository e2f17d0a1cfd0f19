"""TAB in a shell: what bash, zsh and fish get from the command line."""

import json
import os
import re
import subprocess
import sys
import time
from functools import partial

import pytest
from made_runs import made, made_info

from equidiff.builtin.objectives.descriptors import SOURCES as FORMS
from equidiff.cli.completion import LAYERS, complete_run, join_words
from equidiff.contracts import BuildContext
from equidiff.networks import describe_layers, load_network
from equidiff.networks.sources import SOURCES
from equidiff.registry.descriptors import KINDS

CODE = """
import json, os, sys, tempfile
import equidiff.cli.app, equidiff.cli.completion  # what completions import, once for all children
from equidiff.cli import main
from equidiff.registry.manager import Plugins

Plugins()

for line in sys.stdin:
    variables, folder = json.loads(line)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as modules:
        child = os.fork()
        if child == 0:
            os.environ |= variables
            os.chdir(folder)
            sys.stdout = out
            try:
                main([])
            finally:
                print(*sys.modules, file=modules)
                out.flush(), modules.flush()
                os._exit(0)
        os.waitpid(child, 0)
        out.seek(0), modules.seek(0)
        print(json.dumps([out.read(), modules.read().split()]), flush=True)
"""
BREAKS = re.compile(r"([:=]+)")  # at which bash splits words, COMP_WORDBREAKS


@pytest.fixture(scope="module")
def process():
    """A process that has not imported torch, and whose children each answer one TAB."""
    with subprocess.Popen([sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        yield started


@pytest.fixture
def complete(process):
    return partial(ask, process)


def ask(process, text, shell="bash", cwd="."):
    """Completions of the last word of a command line, as the shell inserts them behind its last split."""
    words = text.split(" ")
    variables = {"_EQUIDIFF_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        split = [part for word in words for part in BREAKS.split(word) if part or not word]
        variables |= {"COMP_WORDS": "\n".join(split), "COMP_CWORD": str(len(split) - 1)}
    else:
        variables |= {"_TYPER_COMPLETE_ARGS": text, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    process.stdin.write(json.dumps([variables, str(cwd)]).encode() + b"\n")
    process.stdin.flush()
    printed, modules = json.loads(process.stdout.readline())
    assert "equidiff.cli.completion" in modules
    assert not {"torch", "numpy", "PIL", "timm"} & set(modules), "a shell would wait for it"
    return [line for line in printed.splitlines() if line]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("equidiff ru", {"run"}),
        ("equidiff run -g to", {"toy"}),
        ("equidiff run -g toy:ci", {"circles"}),
        ("equidiff run --generator=to", {"toy"}),
        ("equidiff run --generator=toy:ci", {"circles"}),
        ("equidiff run -o cl", {"classifier"}),
        ("equidiff run -o neuron:bl", {"block1.", "block2.", "block3."}),
        ("equidiff run -g toy:circles -o neuron:la", {"layer1.", "layer2.", "layer3."}),
        ("equidiff run -r lowp", {"lowpass"}),
        ("equidiff run -s auto,r", {"auto,radius="}),
        ("equidiff run -s auto,radius=0.5,c", {"0.5,coarse="}),
        ("equidiff run -s infinite,optimizer=s", {"sgd", "shampoo"}),
        ("equidiff run --law cond", {"conditional"}),
        ("equidiff compare x --methods saliency,integ", {"saliency,integrated_gradients"}),
        ("equidiff compare x --methods saliency,occlusion,win", {"saliency,occlusion,window="}),
        ("equidiff show sol", {"solver"}),
        ("equidiff show solver lb", {"lbfgs"}),
        ("equidiff samples -g toy:ci", {"circles"}),
        ("equidiff measure -o neur", {"neuron"}),
        ("equidiff run -g nothing-like-it", set()),
        ("equidiff run -s nothing,a", set()),
    ],
)
def test_words(complete, text, expected):
    found = set(complete(text))
    assert expected <= found
    if not expected:
        assert not found
    typed = re.split("[:=]", text.split(" ")[-1])[-1]
    assert all(word.startswith(typed) for word in found)


def test_units_of_the_one_layer_that_fits(complete):
    found = complete("equidiff run -o neuron:block3.12")
    assert {"block3.12", "block3.127"} <= set(found)
    assert "block3.128" not in found


@pytest.mark.parametrize("kind", KINDS)
def test_show_completes_the_names_of_every_kind(complete, kind):
    assert complete(f"equidiff show {kind} ")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_whole_words_with_help(complete, shell):
    (line,) = complete("equidiff run --law cond", shell)
    assert "conditional" in line
    assert "The prior, conditioned on a zero residual" in line
    (line,) = complete("equidiff run -g toy:ci", shell)
    assert "toy" in line
    assert "circles" in line


def test_layers_are_those_of_the_networks():
    for name, layers in LAYERS.items():
        described = describe_layers(load_network(name, None, BuildContext()))
        shapes = {layer.name: layer.shape[0] for layer in described if layer.shape and "." not in layer.name}
        assert shapes == layers


def test_run_folders_the_newest_first(complete, tmp_path):
    for age, name in enumerate(("runs/new", "runs/old", "elsewhere")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(made_info().to_json())
        before = time.time() - 1000 * age
        os.utime(folder / "run.json", (before, before))
    (tmp_path / "runs" / "no-run").mkdir()
    for command in ("evaluate", "compare", "report", "figure", "select", "path", "cite", "run --resume"):
        assert complete(f"equidiff {command} ", cwd=tmp_path) == ["runs/new", "runs/old", "elsewhere"]
    assert complete("equidiff report runs/o", cwd=tmp_path) == ["runs/old"]
    assert complete("equidiff report runs/", cwd=tmp_path) == ["runs/new", "runs/old"]
    (tmp_path / "runs" / "old" / "run.json").write_text("{")
    assert complete("equidiff report runs/o", cwd=tmp_path) == ["runs/old"]
    (line,) = complete("equidiff report runs/n", "fish", tmp_path)
    assert line == "runs/new\ttoy, neuron:17, running"


@pytest.mark.parametrize(
    ("words", "cursor", "joined"),
    [
        (["equidiff", "run", "-g", "toy", ":", "ci"], 5, (["equidiff", "run", "-g", "toy:ci"], 3)),
        (["equidiff", "run", "-g", "toy", ":"], 4, (["equidiff", "run", "-g", "toy:"], 3)),
        (["equidiff", "run", "-g", ""], 3, (["equidiff", "run", "-g", ""], 3)),
        (
            ["equidiff", "run", "-o", "neuron", ":", "17", "-s", "auto,pool", "=", "3"],
            9,
            (["equidiff", "run", "-o", "neuron:17", "-s", "auto,pool=3"], 5),
        ),
    ],
)
def test_words_that_bash_split(words, cursor, joined):
    assert join_words(words, cursor) == joined


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_in_a_real_bash(tmp_path):
    """The script that `--install-completion` installs, sourced; bash itself splits the words."""
    command = os.path.join(os.path.dirname(sys.executable), "equidiff")
    shown = subprocess.run(
        [command, "--show-completion", "bash"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    assert "complete -o default" in shown.stdout
    script = tmp_path / "completion.sh"
    script.write_text(shown.stdout)
    call = (
        f"source {script}; COMP_WORDS=(equidiff run -g toy : ci); COMP_CWORD=5; _equidiff_completion {command}; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "--norc", "-c", call], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["circles"], done.stderr


def test_networks_from_elsewhere(complete):
    assert set(FORMS) == set(SOURCES) - {"timm"}  # the descriptor imports no torch, so it lists them again
    words = complete("equidiff run --objective neuron:17,model=")
    assert {"fashion", *(f"{prefix}:" for prefix in FORMS)} <= set(words)


def test_names_and_texts_of_strangers_reach_no_terminal_as_escapes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "red\x1b[31m", "turned\u202e"):
        made(count=2, status="\x9b31m").save(tmp_path / name)
    assert [(word, "\x9b" in text, r"\x9b" in text) for word, text in complete_run("")] == [("plain", False, True)]
