"""Everything that ships works on a device that has no float64."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "no_float64.py"


def test_all_components_and_commands(tmp_path):
    """In a process of its own, because torch knows the emulated device from then on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), *sys.path])}
    command = [sys.executable, "-W", "ignore", str(SCRIPT)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr
    assert len(list(tmp_path.glob("*/run.json"))) == 15
