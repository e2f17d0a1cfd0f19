"""Generators of pipelines in memory."""

import threading

import pytest
import tiny
import torch
from equidiff_diffusers.noise import Noise

import equidiff
from equidiff.errors import EquiDiffError, UnsupportedError, UsageError
from equidiff.testing import check_generator

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about configurations

SIZED = {"prompt": "a cat", "steps": 2, "size": 16}
OPTIONS = {"sd3": SIZED, "flux": SIZED, "dit": {"label": 1, "steps": 2}}


def start(generator, rows=2, seed=1):
    return torch.randn(rows, *generator.latent_shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", OPTIONS)
def test_images_and_gradients_are_those_of_the_pipeline(name):
    pipeline = tiny.build(name)
    made = pipeline(**tiny.CALLS[name], generator=torch.Generator().manual_seed(1), output_type="np")[0]
    wanted = torch.as_tensor(made).movedim(-1, 1)
    generator = equidiff.diffusers(pipeline, **OPTIONS[name])
    latents = start(generator)  # the first row is what the pipeline's own generator drew
    first = torch.randn(1, *generator.latent_shape, generator=torch.Generator().manual_seed(1))
    images = generator.generate(torch.cat([first, latents]))
    assert images.min() < 0 or images.max() > 1, "nothing would show that images are not clamped"
    assert torch.allclose(images[:1].clamp(0, 1), wanted, atol=1e-5)
    assert torch.allclose(generator.generate(latents[1:]), images[2:], atol=1e-5)
    check_generator(generator, rows=2, trained=False)


def test_the_pipeline_stays_as_it_is():
    pipeline = tiny.build("sd3")
    pipeline.transformer.train().requires_grad_()
    before = {key: value.clone() for key, value in pipeline.transformer.state_dict().items()}
    kept = dict(vars(pipeline))
    generator = equidiff.diffusers(pipeline, **SIZED)
    latents = start(generator).requires_grad_()
    generator.generate(latents).sum().backward()
    assert all(torch.equal(before[key], value) for key, value in pipeline.transformer.state_dict().items())
    assert all(each.grad is None and each.requires_grad for each in pipeline.transformer.parameters())
    assert pipeline.transformer.training
    assert vars(pipeline) == kept
    assert generator._parts.pipeline.text_encoder is None  # while the generator holds none of its encoders


def test_threads_do_not_share_their_noise():
    generator = equidiff.diffusers(tiny.build("sdxl-turbo"), prompt="a cat", steps=2)
    alone = [generator.generate(start(generator, seed=seed)) for seed in range(3)]
    together = [None] * 3
    free = []

    def work(seed):
        together[seed] = generator.generate(start(generator, seed=seed))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    with Noise(torch.zeros(1, 2)):
        threads.append(threading.Thread(target=lambda: free.append(torch.randn(1, 2))))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    assert free[0].abs().min() > 0


def test_later_noise_is_the_same_for_each_row_and_leaves_the_global_generator_alone():
    generator = equidiff.diffusers(tiny.build("sdxl-turbo"), prompt="a cat", steps=3)
    state = torch.random.get_rng_state()
    row = start(generator, rows=1)
    images = generator.generate(row.repeat(2, 1, 1, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.allclose(images[0], images[1], atol=1e-6)
    first, second = (generator.generate(row, steps=steps) for steps in (2, 3))
    assert not torch.allclose(first, second, atol=1e-2)


def test_networks_in_bfloat16_leave_latents_and_images_in_float32():
    pipeline = tiny.build("sd3")
    wanted = equidiff.diffusers(pipeline, **SIZED)
    latents = start(wanted)
    images = wanted.generate(latents)
    pipeline.transformer.to(torch.bfloat16)
    narrow = equidiff.diffusers(pipeline, **SIZED)
    moved = latents.requires_grad_()
    narrowed = narrow.generate(moved)
    (gradient,) = torch.autograd.grad(narrowed.sum(), moved)
    assert narrowed.dtype == gradient.dtype == torch.float32
    assert 0 < (narrowed - images).abs().max() < 0.1
    assert gradient.isfinite().all()


def test_without_a_prompt_guidance_is_off():
    pipeline = tiny.build("sd3")
    plain = equidiff.diffusers(pipeline, steps=2, size=16)
    guided = equidiff.diffusers(pipeline, steps=2, size=16, guidance=7)
    latents = start(plain)
    assert torch.allclose(plain.generate(latents), guided.generate(latents), atol=1e-4)  # from the empty to the empty
    prompted, strong = (equidiff.diffusers(pipeline, **SIZED, guidance=scale) for scale in (1, 7))
    assert not torch.allclose(prompted.generate(latents), strong.generate(latents), atol=1e-2)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("dit", {"prompt": "a cat"}, "no such option"),
        ("dit", {"label": 10_000}, "not trained with this class"),
        ("ddpm", {"size": 16}, "no such option"),
        ("consistency", {}, "needs a class"),
        ("flux", {"negative": "a dog"}, "no such option"),
        ("sd3", {"size": 17}, "refuses its arguments"),
        ("sd3", {"call": {"strength": 1}}, "takes no strength"),
    ],
)
def test_options_that_a_pipeline_does_not_have(name, options, words):
    with pytest.raises(EquiDiffError, match=words):
        equidiff.diffusers(tiny.build(name), **options)


def test_what_is_no_pipeline():
    with pytest.raises(UsageError, match="not a pipeline"):
        equidiff.diffusers(torch.nn.Linear(2, 2))


def test_pipelines_and_schedulers_that_are_not_on_the_list():
    from diffusers import DDIMInverseScheduler, StableDiffusionImg2ImgPipeline

    pipeline = tiny.build("sd")
    with pytest.raises(UnsupportedError, match="starts from an image"):
        equidiff.diffusers(StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False))

    class Unusual(type(pipeline)):
        pass

    with pytest.raises(UnsupportedError, match="Unusual cannot be used"):
        equidiff.diffusers(Unusual(**pipeline.components, requires_safety_checker=False))
    pipeline.scheduler = DDIMInverseScheduler()
    with pytest.raises(UnsupportedError, match="from an image to noise"):
        equidiff.diffusers(pipeline)


def test_a_run_in_python_finds_members():
    generator = equidiff.diffusers(tiny.build("dit"), label=1, steps=4)
    found = equidiff.sample(generator=generator, objective="classifier:bag,model=fashion", target=0.97, samples=2)
    assert len(found) == 2
    assert found.contains(found.samples).all()
    assert torch.allclose(generator.generate(found.latents).clamp(0, 1), found.samples, atol=0.51 / 255)  # as saved
