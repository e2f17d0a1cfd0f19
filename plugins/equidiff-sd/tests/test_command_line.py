"""Runs through the real command line, and its messages for bad input."""

import json
from pathlib import Path

import diffusers
import pytest
import torch
from equidiff_sd.build import build
from equidiff_sd.plugin import SdOptions
from equidiff_sd.sampler import SCHEDULES
from PIL import Image
from running import assert_one_error, read_lines, read_run, run_cli

from equidiff.contracts import BuildContext

# torch's arrays do not know numpy 2's `copy` keyword; diffusers' Euler scheduler meets it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PROBE = f"custom:{Path(__file__).parents[3] / 'examples' / 'probe.py'}:score"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def run(generator, *more):
    return run_cli("run", "-g", generator, "-o", PROBE, "--target", "0", *more)


@pytest.mark.parametrize(
    ("options", "typed"),
    [
        ({"steps": 3}, ",steps=3"),
        (
            {"steps": 2, "scheduler": "euler", "prompt": "a zebra", "guidance": 3},
            ",steps=2,scheduler=euler,prompt=a zebra,guidance=3",
        ),
    ],
    ids=["unconditional", "guided"],
)
def test_stable_diffusion_ends_in_members(tiny, text, tmp_path, options, typed):
    target = tiny.reachable(text, **options)
    spec = f"sd:{text}{typed}"
    outcome = run_cli("run", "-g", spec, "-o", PROBE, f"--target={target}", "-n", "2", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.stderr
    check_run(outcome.path, target, spec)
    assert [weights["name"] for weights in read_run(outcome.path)["weights"]][-1] == f"text/unet/{WEIGHTS}"


def test_unconditional_pipeline_ends_in_members(tiny, pixels, tmp_path):
    target = tiny.reachable(pixels, steps=3)
    spec = f"sd:{pixels},steps=3"
    outcome = run_cli("run", "-g", spec, "-o", PROBE, f"--target={target}", "-n", "2", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.stderr
    check_run(outcome.path, target, spec)


def check_run(path, target, spec):
    info = read_run(path)
    assert info["counts"]["members"] == info["counts"]["asked"] == 2
    assert info["specs"]["generator"] == spec
    assert "equidiff-sd" in info["versions"]
    for record in read_lines(path / "members.jsonl"):
        assert record["measurement"][0] == pytest.approx(target, abs=info["within"])
    assert (path / "images" / "00001.png").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (",guidance=5", ("Guidance needs a prompt", "guidance=5", "prompt=a photo")),
        (",guidance=0.5", ("invalid value", "guidance=0.5")),
        (",size=25", ("no images of this size", "size=25", "a multiple of 2", "size=24")),
        (",tiny=taesd", ("vae=tiny is not set", "vae=tiny as well")),
        (",vae=tiny,tiny=./nowhere", ("no such tiny autoencoder", "tiny=./nowhere")),
        (",steps=1000", ("this many steps", "steps=1000", "less than 1000")),
        (",scheduler=heun", ("invalid value", "ddim or euler")),
        (",promt=zebra", ("no option 'promt'", "prompt")),
        (",prompt=" + "zebra " * 9, ("longer than the text encoder reads", "at most 16 tokens")),
    ],
)
def test_bad_options(text, options, words):
    assert_one_error(run(f"sd:{text}{options}"), 2, *words)


@pytest.mark.parametrize("option", ["prompt=a zebra", "guidance=1", "vae=full", "size=8"])
def test_text_options_on_an_unconditional_model(pixels, option):
    words = ("This model is unconditional", option.partition("=")[0], "Stable Diffusion")
    assert_one_error(run(f"sd:{pixels},{option}"), 2, *words)


def test_a_folder_without_a_tiny_autoencoder(text, tmp_path):
    folder = tmp_path / "taesd"
    folder.mkdir()
    assert_one_error(run(f"sd:{text},vae=tiny,tiny={folder}"), 1, "lacks config.json", "AutoencoderTiny")


def test_an_unknown_name():
    assert_one_error(run("sd:1.6"), 1, "no model or folder", "did you mean  1.5", "sd:ORG/REPO")
    assert_one_error(run("sd:./nowhere"), 1, "no model or folder", "sd:./FOLDER")


def test_a_checkpoint_file_and_a_folder_of_something_else(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"12345678")
    assert_one_error(run(f"sd:{tmp_path / 'model.safetensors'}"), 1, "This is a file", "from_single_file")
    assert_one_error(run(f"sd:{tmp_path}"), 1, "not a diffusers folder", "model_index.json", "Stable Diffusion")


def change(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]}, ("text_encoder_2", "Stable Diffusion 1")),
        ({"unet": ["diffusers", "UNet2DModel"]}, ("cannot use a StableDiffusionPipeline", "unet UNet2DModel")),
        ({"text_encoder": ["transformers", "T5EncoderModel"]}, ("text_encoder T5EncoderModel",)),
        ({"controlnet": ["diffusers", "ControlNetModel"]}, ("controlnet ControlNetModel",)),
    ],
)
def test_other_pipelines(text_copy, changes, words):
    change(text_copy / "model_index.json", **changes)
    assert_one_error(run(f"sd:{text_copy}"), 1, *words)


@pytest.mark.parametrize("content", ["{", "[]", ""])
@pytest.mark.parametrize("file", ["model_index.json", "scheduler/scheduler_config.json"])
def test_broken_configurations(text_copy, file, content):
    (text_copy / file).write_text(content)
    assert_one_error(run(f"sd:{text_copy}"), 1, Path(file).name)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_truncated_weights(text_copy, part):
    (file,) = (text_copy / part).glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1000])
    assert_one_error(run(f"sd:{text_copy}"), 1, "cut short", f"{part}/")
    file.write_text("version https://git-lfs.github.com/spec/v1\nsize 123456\n")
    assert_one_error(run(f"sd:{text_copy}"), 1, "Git LFS pointer", f"{part}/")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (f"unet/{WEIGHTS}", f"lacks unet/{WEIGHTS}"),
        ("text_encoder/config.json", "lacks text_encoder/config.json"),
        ("tokenizer/tokenizer.json", "lacks tokenizer/vocab.json, tokenizer/merges.txt"),
        ("scheduler/scheduler_config.json", "lacks scheduler/scheduler_config.json"),
    ],
)
def test_missing_files(text_copy, file, words):
    (text_copy / file).unlink()
    assert_one_error(run(f"sd:{text_copy}"), 1, words)


def test_a_broken_tokenizer(text_copy):
    (text_copy / "tokenizer" / "tokenizer.json").write_text("{}")
    assert_one_error(run(f"sd:{text_copy}"), 1, "tokenizer cannot be loaded")


def test_a_pickle_with_code_in_it_is_refused(pixels_copy, tmp_path):
    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it-ran",))

    (pixels_copy / "unet" / WEIGHTS).unlink()
    torch.save({"weight": Code()}, pixels_copy / "unet" / "diffusion_pytorch_model.bin")
    assert_one_error(run(f"sd:{pixels_copy}"), 1, "holds more than tensors", "code in it is not run")
    assert not (tmp_path / "it-ran").exists()


def test_weights_of_another_network(text_copy):
    (text_copy / "vae" / WEIGHTS).write_bytes((text_copy / "unet" / WEIGHTS).read_bytes())
    assert_one_error(run(f"sd:{text_copy}"), 1, "The weights of vae do not fit its configuration", "missing")


def test_weights_of_another_size(text_copy):
    change(text_copy / "text_encoder" / "config.json", num_hidden_layers=3)
    assert_one_error(run(f"sd:{text_copy}"), 1, "text_encoder", "missing", "layers.2")


def test_networks_that_need_more_than_text(tiny, text_copy, pixels_copy):
    tiny.text_unet(in_channels=9).save_pretrained(text_copy / "unet")
    assert_one_error(run(f"sd:{text_copy}"), 1, "needs inputs that", "9 channels in, 4 out")
    tiny.text_unet(in_channels=8, out_channels=8).save_pretrained(text_copy / "unet")
    assert_one_error(run(f"sd:{text_copy}"), 1, "UNet and autoencoder do not match", "8 and 4 channels")
    tiny.pixel_unet(num_class_embeds=10).save_pretrained(pixels_copy / "unet")
    assert_one_error(run(f"sd:{pixels_copy}"), 1, "num_class_embeds=10")


def test_a_network_of_unknown_size(pixels_copy):
    change(pixels_copy / "unet" / "config.json", sample_size=None)
    assert_one_error(run(f"sd:{pixels_copy}"), 1, "does not state the shape", "sample_size")


def test_a_network_that_predicts_something_else(pixels_copy):
    change(pixels_copy / "scheduler" / "scheduler_config.json", prediction_type="flow_prediction")
    assert_one_error(run(f"sd:{pixels_copy}"), 1, "this kind of prediction", "flow_prediction")


def test_a_schedule_that_ddim_cannot_start(tiny, pixels_copy):
    tiny.scheduler(rescale_betas_zero_snr=True, timestep_spacing="trailing").save_pretrained(pixels_copy / "scheduler")
    assert_one_error(run(f"sd:{pixels_copy},scheduler=ddim"), 1, "pure noise", "scheduler=euler")


@pytest.mark.parametrize(
    ("schedule", "word"),
    [
        (diffusers.EDMEulerScheduler(), "EDMEulerScheduler"),
        (diffusers.LCMScheduler(), "LCMScheduler"),
        (diffusers.TCDScheduler(), "TCDScheduler"),
        (diffusers.FlowMatchEulerDiscreteScheduler(), "FlowMatchEulerDiscreteScheduler"),
        (diffusers.ScoreSdeVeScheduler(), "ScoreSdeVeScheduler"),
        (diffusers.CMStochasticIterativeScheduler(), "CMStochasticIterativeScheduler"),
        (diffusers.UniPCMultistepScheduler(use_flow_sigmas=True), "UniPCMultistepScheduler with use_flow_sigmas"),
        (diffusers.EulerDiscreteScheduler(timestep_type="continuous"), "EulerDiscreteScheduler with continuous times"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_schedules_of_other_families_are_refused_by_name(pixels_copy, schedule, word):
    schedule.save_pretrained(pixels_copy / "scheduler")
    assert_one_error(run(f"sd:{pixels_copy}"), 1, word, f"--generator diffusers:{pixels_copy}")


@pytest.mark.parametrize("name", ["ScoreSdeVePipeline", "KarrasVePipeline", "ConsistencyModelPipeline"])
def test_pipelines_of_other_families_are_refused_by_name(pixels_copy, name):
    change(pixels_copy / "model_index.json", _class_name=name)
    assert_one_error(run(f"sd:{pixels_copy}"), 1, f"cannot use a {name}", f"--generator diffusers:{pixels_copy}")


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_of_the_same_family_have_the_same_noise(pixels_copy, name):
    """Another sampler of the same betas: their cumulative products are those that DDIM steps through."""
    betas = {"num_train_timesteps": 100, "beta_start": 0.001, "beta_end": 0.2, "beta_schedule": "linear"}
    (pixels_copy / "scheduler" / "scheduler_config.json").write_text(json.dumps({"_class_name": name, **betas}))
    generator = build(str(pixels_copy), SdOptions(steps=4, scheduler="ddim"), BuildContext())
    expected = (1 - torch.linspace(0.001, 0.2, 100)).cumprod(dim=0)
    torch.testing.assert_close(generator._sampler._scheduler.alphas_cumprod, expected)


def test_a_start_from_the_query_warns_where_it_is_rough(text, tmp_path):
    """With random weights the autoencoder does not reconstruct the query."""
    Image.new("RGB", (16, 16), (200, 90, 30)).save(tmp_path / "query.png")
    typed = ("-g", f"sd:{text},steps=2", "-o", PROBE, "-r", "none", "--query", tmp_path / "query.png")
    outcome = run_cli("run", *typed, "--start", "query", "-n", "1", "--budget", "2", "--out", tmp_path / "run")
    assert outcome.code in (0, 3), outcome.stderr
    assert "samples near that latent are not near the query" in outcome.stderr + outcome.stdout
    assert read_run(tmp_path / "run")["inversion"]["round_trip"] > 0.1
