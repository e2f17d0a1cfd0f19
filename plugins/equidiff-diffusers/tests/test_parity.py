"""Every family against its pipeline's own call: the image, the gradient, rows alone, another noise, a folder."""

import inspect
import re

import diffusers
import pytest
import tiny
import torch
from equidiff_diffusers.build import build, from_pipeline
from equidiff_diffusers.families import FAMILIES, family
from equidiff_diffusers.plugin import DiffusersOptions
from tiny import measure

from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, UnsupportedError

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about configurations

CLOSE = 1e-5
SAME_GRADIENT = 1e-2
STRAIGHT_THROUGH = {"ldm"}  # its decoder quantises: the gradient is that of the decoder without
MADE_WITH_EMBEDDINGS = {"kandinsky", "kandinsky-2.2", "stable-cascade", "wuerstchen"}


def seeded():
    return torch.Generator().manual_seed(5)


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def family_of(request):
    """Name of a family, its pipeline, its generator."""
    name = request.param
    pipeline = tiny.build(name)
    return name, pipeline, from_pipeline(pipeline, **measure.choices(tiny.CALLS[name]))


def test_the_image_is_the_pipelines_own(family_of):
    name, pipeline, generator = family_of
    latents = measure.latents(generator, rows=2)
    own = measure.own_image(pipeline, tiny.CALLS[name], latents[:1])
    both = measure.image(generator, latents)
    assert (both[:1] - own).abs().max() < CLOSE
    assert (both[1:] - own).abs().max() > 0.05  # other noise gives another image
    alone = torch.cat([measure.image(generator, latent[None]) for latent in latents])
    assert (both - alone).abs().max() < CLOSE


def test_the_gradient_agrees_with_finite_differences(family_of):
    name, _, generator = family_of
    if name in STRAIGHT_THROUGH:
        pytest.skip("its decoder quantises")
    assert measure.gradient_error(generator, measure.latents(generator)) < SAME_GRADIENT


@pytest.mark.parametrize("name", ["dit", "flux", "sana", "sd", "z-image"])
def test_noise_of_the_pipelines_own_generator_gives_its_image(name):
    pipeline = tiny.build(name)
    own = measure.own_image(pipeline, tiny.CALLS[name], generator=seeded())
    generator = from_pipeline(pipeline, **measure.choices(tiny.CALLS[name]))
    assert (measure.image(generator, measure.latents(generator, seed=5)) - own).abs().max() < CLOSE


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sd", {"negative_prompt": "dog", "guidance_scale": 3.0, "height": 16, "width": 32}),
        ("sdxl", {"guidance_scale": 1.0, "num_inference_steps": 1}),
        ("sd3", {"negative_prompt": "dog", "num_inference_steps": 5}),
        ("flux", {"width": 32, "guidance_scale": 1.0}),
        ("qwen-image", {"negative_prompt": "dog", "width": 32}),
        ("sana-sprint", {"num_inference_steps": 1, "intermediate_timesteps": None}),
        ("dit", {"guidance_scale": 1.0, "class_labels": [7]}),
        ("z-image", {"guidance_scale": 0.0}),
    ],
)
def test_other_arguments_mean_what_the_pipeline_means_by_them(name, changes):
    pipeline, call = tiny.build(name), {**tiny.CALLS[name], **changes}
    assert measure.difference(from_pipeline(pipeline, **measure.choices(call)), pipeline, call) < CLOSE
    changed, before = (measure.own_image(pipeline, each, generator=seeded()) for each in (call, tiny.CALLS[name]))
    assert changed.shape != before.shape or (changed - before).abs().max() > 1e-3  # they matter


def test_a_pipeline_without_finite_images_is_refused():
    pipeline = tiny.build("qwen-image")  # its noise schedule divides by zero at one step
    with pytest.raises(UnsupportedError, match="finite"):
        from_pipeline(pipeline, prompt="a cat", size=16, steps=1)


@pytest.mark.parametrize("name", sorted(tiny.FAMILIES.keys() - tiny.UNREADABLE - MADE_WITH_EMBEDDINGS))
def test_a_folder_gives_the_image_of_the_pipeline_that_was_saved(name, tmp_path):
    pipeline = tiny.save(name, tmp_path)
    chosen = measure.choices(tiny.CALLS[name])
    assert not chosen.pop("call")
    if "size" in chosen:
        chosen["size"] = "{}x{}".format(*chosen["size"])
    if "label" in chosen:
        chosen["class"] = str(chosen.pop("label"))
    generator = build(str(tmp_path), DiffusersOptions(**chosen), BuildContext())
    latent = measure.latents(generator)
    own = measure.own_image(pipeline, tiny.CALLS[name], latent)
    assert (measure.image(generator, latent) - own).abs().max() < CLOSE


@pytest.mark.parametrize("name", sorted(tiny.UNREADABLE))
def test_a_folder_that_diffusers_cannot_read_is_refused(name, tmp_path):
    tiny.save(name, tmp_path)
    with pytest.raises(EquiDiffError):
        build(str(tmp_path), DiffusersOptions(steps=2), BuildContext())


def test_every_family_that_is_allowed_is_tested():
    tested = {inspect.signature(make).return_annotation for make in tiny.FAMILIES.values()}
    assert set(FAMILIES) == tested


def test_every_other_pipeline_is_refused_with_a_reason():
    pipelines = [name for name in dir(diffusers) if re.search(r"Pipeline(\w*)$", name)]
    others = set(pipelines) - set(FAMILIES)
    assert len(others) > 150
    for name in others:
        with pytest.raises(UnsupportedError, match=name):
            family(name)
