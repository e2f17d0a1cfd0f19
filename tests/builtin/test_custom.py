"""The objective `custom`."""

import sys

import pytest
import torch
from analytic import Identity
from PIL import Image

from equidiff.builtin.objectives.custom import build
from equidiff.contracts import BuildContext, Generator
from equidiff.errors import PluginError, UnknownNameError, UsageError
from equidiff.images.convert import image_to_tensor
from equidiff.registry.descriptors import Options
from equidiff.run.query import Query, as_measured

PROBE = """
import torch

LIMIT = 3

def brightness(samples):
    return samples.flatten(1).mean(1)

brightness.unit = "grey level"

def moments(samples):
    flat = samples.flatten(1)
    return torch.stack([flat.mean(1), flat.square().mean(1)], dim=1)

def number(samples):
    return 3.0

def scalar(samples):
    return samples.mean()

def cube(samples):
    return samples

def whole(samples):
    return samples.flatten(1).sum(1).long()

def detached(samples):
    return samples.detach().flatten(1).mean(1)

def constant(samples):
    return torch.ones(len(samples), requires_grad=True)

def nan(samples):
    return samples.flatten(1).mean(1) * float("nan")

def steep(samples):
    return (samples - samples.detach()).sqrt().flatten(1).sum(1)

def contrast(samples):
    return samples.flatten(1).std(1)

def pooled(samples):
    return samples.mean()[None]

def centred(samples):
    return samples.flatten(1).square().mean(1) - samples.square().mean()

def raising(samples):
    raise ValueError("the moon is in the wrong house")

def late(samples):
    if len(samples) > 2:
        raise ValueError("three are too many")
    return samples.flatten(1).mean(1)
"""


class Fake(Generator):
    latent_shape = (4,)

    def __init__(self, *sample_shape):
        self.sample_shape = sample_shape

    def generate(self, latents, steps=None):
        raise NotImplementedError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "measuring.py").write_text(PROBE)
    yield tmp_path
    sys.modules.pop("measuring", None)
    sys.modules.pop("equidiff_file_probe", None)


def make(argument, shape=(1, 8, 8)):
    return build(argument, Options(), BuildContext(generator=Fake(*shape)))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("place", ["./probe.py", "probe.py", "measuring"])
def test_one_number_per_sample(place):
    objective = make(f"{place}:brightness")
    samples = torch.rand(3, 1, 8, 8)
    assert torch.equal(objective.measure(samples), samples.flatten(1).mean(1)[:, None])
    assert (objective.names, objective.unit) == (("brightness",), "grey level")


@pytest.mark.usefixtures("here")
def test_a_vector_per_sample_and_its_gradient():
    objective = make("./probe.py:moments")
    assert (objective.names, objective.unit) == (("moments[0]", "moments[1]"), "value")
    samples = torch.rand(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert objective.measure(samples).shape == (2, 2)
    assert torch.autograd.gradcheck(objective.measure, samples)


def test_an_absolute_path(here):
    assert make(f"{here}/probe.py:brightness").names == ("brightness",)


@pytest.mark.usefixtures("here")
def test_a_build_inside_no_grad_still_finds_the_gradient():
    with torch.no_grad():
        assert make("probe.py:brightness").names == ("brightness",)
    # has no gradient at a grey sample
    assert make("probe.py:contrast").names == ("contrast",)


@pytest.mark.usefixtures("here")
def test_points():
    samples = torch.randn(3, 2)
    objective = make("probe.py:brightness", (2,))
    assert torch.equal(objective.measure(samples)[:, 0], samples.mean(1))


@pytest.mark.usefixtures("here")
def test_pictures_get_the_shape_of_samples():
    image = Image.new("RGB", (60, 40), (255, 0, 0))

    def measure(image, shape):
        objective = make("probe.py:brightness", shape)
        query = as_measured(Query("a picture", image_to_tensor(image), image), objective, Identity(*shape))
        assert query.sample.shape == (1, *shape)
        assert torch.equal(image_to_tensor(query.image), query.sample)  # what is shown is what was measured
        return objective.measure(query.sample).item()

    assert measure(image, (1, 8, 8)) == pytest.approx(76 / 255)
    assert measure(image, (3, 8, 8)) == pytest.approx(1 / 3)
    same = Image.effect_noise((8, 8), 40)
    assert measure(same, (1, 8, 8)) == pytest.approx(image_to_tensor(same).mean().item())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("number", "given: float"),
        ("scalar", r"of shape \(\) for 2 samples"),
        ("pooled", r"of shape \(1,\) for 2 samples"),
        ("centred", "depends on other samples"),
        ("cube", r"of shape \(2, 1, 8, 8\)"),
        ("whole", "torch.int64"),
        ("detached", "without a gradient"),
        ("constant", "does not depend on the samples"),
        ("nan", "finite numbers"),
        ("steep", "finite gradient"),
        ("raising", "ValueError: the moon is in the wrong house"),
    ],
)
def test_functions_that_cannot_be_used(function, message):
    with pytest.raises(PluginError, match=message):
        make(f"./probe.py:{function}")


@pytest.mark.usefixtures("here")
def test_an_error_in_the_middle_of_a_run_keeps_its_cause():
    objective = make("./probe.py:late")
    with pytest.raises(PluginError, match="three are too many") as caught:
        objective.measure(torch.rand(3, 1, 8, 8))
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("argument", [None, "brightness", "./probe.py", "probe.py:", ":brightness"])
def test_an_argument_without_module_or_function(argument):
    with pytest.raises(UsageError, match=r"custom:./probe.py:score"):
        make(argument)


def test_names_that_do_not_exist(here):
    with pytest.raises(UnknownNameError, match="brightness"):
        make("probe.py:brightnes")
    with pytest.raises(UsageError, match=r"LIMIT in probe\.py is not a function"):
        make("probe.py:LIMIT")
    with pytest.raises(UsageError, match="does not exist"):
        make("./prob.py:brightness")
    with pytest.raises(PluginError, match="No module named 'mesuring'"):
        make("mesuring:brightness")
    (here / "broken.py").write_text("def brightness(:")
    with pytest.raises(PluginError, match="SyntaxError"):
        make("broken.py:brightness")


@pytest.mark.usefixtures("here")
def test_a_generator_is_needed():
    with pytest.raises(UsageError, match="needs a generator"):
        build("probe.py:brightness", Options(), BuildContext())
