"""Runs through the real command line, and its messages for bad folders."""

import json
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from equidiff_diffusers.schedulers import SHORT
from running import assert_one_error, read_lines, read_run, run_cli

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about configurations

BAG = "classifier:bag,model=fashion"
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    for name in ("dit", "ddpm", "sdxl"):
        tiny.save(name, root / name)
    return root


@pytest.fixture
def dit(folders, tmp_path):
    """Folder of a DiT, for a test to damage."""
    return shutil.copytree(folders / "dit", tmp_path / "dit")


def run(spec, *more):
    return run_cli("run", "-g", spec, "-o", BAG, "--target=0.95", *more)


def change(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("name", "options"),
    [("dit", ",class=1,guidance=2,steps=3"), ("sdxl", ",prompt=a cat,steps=2,scheduler=ddim,size=16")],
)
def test_folders_end_in_members(folders, tmp_path, name, options):
    spec = f"diffusers:{folders / name}{options}"
    outcome = run(spec, "-n", "2", "--tolerance", "0.01", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.stderr
    info = read_run(outcome.path)
    assert info["counts"]["members"] == info["counts"]["asked"] == 2
    assert info["specs"]["generator"] == spec
    network = "unet" if name == "sdxl" else "transformer"
    assert f"{name}/{network}/{WEIGHTS}" in [weights["name"] for weights in info["weights"]]
    for record in read_lines(outcome.path / "members.jsonl"):
        assert record["measurement"][0] == pytest.approx(0.95, abs=info["within"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (",prompt=zebra", 2, ("has no such option", "prompt=zebra")),
        (",class=1000000", 1, ("not trained with this class", "from 0 to")),
        (",class=zebra", 1, ("names none of its classes", "from 0 to")),
        (",scheduler=eulr", 1, ("no scheduler named 'eulr'", "euler")),
        (",scheduler=flow-euler", 2, ("does not fit this model", "scheduler=flow-euler", "ddim")),
        (",size=big", 2, ("invalid value", "size=big")),
        (",steps=0", 2, ("invalid value", "steps=0")),
        (",num_inference_steps=3", 2, ("num_inference_steps", "steps")),
    ],
)
def test_bad_options(folders, options, code, words):
    assert_one_error(run(f"diffusers:{folders / 'dit'}{options}"), code, *words)


def test_no_folder(tmp_path):
    assert_one_error(run("diffusers"), 2, "No pipeline is named", "diffusers:./FOLDER")
    assert_one_error(run("diffusers:./nowhere"), 1, "no such folder", "hub id")
    assert_one_error(run(f"diffusers:{tmp_path}"), 1, "has no model_index.json", "save_pretrained")
    (tmp_path / "model.safetensors").write_bytes(b"12345678")
    assert_one_error(run(f"diffusers:{tmp_path / 'model.safetensors'}"), 1, "This is a file", "from_single_file")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("StableDiffusionInpaintPipeline", "fills in an image"),
        ("FluxKontextPipeline", "starts from an image"),
        ("WanPipeline", "makes videos"),
        ("StableAudioPipeline", "makes sound"),
        ("MyPipeline", "no test covers it"),
    ],
)
def test_other_pipelines(dit, name, words):
    change(dit / "model_index.json", _class_name=name)
    assert_one_error(run(f"diffusers:{dit}"), 1, f"A {name} cannot be used", words)


def test_code_in_a_folder_is_not_run(dit, tmp_path):
    (dit / "transformer" / "mine.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')\nclass Mine: pass\n")
    (dit / "pipeline.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')\n")
    change(dit / "model_index.json", transformer=["mine", "Mine"])
    assert_one_error(run(f"diffusers:{dit}"), 1, "code of its own, which is never run", "transformer")
    change(dit / "model_index.json", transformer=["diffusers", "DiTTransformer2DModel"], _class_name=["pipeline", "My"])
    assert_one_error(run(f"diffusers:{dit}"), 1, "does not name the pipeline's class")
    assert not (tmp_path / "it-ran").exists()


def test_pickles_are_not_read(dit, tmp_path):
    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it-ran",))

    (dit / "transformer" / WEIGHTS).unlink()
    torch.save({"weight": Code()}, dit / "transformer" / "diffusion_pytorch_model.bin")
    assert_one_error(run(f"diffusers:{dit}"), 1, "lacks transformer's weights", "safetensors")
    assert not (tmp_path / "it-ran").exists()


def test_damaged_and_foreign_weights(dit):
    file = dit / "vae" / WEIGHTS
    content = file.read_bytes()
    file.write_bytes(content[:-1000])
    assert_one_error(run(f"diffusers:{dit}"), 1, "cut short", "vae/")
    file.write_bytes((dit / "transformer" / WEIGHTS).read_bytes())
    assert_one_error(run(f"diffusers:{dit}"), 1, "The weights of vae", "do not fit its configuration", "missing")


@pytest.mark.parametrize("content", ["{", "[]", "", "{}"])
def test_a_broken_index(dit, content):
    (dit / "model_index.json").write_text(content)
    assert_one_error(run(f"diffusers:{dit}"), 1, "model_index.json")


def test_an_unknown_scheduler(dit):
    change(dit / "scheduler" / "scheduler_config.json", _class_name="DDIMInverseScheduler")
    change(dit / "model_index.json", scheduler=["diffusers", "DDIMInverseScheduler"])
    assert_one_error(run(f"diffusers:{dit}"), 1, "DDIMInverseScheduler cannot be used", "from an image to noise")


def test_the_guide_names_every_scheduler():
    guide = (Path(__file__).parents[3] / "docs" / "how-to" / "diffusers.md").read_text(encoding="utf-8")
    assert [name for name in SHORT if f"`{name}`" not in guide] == []


def test_the_list_of_pipelines():
    outcome = run_cli("show", "generator", "diffusers")
    assert outcome.code == 0
    assert "StableDiffusion3Pipeline" in outcome.stdout
    assert "class, guidance" in outcome.stdout
