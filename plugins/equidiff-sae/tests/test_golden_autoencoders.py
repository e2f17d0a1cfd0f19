"""Every autoencoder architecture against tensors that Prisma's own code computed."""

import json
from pathlib import Path

import pytest
import torch
from equidiff_sae import load_sae
from equidiff_sae.feature import Feature
from safetensors.torch import load_file

FIXTURES = json.loads((Path(__file__).parent / "golden" / "README.json").read_text())["fixtures"]
NAMES = sorted(name for name, about in FIXTURES.items() if about["kind"] != "vit")
TOLERANCE = 2e-5  # the fixtures' own, for features and reconstructions
COMBINED = "n_images_2600058.pt"


@pytest.mark.parametrize("file", ["weights.pt", COMBINED])
@pytest.mark.parametrize("name", NAMES)
def test_features_and_reconstruction(golden, name, file):
    folder = golden(name, file)
    autoencoder = load_sae(folder / file)
    expected = load_file(folder / "io.safetensors")
    given = expected.get("input", expected.get("activation"))
    features = autoencoder.encode(given)
    torch.testing.assert_close(features, expected["feature_acts"], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(autoencoder.decode(features, given), expected["recon"], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(autoencoder.reconstruct(given), expected["recon"], atol=TOLERANCE, rtol=0)
    assert autoencoder.config.hook == FIXTURES[name]["hook_point"]
    if "l0" in FIXTURES[name]:
        assert (features > 0).float().sum(-1).mean().item() == pytest.approx(FIXTURES[name]["l0"], abs=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("sae", "transcoder"))])
def test_one_feature_and_its_gradient(golden, name):
    folder = golden(name)
    expected = load_file(folder / "io.safetensors")
    index = int(expected["feature_index"])
    feature = Feature(load_sae(folder / "weights.pt"), index)
    given = expected["input"].requires_grad_()
    value = feature.read(given).value
    torch.testing.assert_close(value, expected["feature_acts"][..., index], atol=TOLERANCE, rtol=0)
    for key, scalar in (("grad_cls", value[:, 0].sum()), ("grad_mean_tokens", value.mean(dim=1).sum())):
        (gradient,) = torch.autograd.grad(scalar, given, retain_graph=True)
        torch.testing.assert_close(gradient, expected[key], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("sae", "transcoder"))])
def test_each_feature_alone_is_what_it_is_among_all(golden, name):
    autoencoder = load_sae(golden(name))
    given = load_file(golden(name) / "io.safetensors")["input"]
    alone = [Feature(autoencoder, index).read(given) for index in range(autoencoder.config.d_sae)]
    together = autoencoder.encode(given)
    torch.testing.assert_close(torch.stack([each.value for each in alone], dim=-1), together, atol=5e-6, rtol=0)
    deficit = torch.stack([each.deficit for each in alone], dim=-1)
    assert (deficit[together > 0] == 0).all()
    assert (deficit[together == 0] < 0).all()


def test_the_file_of_firing_rates_is_not_taken_for_the_weights(golden):
    folder = golden("sae_standard_relu_none", COMBINED)
    assert (folder / "n_images_2600058_log_feature_sparsity.pt").exists()
    assert load_sae(folder).config.d_sae == 96
