"""Stable Diffusion XL: the same images as diffusers' pipeline, gradients, runs, and refusals."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler
from diffusers import StableDiffusionXLPipeline as Pipeline
from equidiff_sd.build import build
from equidiff_sd.folder import Folder
from equidiff_sd.generator import Autoencoder, Denoiser, Diffusion
from equidiff_sd.plugin import SdOptions
from equidiff_sd.sampler import Sampler
from equidiff_sd.xl import condition
from running import assert_one_error, read_lines, read_run, run_cli

from equidiff.contracts import BuildContext
from equidiff.testing import check_generator

# torch's arrays do not know numpy 2's `copy` keyword; diffusers' Euler scheduler meets it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# an Euler configuration does not turn off the clipping that is DDIM's default
SCHEDULERS = {"ddim": (DDIMScheduler, {"clip_sample": False}), "euler": (EulerDiscreteScheduler, {})}
TOLERANCE = 1e-4
PROBE = f"custom:{Path(__file__).parents[3] / 'examples' / 'probe.py'}:score"
NETWORKS = ("vae/diffusion_pytorch_model", "text_encoder/model", "text_encoder_2/model", "unet/diffusion_pytorch_model")


def make(folder, **options):
    return build(str(folder), SdOptions(**options), BuildContext())


def noise(generator, rows=2):
    return torch.randn(rows, *generator.latent_shape, generator=torch.Generator().manual_seed(0))


def generate(generator, latents):
    with torch.no_grad():
        return generator.generate(latents)


def load_pipeline(folder, scheduler=None, **parts):
    if scheduler:
        scheduler_class, changes = SCHEDULERS[scheduler]
        parts["scheduler"] = scheduler_class.from_pretrained(folder, subfolder="scheduler", **changes)
    pipeline = Pipeline.from_pretrained(folder, low_cpu_mem_usage=False, add_watermarker=False, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def reference(pipeline, latents, steps, prompt=None, guidance=0.0, **options):
    """The pipeline's latents by its own call, decoded without the clamp of its images.

    Without a prompt it is given what it takes itself for no prompt when it guides.
    """
    rows = len(latents)
    if prompt is None:
        _, empty, _, pooled = pipeline.encode_prompt("a", do_classifier_free_guidance=True)
        options |= {"prompt_embeds": empty.expand(rows, -1, -1), "pooled_prompt_embeds": pooled.expand(rows, -1)}
    else:
        options["prompt"] = [prompt] * rows
    options |= {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "latent"}
    found = pipeline(latents=latents, **options).images
    with torch.no_grad():
        return pipeline.vae.decode(found / pipeline.vae.config.scaling_factor).sample / 2 + 0.5


CASES = [(None, 1), ("", 1), ("a zebra", 1), ("a zebra", 7.5)]


@pytest.mark.parametrize("zeros", [True, False], ids=["zeros", "no zeros"])
@pytest.mark.parametrize("method", ["ddim", "euler"])
@pytest.mark.parametrize(("prompt", "guidance"), CASES)
def test_same_as_the_pipeline(xl_copy, method, prompt, guidance, zeros):
    change(xl_copy / "model_index.json", force_zeros_for_empty_prompt=zeros)
    generator = make(xl_copy, scheduler=method, prompt=prompt, guidance=guidance, steps=4)
    latents = noise(generator)
    expected = reference(load_pipeline(xl_copy, method), latents, 4, prompt, guidance)
    assert (generate(generator, latents) - expected).abs().max() < TOLERANCE


def test_its_images_are_ours_clamped(xl):
    generator = make(xl, scheduler="euler", prompt="a zebra", guidance=3, steps=2)
    latents = noise(generator)
    found = load_pipeline(xl, "euler")(
        ["a zebra"] * 2, latents=latents, num_inference_steps=2, guidance_scale=3, output_type="pt"
    )
    assert (generate(generator, latents).clamp(0, 1) - found.images).abs().max() < TOLERANCE


def test_turbo_in_one_step_is_the_ancestral_scheduler_and_in_more_its_times_without_noise(xl):
    latents = noise(make(xl))
    own = load_pipeline(xl)
    assert isinstance(own.scheduler, EulerAncestralDiscreteScheduler)
    expected = reference(own, latents, 1, "a zebra")
    assert (generate(make(xl, steps=1, prompt="a zebra"), latents) - expected).abs().max() < TOLERANCE
    own.scheduler.set_timesteps(4)
    plan = make(xl)._sampler.plan(4)
    assert [float(step.time) for step in plan.steps] == own.scheduler.timesteps.tolist()
    torch.testing.assert_close(plan.start, float(own.scheduler.init_noise_sigma))
    torch.testing.assert_close(torch.tensor([step.add for step in plan.steps]), own.scheduler.sigmas.diff())


def test_every_input_changes_the_image(xl_copy):
    latents = noise(make(xl_copy, steps=2))
    conditions = [
        {},
        {"prompt": ""},
        {"prompt": "a zebra"},
        {"prompt": "a zebra", "guidance": 5},
        {"prompt": "a horse"},
    ]
    found = [generate(make(xl_copy, steps=2, **options), latents) for options in conditions]
    for index, one in enumerate(found):
        assert all((one - other).abs().max() > 20 * TOLERANCE for other in found[:index])
    # only the second encoder's pooled text, and only the size of the image
    (conditioning,) = condition(Folder(xl_copy, "xl"), ["a zebra"], (16, 16), BuildContext())
    added = conditioning["added_cond_kwargs"]
    unet = make(xl_copy)._denoiser._unet
    time = torch.tensor(500)

    def predict(**changes):
        with torch.no_grad():
            return Denoiser(unet, [(1.0, {**conditioning, "added_cond_kwargs": {**added, **changes}})])(latents, time)

    plain = predict()
    assert (predict(text_embeds=added["text_embeds"] + 1) - plain).abs().max() > 20 * TOLERANCE
    assert (predict(time_ids=2 * added["time_ids"]) - plain).abs().max() > 20 * TOLERANCE


def test_other_sizes(xl):
    generator = make(xl, size=24, steps=2, scheduler="euler", prompt="a zebra")
    latents = noise(generator)
    assert latents.shape == (2, 4, 12, 12)
    expected = reference(load_pipeline(xl, "euler"), latents, 2, "a zebra", height=24, width=24)
    assert (generate(generator, latents) - expected).abs().max() < TOLERANCE


def test_a_schedule_without_an_offset_keeps_none(tiny, xl_copy):
    """Unlike StableDiffusionPipeline, this pipeline leaves the scheduler's configuration alone."""
    tiny.scheduler(steps_offset=0).save_pretrained(xl_copy / "scheduler")
    generator = make(xl_copy, steps=5)
    latents = noise(generator)
    expected = reference(load_pipeline(xl_copy, "ddim"), latents, 5)
    assert (generate(generator, latents) - expected).abs().max() < TOLERANCE


def test_tiny_autoencoder(tiny, tmp_path, xl):
    torch.manual_seed(1)
    tiny.tiny_autoencoder().save_pretrained(tmp_path)
    generator = make(xl, vae="tiny", tiny=str(tmp_path), steps=1)
    latents = noise(generator)
    vae = AutoencoderTiny.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    expected = reference(load_pipeline(xl, vae=vae), latents, 1)
    assert (generate(generator, latents) - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("method", ["ddim", "euler"])
@pytest.mark.parametrize("recompute", [True, False])
def test_gradients_by_finite_differences_in_float64(tiny, xl, method, recompute):
    torch.manual_seed(0)
    conditions = condition(Folder(xl, "xl"), [None, "a zebra"], (8, 8), BuildContext())
    generator = Diffusion(
        Denoiser(tiny.xl_unet().double(), list(zip((-2.0, 3.0), conditions, strict=True))),
        Sampler(method, dict(tiny.scheduler().config)),
        (4, 4, 4),
        2,
        Autoencoder(tiny.autoencoder().double()),
        recompute,
    )
    latents = torch.randn(2, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(generator.generate, (latents,), fast_mode=True, eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"prompt": "a zebra", "guidance": 5, "scheduler": "ddim"}])
def test_it_keeps_its_contract(xl, options):
    check_generator(make(xl, steps=2, **options))


def test_bfloat16_is_near_float32_and_images_stay_float32(xl):
    options = SdOptions(prompt="a zebra", guidance=3, steps=2)
    exact, rough = (build(str(xl), options, BuildContext(dtype=dtype)) for dtype in ("float32", "bfloat16"))
    latents = noise(exact)
    expected, found = generate(exact, latents), generate(rough, latents)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    assert (found - expected).square().mean().sqrt() < 0.1 * expected.std()


def test_a_run_ends_in_members(tiny, xl, tmp_path):
    target = tiny.reachable(xl, steps=1, prompt="a zebra")
    spec = f"sd:{xl},steps=1,prompt=a zebra"
    outcome = run_cli("run", "-g", spec, "-o", PROBE, f"--target={target}", "-n", "2", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.stderr
    info = read_run(outcome.path)
    assert info["counts"]["members"] == 2
    assert [weights["name"] for weights in info["weights"]] == [f"xl/{file}.safetensors" for file in NETWORKS]
    for record in read_lines(outcome.path / "members.jsonl"):
        assert record["measurement"][0] == pytest.approx(target, abs=0.1)


def change(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def refused(generator, code, *words):
    assert_one_error(run_cli("run", "-g", generator, "-o", PROBE, "--target", "0"), code, *words)


@pytest.mark.parametrize(
    "changes",
    [
        {"_class_name": "StableDiffusionXLInpaintPipeline"},
        {"_class_name": "StableDiffusionXLInstructPix2PixPipeline"},
        # the refiner, as it is published
        {
            "_class_name": "StableDiffusionXLImg2ImgPipeline",
            "text_encoder": [None, None],
            "tokenizer": [None, None],
            "requires_aesthetics_score": True,
        },
        {"_class_name": "StableDiffusionXLControlNetPipeline", "controlnet": ["diffusers", "ControlNetModel"]},
    ],
    ids=lambda changes: changes["_class_name"],
)
def test_other_pipelines_of_the_family(xl_copy, changes):
    change(xl_copy / "model_index.json", **changes)
    refused(f"sd:{xl_copy}", 1, f"cannot use a {changes['_class_name']}", "no refiner, no inpainting")


def test_networks_that_do_not_fit(tiny, xl_copy):
    tiny.xl_unet(in_channels=9).save_pretrained(xl_copy / "unet")
    refused(f"sd:{xl_copy}", 1, "needs inputs that", "9 channels in, 4 out")
    tiny.text_unet().save_pretrained(xl_copy / "unet")
    refused(f"sd:{xl_copy}", 1, "needs inputs that", "addition_embed_type=None", "addition_embed_type=text_time")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("projection_class_embeddings_input_dim", 28, "additions of width 28, and gets 32 and 32"),
        ("cross_attention_dim", 16, "texts of width 16"),
    ],
)
def test_a_unet_of_other_text_encoders(xl_copy, name, value, words):
    change(xl_copy / "unet" / "config.json", **{name: value})
    refused(f"sd:{xl_copy}", 1, "UNet and text encoders do not match", words, "no refiner")


def test_an_autoencoder_with_means(xl_copy):
    change(xl_copy / "vae" / "config.json", latents_mean=[0.0, 1.0, 0.0, 0.0])
    refused(f"sd:{xl_copy}", 1, "latents are shifted by a mean")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("text_encoder_2/model.safetensors", "lacks text_encoder_2/model.safetensors"),
        ("text_encoder_2/config.json", "lacks text_encoder_2/config.json"),
        ("tokenizer_2/tokenizer.json", "lacks tokenizer_2/vocab.json, tokenizer_2/merges.txt"),
    ],
)
def test_missing_files(xl_copy, file, words):
    (xl_copy / file).unlink()
    refused(f"sd:{xl_copy}", 1, words)


def test_a_broken_second_tokenizer_or_encoder(xl_copy):
    (xl_copy / "tokenizer_2" / "tokenizer.json").write_text("{}")
    refused(f"sd:{xl_copy}", 1, "tokenizer_2 cannot be loaded")
    file = xl_copy / "text_encoder_2" / "model.safetensors"
    shutil.copy(xl_copy / "tokenizer" / "tokenizer.json", xl_copy / "tokenizer_2" / "tokenizer.json")
    file.write_bytes(file.read_bytes()[:-1000])
    refused(f"sd:{xl_copy}", 1, "The checkpoint is cut short", "text_encoder_2")


def test_bad_options(xl):
    refused(f"sd:{xl},prompt=" + "zebra " * 9, 2, "longer than the text encoder reads", "at most 16 tokens")
    refused(f"sd:{xl},guidance=5", 2, "Guidance needs a prompt")
    refused(f"sd:{xl},size=25", 2, "no images of this size", "a multiple of 2")
