"""The differentiable loop gives the same images as diffusers' own pipelines from the same noise."""

import hashlib

import pytest
import torch
from diffusers import AutoencoderTiny, DDIMPipeline, DDIMScheduler, EulerDiscreteScheduler
from diffusers import StableDiffusionPipeline as Pipeline
from equidiff_sd.build import build
from equidiff_sd.plugin import SdOptions
from safetensors.torch import load_file, save_file

from equidiff.contracts import BuildContext

# torch's arrays do not know numpy 2's `copy` keyword; diffusers' Euler scheduler meets it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SCHEDULERS = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler}
TOLERANCE = 1e-4
NO_CHECKER = {"safety_checker": None, "requires_safety_checker": False}


def make(folder, **options):
    return build(str(folder), SdOptions(**options), BuildContext())


def noise(generator, rows=2):
    return torch.randn(rows, *generator.latent_shape, generator=torch.Generator().manual_seed(0))


def generate(generator, latents, **options):
    with torch.no_grad():
        return generator.generate(latents, **options)


def load_pipeline(folder, method, **parts):
    scheduler = SCHEDULERS[method].from_pretrained(folder, subfolder="scheduler")
    options = {"scheduler": scheduler, "low_cpu_mem_usage": False, **NO_CHECKER, **parts}
    pipeline = Pipeline.from_pretrained(folder, **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def reference(pipeline, latents, steps, prompt="", guidance=1.0, **options):
    """The pipeline's latents by its own call, decoded without the clamp of its images."""
    options |= {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "latent"}
    found = pipeline([prompt] * len(latents), latents=latents, **options).images
    with torch.no_grad():
        return pipeline.vae.decode(found / pipeline.vae.config.scaling_factor).sample / 2 + 0.5


@pytest.mark.parametrize("method", ["ddim", "euler"])
@pytest.mark.parametrize(("prompt", "guidance"), [("", 1), ("a zebra", 1), ("a zebra", 7.5)])
@pytest.mark.parametrize("steps", [1, 7])
def test_stable_diffusion(text, method, prompt, guidance, steps):
    generator = make(text, scheduler=method, prompt=prompt, guidance=guidance, steps=steps)
    latents = noise(generator)
    found = generate(generator, latents)
    expected = reference(load_pipeline(text, method), latents, steps, prompt, guidance)
    assert found.shape == (2, *generator.sample_shape)
    assert (found - expected).abs().max() < TOLERANCE


def test_prompt_and_guidance_matter(text):
    latents = noise(make(text, steps=4))
    variants = [{}, {"prompt": "a zebra"}, {"prompt": "a zebra", "guidance": 7.5}, {"prompt": "a horse"}]
    found = [generate(make(text, steps=4, **options), latents) for options in variants]
    for index, one in enumerate(found):
        assert all((one - other).abs().max() > 20 * TOLERANCE for other in found[:index])


@pytest.mark.parametrize(
    ("method", "kind", "spacing"),
    [
        ("ddim", "v_prediction", "leading"),
        ("ddim", "v_prediction", "trailing"),
        ("ddim", "sample", "linspace"),
        ("euler", "sample", "leading"),
        ("euler", "v_prediction", "trailing"),
        ("euler", "v_prediction", "linspace"),
    ],
)
def test_every_prediction_and_spacing(tmp_path, tiny, text_copy, method, kind, spacing):
    tiny.scheduler(prediction_type=kind, timestep_spacing=spacing).save_pretrained(text_copy / "scheduler")
    generator = make(text_copy, scheduler=method, prompt="a zebra", steps=6)
    latents = noise(generator)
    expected = reference(load_pipeline(text_copy, method), latents, 6, "a zebra")
    assert (generate(generator, latents) - expected).abs().max() < TOLERANCE


@pytest.mark.filterwarnings("ignore:The configuration file of this scheduler:FutureWarning")  # it is about this
def test_old_configuration_without_an_offset(tiny, text_copy):
    tiny.scheduler(steps_offset=0).save_pretrained(text_copy / "scheduler")
    generator = make(text_copy, steps=5)
    latents = noise(generator)
    expected = reference(load_pipeline(text_copy, "ddim"), latents, 5)
    assert (generate(generator, latents) - expected).abs().max() < TOLERANCE


def test_turbo(tiny, text_copy):
    """SD-Turbo's settings, read from its folder: Euler, trailing times, one step."""
    tiny.scheduler("euler", timestep_spacing="trailing").save_pretrained(text_copy / "scheduler")
    for steps in (1, 4):
        generator = make(text_copy, steps=steps)
        latents = noise(generator)
        expected = reference(load_pipeline(text_copy, "euler"), latents, steps)
        assert (generate(generator, latents) - expected).abs().max() < TOLERANCE


def test_coarse_steps_are_those_of_a_coarse_generator(text):
    fine, coarse = make(text, steps=8), make(text, steps=3)
    latents = noise(fine)
    assert torch.equal(generate(fine, latents, steps=3), generate(coarse, latents))
    assert (generate(fine, latents) - generate(coarse, latents)).abs().max() > TOLERANCE


def test_other_sizes(text):
    generator = make(text, size=24, steps=3)
    assert (generator.latent_shape, generator.sample_shape) == ((4, 12, 12), (3, 24, 24))
    latents = noise(generator)
    expected = reference(load_pipeline(text, "ddim"), latents, 3, height=24, width=24)
    assert (generate(generator, latents) - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("shipped", [False, True], ids=["as an option", "in the pipeline"])
def test_tiny_autoencoder(tiny, tmp_path, text, shipped):
    torch.manual_seed(1)
    small = tiny.tiny_autoencoder()
    small.save_pretrained(tmp_path / "taesd")
    if shipped:
        tiny.save_text_pipeline(tmp_path / "pipeline", vae=small)
        generator, folder = make(tmp_path / "pipeline", steps=3), tmp_path / "pipeline"
    else:
        generator, folder = make(text, vae="tiny", tiny=str(tmp_path / "taesd"), steps=3), text
    vae = AutoencoderTiny.from_pretrained(tmp_path / "taesd", low_cpu_mem_usage=False)
    latents = noise(generator)
    expected = reference(load_pipeline(folder, "ddim", vae=vae), latents, 3)
    assert (generate(generator, latents) - expected).abs().max() < TOLERANCE


def ddim_pipeline(folder, **changes):
    pipeline = DDIMPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **changes)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def call_pixels(pipeline, latents, steps, monkeypatch):
    """The pipeline's images by its own call, which draws its noise itself."""
    monkeypatch.setattr("diffusers.pipelines.ddim.pipeline_ddim.randn_tensor", lambda *_, **__: latents)
    return pipeline(len(latents), num_inference_steps=steps, output_type="pt").images


@pytest.mark.parametrize("steps", [1, 6])
def test_unconditional(pixels, monkeypatch, steps):
    generator = make(pixels, steps=steps)
    latents = noise(generator)
    found = generate(generator, latents)
    expected = call_pixels(ddim_pipeline(pixels), latents, steps, monkeypatch)
    assert (found.clamp(0, 1) - expected).abs().max() < TOLERANCE
    assert (found < 0).any()  # not clamped, as the pipeline's images are


def test_unconditional_v_prediction_beside_the_index(tiny, tmp_path, monkeypatch):
    """The first DDPM repositories have no subfolders."""
    schedule = DDIMScheduler(prediction_type="v_prediction", clip_sample=False)
    tiny.save_pixel_pipeline(tmp_path / "flat", schedule)
    latents = noise(make(tmp_path / "flat"))
    expected = call_pixels(ddim_pipeline(tmp_path / "flat"), latents, 6, monkeypatch)
    for part in ("unet", "scheduler"):
        for file in (tmp_path / "flat" / part).iterdir():
            file.rename(tmp_path / "flat" / file.name)
        (tmp_path / "flat" / part).rmdir()
    found = generate(make(tmp_path / "flat", steps=6), latents)
    assert (found.clamp(0, 1) - expected).abs().max() < TOLERANCE


def test_clipping_is_left_out_whatever_the_configuration_says(tiny, pixels_copy, monkeypatch):
    DDIMScheduler(clip_sample=True).save_pretrained(pixels_copy / "scheduler")
    generator = make(pixels_copy, steps=6)
    latents = noise(generator)
    expected = call_pixels(ddim_pipeline(pixels_copy, clip_sample=False), latents, 6, monkeypatch)
    assert (generate(generator, latents).clamp(0, 1) - expected).abs().max() < TOLERANCE


def test_weights_are_recorded(text):
    context = BuildContext()
    build(str(text), SdOptions(), context)
    files = ["vae/diffusion_pytorch_model", "text_encoder/model", "unet/diffusion_pytorch_model"]
    assert [each.name for each in context.weights] == [f"text/{file}.safetensors" for file in files]
    content = (text / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert context.weights[2].sha256 == hashlib.sha256(content).hexdigest()


def test_old_names_of_attention_weights_are_understood(text_copy):
    """Stable Diffusion 1.5's autoencoder still has the names of diffusers' first version."""
    file = text_copy / "vae" / "diffusion_pytorch_model.safetensors"
    renamed = {"to_q.": "query.", "to_k.": "key.", "to_v.": "value.", "to_out.0.": "proj_attn."}
    weights = load_file(file)
    assert any("to_q." in name for name in weights)
    for new, old in renamed.items():
        weights = {name.replace(new, old) if "attentions" in name else name: value for name, value in weights.items()}
    generator = make(text_copy, steps=2)
    latents = noise(generator)
    expected = generate(generator, latents)
    save_file(weights, file)
    assert torch.equal(generate(make(text_copy, steps=2), latents), expected)


def test_pickles_of_tensors_and_half_precision_files_are_read(text_copy):
    """Old repositories have no safetensors; some have their weights in float16."""
    latents = noise(make(text_copy, steps=2))
    half = {}
    for part in ("unet", "vae", "text_encoder"):
        (file,) = (text_copy / part).glob("*.safetensors")
        half[part] = {name: value.half() for name, value in load_file(file).items()}
        save_file(half[part], file, metadata={"format": "pt"})
    expected = generate(make(text_copy, steps=2), latents)
    for part, weights in half.items():
        (file,) = (text_copy / part).glob("*.safetensors")
        file.unlink()
        torch.save(weights, text_copy / part / PICKLES.get(part, "diffusion_pytorch_model.bin"))
    context = BuildContext()
    found = generate(build(str(text_copy), SdOptions(steps=2), context), latents)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert context.weights[2].name == "text/unet/diffusion_pytorch_model.bin"


PICKLES = {"text_encoder": "pytorch_model.bin"}
