"""The tiny pipelines: built alike each time, and read back from a folder."""

import pytest
import tiny
import torch
from diffusers import DiffusionPipeline

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about configurations


def image(pipeline, name):
    made = pipeline(**tiny.CALLS[name], generator=torch.Generator().manual_seed(0), output_type="np")[0]
    return torch.as_tensor(made)


@pytest.mark.parametrize("name", sorted(tiny.FAMILIES.keys() - tiny.UNREADABLE))
def test_a_saved_family_is_read_without_a_network(name, tmp_path):
    tiny.save(name, tmp_path)
    first = image(tiny.build(name), name)
    assert first.isfinite().all()
    assert first.std() > 0.05
    read = DiffusionPipeline.from_pretrained(tmp_path, local_files_only=True)
    read.set_progress_bar_config(disable=True)
    assert torch.equal(image(read, name), first)


@pytest.mark.parametrize("name", sorted(tiny.UNREADABLE))
def test_diffusers_itself_cannot_read_the_others(name, tmp_path):
    tiny.save(name, tmp_path)
    with pytest.raises(ValueError, match="has no class"):
        DiffusionPipeline.from_pretrained(tmp_path, local_files_only=True)
