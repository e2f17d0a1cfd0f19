"""`equidiff doctor -o sae:...`, which checks that an autoencoder fits its transformer."""

import json
from dataclasses import replace
from importlib.resources import files

import pytest
import timm
import torch
from equidiff_sae import SaeConfig, SparseAutoencoder, load_sae
from equidiff_sae.catalog import entries
from equidiff_sae.examine import examine, measure_fit
from equidiff_sae.tower import load_tower
from equidiff_sae.vision import Vision
from PIL import Image
from running import run_cli

from equidiff.contracts import BuildContext
from equidiff.networks import Network

AUTOENCODER = load_sae(str(files("equidiff_sae") / "weights" / "fashion-sae"))


@pytest.fixture(scope="module")
def vision():
    return Vision(load_tower("fashion-vit", None, BuildContext()), AUTOENCODER.config.hook)


@pytest.fixture(scope="module")
def pictures():
    folder = files("equidiff") / "queries" / "fashion"
    queries = [Image.open(folder / e.name).copy() for e in folder.iterdir() if e.name.endswith(".png")]
    return [*queries, *(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for picture in queries)]


def test_figures_by_their_formula(vision, pictures):
    figures = measure_fit(vision, AUTOENCODER, pictures)
    tokens = torch.cat([vision.read(vision.network.prepare_image(each))[0, 1:] for each in pictures])
    features = AUTOENCODER.encode(tokens)
    error = (tokens - AUTOENCODER.decode(features, tokens)).square().sum()
    assert figures.l0 == pytest.approx((features > 0).sum(1).float().mean().item(), rel=1e-4)
    assert figures.explained_variance == pytest.approx(
        1 - (error / (tokens - tokens.mean(0)).square().sum()).item(), abs=1e-4
    )


def test_the_shipped_pair_fits(vision, pictures):
    findings = examine(vision, AUTOENCODER, entries()[0], pictures)
    assert [finding.broken for finding in findings] == [False, False, False]
    assert "weights=raw" in findings[1].subject
    assert "weights=processed (not chosen)" in findings[2].subject


def test_a_pair_that_does_not_fit_is_refused(vision, pictures):
    wrong = Vision(vision.network, "blocks.0.hook_resid_post")
    findings = examine(wrong, AUTOENCODER, entries()[0], pictures)
    assert findings[1].broken
    assert "not the published figures" in findings[1].state
    assert not findings[2].broken  # what was not chosen is not judged


def test_the_command_refuses_a_pair_that_does_not_fit(tmp_path, pictures):
    folder = tmp_path / "fashion-sae"  # known by its name
    folder.mkdir()
    shipped = files("equidiff_sae") / "weights" / "fashion-sae"
    (folder / "weights.pt").write_bytes((shipped / "weights.pt").read_bytes())
    images = tmp_path / "images"
    images.mkdir()
    for index, picture in enumerate(pictures):
        picture.save(images / f"{index}.png")
    settings = json.loads((shipped / "config.json").read_text())
    for layer, code, words in ((2, 0, "on 40 images"), (0, 1, "not the published figures")):
        (folder / "config.json").write_text(json.dumps({**settings, "hook_point_layer": layer}))
        outcome = run_cli("doctor", "-g", "pixels:28", "-o", f"sae:17,sae={folder}", "--images", images)
        assert outcome.code == code, outcome.stderr
        assert "published: explained variance 86.7 %, L0 16.4" in outcome.stdout
        assert words in outcome.stdout


def test_few_pictures_are_not_judged(vision, pictures):
    wrong = Vision(vision.network, "blocks.0.hook_resid_post")
    findings = examine(wrong, AUTOENCODER, entries()[0], pictures[:5])
    assert not any(finding.broken for finding in findings)
    assert "too few for a verdict" in findings[1].state
    assert "--images" in examine(vision, AUTOENCODER, entries()[0], [])[0].state


def test_what_was_never_published_is_measured_and_not_judged(vision, pictures):
    findings = examine(vision, AUTOENCODER, None, pictures)
    assert "no published figures" in findings[0].state
    assert not any(finding.broken for finding in findings)


def test_conventions_differ_where_means_are_kept(vision, pictures):
    """Without layer normalisation the mean over the width, which Prisma's rewriting removes, makes a difference."""
    unscaled = AUTOENCODER.described(replace(AUTOENCODER.config, normalisation="none"))
    both = [
        measure_fit(Vision(vision.network, vision.hook, processed), unscaled, pictures) for processed in (False, True)
    ]
    assert both[0] != both[1]
    same = [
        measure_fit(Vision(vision.network, vision.hook, processed), AUTOENCODER, pictures)
        for processed in (False, True)
    ]
    assert same[0].explained_variance == pytest.approx(same[1].explained_variance, abs=1e-3)


def test_a_convnet_is_examined_as_it_is(pictures):
    """Prisma's processed weights are of transformers alone."""
    torch.manual_seed(0)
    module = timm.create_model("test_resnet").eval().requires_grad_(False)
    network = Network(module, "test_resnet", "cpu", (3, 64, 64), prepare=lambda samples: samples.expand(-1, 3, 64, 64))
    tensors = {"W_enc": torch.randn(192, 400), "b_enc": torch.zeros(400), "W_dec": torch.randn(400, 192)}
    config = SaeConfig("saelens", "standard", "relu", "none", 192, 400, 192)
    autoencoder = SparseAutoencoder(config, {**tensors, "b_dec": torch.zeros(192)})
    wide = [image.resize((64, 64)).convert("RGB") for image in pictures[:2]]
    findings = examine(Vision(network, "layer3.0", width=192), autoencoder, None, wide)
    assert [finding.subject.strip() for finding in findings] == ["sae layer3.0", "weights=raw"]
