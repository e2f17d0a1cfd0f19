"""The autoencoder that ships: Prisma's layout, and features that are alive."""

from collections import OrderedDict
from importlib.resources import files

import pytest
import torch
from equidiff_sae import load_sae
from equidiff_sae.catalog import fashion_facts
from equidiff_sae.tower import load_tower
from equidiff_sae.vision import Vision
from PIL import Image

from equidiff.contracts import BuildContext

FOLDER = files("equidiff_sae") / "weights" / "fashion-sae"


def test_the_autoencoder_is_in_prismas_layout():
    state = torch.load(str(FOLDER / "weights.pt"), weights_only=True)
    assert type(state) is OrderedDict
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "W_enc": (96, 1536), "b_enc": (1536,), "W_dec": (1536, 96), "b_dec": (96,),
    }  # fmt: skip
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    torch.testing.assert_close(state["W_dec"].norm(dim=1), torch.ones(1536))
    config = load_sae(str(FOLDER)).config
    assert (config.layout, config.tokens, config.normalisation) == ("prisma", "patches", "layer_norm")


def test_the_features_worth_a_look_come_first_and_are_alive():
    described = fashion_facts()["features"]
    assert [each["index"] for each in described] == list(range(24))
    autoencoder = load_sae("fashion-sae")
    vision = Vision(load_tower("fashion-vit", None, BuildContext()), autoencoder.config.hook)
    queries = files("equidiff") / "queries" / "fashion"
    pictures = [Image.open(queries / entry.name) for entry in queries.iterdir() if entry.name.endswith(".png")]
    inputs = torch.cat([vision.network.prepare_image(picture) for picture in pictures])
    features = autoencoder.encode(vision.read(inputs)[:, vision.prefix :])
    assert (features[..., :24].amax(dim=(0, 1)) > 0).all()
    assert (features > 0).float().sum(dim=-1).mean().item() == pytest.approx(fashion_facts()["l0"], rel=0.2)


def test_the_transformer_knows_garments():
    network = load_tower("fashion-vit", None, BuildContext())
    queries = files("equidiff") / "queries" / "fashion"
    names = sorted(entry.name for entry in queries.iterdir() if entry.name.endswith(".png"))
    # the order in which training/make_queries.py wrote them
    labels = torch.tensor([1, 2, 3, 8, 4, 5, 6, 7, 0, 9] * 2)
    inputs = torch.cat([network.prepare_image(Image.open(queries / name)) for name in names])
    assert (network.module(inputs).argmax(dim=1) == labels).float().mean() >= 0.7
