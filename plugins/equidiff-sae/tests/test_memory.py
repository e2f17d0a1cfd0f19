"""One feature of a wide autoencoder does not load all of it into memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WIDTH, FEATURES = 768, 49152  # the published ones': 288 MiB


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide")
    rows = torch.randn(WIDTH, 64, generator=torch.Generator().manual_seed(0)).repeat(1, FEATURES // 64)
    state = {"W_enc": rows, "b_enc": torch.zeros(FEATURES), "W_dec": rows.T.contiguous(), "b_dec": rows[:, 0].clone()}
    torch.save(state, folder / "weights.pt")
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak memory")
@pytest.mark.parametrize(("activation", "bound"), [("relu", 250), ("topk", 400)])
def test_peak_memory_of_one_feature(folder, activation, bound):
    settings = {
        "architecture": "standard", "activation_fn_str": activation, "activation_fn_kwargs": {"k": 64},
        "normalize_activations": None, "d_in": WIDTH, "expansion_factor": FEATURES // WIDTH, "hook_point_layer": 11,
        "layer_subtype": "hook_resid_post", "cls_token_only": False,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    assert (folder / "weights.pt").stat().st_size > 300e6
    script = Path(__file__).parent / "measure_memory.py"
    done = subprocess.run(
        [sys.executable, script, folder, "6547"], capture_output=True, text=True, check=True, timeout=100
    )
    extra, _ = map(float, done.stdout.split())
    assert 1 < extra < bound
