"""The tiny pipelines: built alike each time, read back from a folder, and with images that depend on the noise."""

import pytest
import tiny
import torch
from diffusers import DiffusionPipeline

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about configurations


def image(pipeline, name, seed=0):
    made = pipeline(**tiny.CALLS[name], generator=torch.Generator().manual_seed(seed), output_type="np")[0]
    return torch.as_tensor(made)


@pytest.mark.parametrize("name", tiny.FAMILIES)
def test_a_family_is_built_alike_and_its_images_depend_on_the_noise(name):
    first = image(tiny.build(name), name)
    assert first.isfinite().all()
    assert first.shape[1] <= 32
    assert torch.equal(image(tiny.build(name), name), first)
    assert (image(tiny.build(name), name, seed=1) - first).abs().max() > 0.05


@pytest.mark.parametrize("name", sorted(tiny.FAMILIES.keys() - tiny.UNREADABLE))
def test_a_saved_family_is_read_without_a_network(name, tmp_path):
    first = image(tiny.save(name, tmp_path), name)
    read = DiffusionPipeline.from_pretrained(tmp_path, local_files_only=True)
    read.set_progress_bar_config(disable=True)
    assert torch.equal(image(read, name), first)


@pytest.mark.parametrize("name", sorted(tiny.UNREADABLE))
def test_diffusers_itself_cannot_read_the_others(name, tmp_path):
    tiny.save(name, tmp_path)
    with pytest.raises(ValueError, match="has no class"):
        DiffusionPipeline.from_pretrained(tmp_path, local_files_only=True)
