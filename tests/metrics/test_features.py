"""Feature spaces: what they make of samples, and what they refuse."""

import sys
import types

import pytest
import timm
import torch
from analytic import Identity
from safetensors.torch import save_file

from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, PluginError, UnknownNameError, UnsupportedError, UsageError, WeightsError
from equidiff.folders.code import find_function
from equidiff.metrics.features import build_features, default_features
from equidiff.networks import load_network


def images(*shape, network=None):
    generator = Identity(*shape)
    generator.network = network
    return BuildContext(generator=generator)


def some(*shape, count=3):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def test_pixels_are_the_image_where_it_is_small():
    space = build_features("pixels", images(1, 28, 28))
    samples = some(1, 28, 28)
    assert torch.equal(space.extract(samples), samples.flatten(1))


def test_pixels_of_a_large_image_are_averages():
    space = build_features("pixels:4", images(3, 32, 16))
    flat = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(1, 3, 32, 16)
    features = space.extract(flat)
    assert features.shape == (1, 3 * 4 * 2)
    torch.testing.assert_close(features.reshape(3, 8), torch.tensor([0.2, 0.5, 0.9])[:, None].expand(3, 8))


def test_the_shipped_networks_features_are_its_last_ones():
    context = images(1, 28, 28)
    space = build_features("fashion", context)
    network = load_network("fashion", None, BuildContext())
    samples = some(1, 28, 28)
    module = network.module
    expected = module.pool(module.block3(module.block2(module.block1(samples))))
    torch.testing.assert_close(space.extract(samples), expected)
    assert [weights.name for weights in space.weights] == ["fashion_classifier.safetensors"]
    assert context.weights == []  # those of the run are the run's
    layer = build_features("fashion,layer=block2,positions=max", images(1, 28, 28))
    expected = module.block2(module.block1(samples)).amax(dim=(2, 3))
    torch.testing.assert_close(layer.extract(samples), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_timm_network_with_weights_of_ones_own(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=5).eval()
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    space = build_features(f"timm:resnet10t,checkpoint={tmp_path / 'own.safetensors'}", images(3, 64, 64))
    assert space.extract(some(3, 64, 64)).shape == (3, 512)
    assert [weights.name for weights in space.weights] == ["own.safetensors"]


def test_a_function_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def brightness(samples):\n    return samples.mean(dim=(2, 3))\n"
        "def nothing(samples):\n    return 3\n"
        "def scalars(samples):\n    return samples.mean(dim=(1, 2, 3))\n"
        "def broken(samples):\n    raise ValueError('no')\n"
    )
    samples = some(3, 8, 8)
    space = build_features(f"module:{tmp_path}/mine.py:brightness", images(3, 8, 8))
    torch.testing.assert_close(space.extract(samples), samples.mean(dim=(2, 3)))
    for name, words in (("nothing", "int"), ("scalars", r"shape \(2,\)"), ("broken", "ValueError: no")):
        with pytest.raises(PluginError, match=words if name == "broken" else "does not return features") as caught:
            build_features(f"module:{tmp_path}/mine.py:{name}", images(3, 8, 8))
        assert name == "broken" or str(caught.value.given).startswith(words.replace("\\", ""))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("pixel", UnknownNameError, "pixels"),
        ("pixels:x", UsageError, "size"),
        ("pixels,size=3", UsageError, "no option"),
        ("timm", UsageError, "does not name a network"),
        ("fashion:3", UsageError, "does not name a network"),
        ("timm:resnet1", UnknownNameError, "resnet"),
        ("fashion,layer=blok2", UnknownNameError, "block2"),
        ("fashion,positions=all", UsageError, "invalid value"),
        ("module", UsageError, "function"),
        ("module:./nowhere.py:f", UsageError, "does not exist"),
        ("inception", UsageError, "names no weights"),
        ("inception:./nowhere.pth", WeightsError, "does not exist"),
        ("module:a:b,c", UsageError, "key=value"),
    ],
)
def test_what_cannot_be_used(text, error, words):
    with pytest.raises(error, match=words):
        build_features(text, images(1, 28, 28))


def test_points_have_no_feature_space_but_themselves():
    with pytest.raises(UnsupportedError, match="points"):
        build_features("pixels", images(2))
    space, why = default_features(images(2), frozenset())
    assert why is None
    assert torch.equal(space.extract(torch.eye(2)), torch.eye(2))


def test_the_usual_space_is_no_network_under_test():
    space, why = default_features(images(1, 28, 28, network="fashion"), frozenset())
    assert (space.name, why) == ("fashion", None)
    under_test = frozenset(weights.sha256 for weights in space.weights)
    space, why = default_features(images(1, 28, 28, network="fashion"), under_test)
    assert space.name == "pixels"
    assert "under test" in why
    space, why = default_features(images(3, 64, 64), frozenset())
    assert space.name == "pixels"
    assert "--features" in why


class Extractor(torch.nn.Module):
    """In the place of torch-fidelity's, which wants 90 MB of weights: brightness of 8-bit RGB."""

    def __init__(self, name, features_list, feature_extractor_weights_path):
        super().__init__()
        assert features_list == ["2048"]
        self.path = feature_extractor_weights_path

    def forward(self, samples):
        assert samples.dtype == torch.uint8
        assert samples.shape[1] == 3
        return (samples.float().mean(dim=(2, 3)),)


def test_inceptions_features_are_of_eight_bits(tmp_path, monkeypatch):
    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = Extractor
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, path)
    space = build_features(f"inception:{path}", images(1, 4, 4))
    assert space.inception
    samples = torch.tensor([-0.3, 0.5, 1.2])[:, None, None, None].expand(3, 1, 4, 4)
    assert space.extract(samples).tolist() == [[0] * 3, [128] * 3, [255] * 3]


def test_inceptions_weights_are_refused_where_they_hold_code(tmp_path):
    path = tmp_path / "code.pth"
    torch.save({"a": Identity(2)}, path)
    with pytest.raises(WeightsError):
        build_features(f"inception:{path}", images(1, 4, 4))


def test_without_torch_fidelity_there_is_no_inception(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(PluginError, match="not installed") as caught:
        build_features(f"inception:{path}", images(1, 4, 4))
    assert caught.value.hint == 'pip install "equidiff[fid]"'


def test_the_error_about_a_function_names_what_was_typed():
    with pytest.raises(EquiDiffError) as caught:
        find_function(None, "module")
    assert caught.value.hint.startswith("module:")
