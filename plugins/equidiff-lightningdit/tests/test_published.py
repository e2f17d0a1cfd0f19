"""The published checkpoints, where there is no network."""

import os
import subprocess
import sys

import pytest
from equidiff_lightningdit.plugin import LightningDiTOptions
from equidiff_lightningdit.published import TRANSFORMERS, published

RUN = """
import sys
from equidiff.cli import main
try:
    main(["--plain", "run", "--generator", "lightningdit", "--objective", "sae:6547"])
finally:
    sys.stdout.write(" ".join(name for name in ("torch", "diffusers", "transformers") if name in sys.modules))
"""


def test_a_run_without_the_hub_is_refused_before_anything_heavy_is_loaded(tmp_path):
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", RUN], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.count("error: ") == 1
    assert done.stderr.count("hf download ") == 3
    assert "equidiff run --generator lightningdit:fashion --objective sae:17 " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "count"), [({}, 3), ({"stats": "a.pt"}, 2), ({"autoencoder": "a", "stats": "b"}, 1)]
)
def test_files_that_the_user_has_are_not_needed(options, count):
    for name in (None, *TRANSFORMERS):
        assert len(published(name, LightningDiTOptions(**options, **{"class": 3})).files) == count
    assert published("fashion", LightningDiTOptions()) is None
    assert published("./folder", LightningDiTOptions()) is None
