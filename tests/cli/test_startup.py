"""Commands that only list must not import the libraries that only runs need."""

import subprocess
import sys

import pytest
from running import run_circles

HEAVY = ("torch", "timm", "PIL", "matplotlib", "numpy", "safetensors", "jaxtyping")
CODE = """
import sys
from equidiff.cli import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["plugins"], ["show", "solver", "auto"], ["run", "--help"], ["new", "plugin", "--help"],
     ["run", "--resume", "nowhere"], ["cite", "run"],
     ["sweep", "bad.yaml"], ["samples", "--help"], ["measure", "--help"], ["samples", "--out", "."]],
    ids=" ".join,
)  # fmt: skip
def test_nothing_heavy_is_imported(arguments, tmp_path):
    if arguments[0] == "cite":
        run_circles("-n", "1", "--out", tmp_path / "run")
    (tmp_path / "bad.yaml").write_text("runs:\n  - objective: neuron:0-127\n  - objective: nuron:0\n")
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert "Traceback" not in done.stderr
    modules = set(done.stderr.splitlines()[-1].split())
    assert "typer" in modules
    assert not modules & set(HEAVY)
