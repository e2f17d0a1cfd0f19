"""`sae:INDEX` as an objective, in Python and on the command line."""

import json
from html import unescape
from importlib.resources import files
from pathlib import Path

import pytest
import timm
import torch
from equidiff_sae import load_sae
from equidiff_sae.feature import Feature
from equidiff_sae.objective import SaeFeature
from equidiff_sae.tower import load_tower
from equidiff_sae.vision import Vision
from PIL import Image
from running import assert_one_error, read_run, run_cli
from safetensors.torch import save_file

import equidiff
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import BuildContext
from equidiff.images.convert import image_to_tensor
from equidiff.search.problem import Problem
from equidiff.testing import check_objective, check_plugin

RARE = 962  # a feature of the shipped autoencoder
SHIPPED = str(files("equidiff_sae") / "weights" / "fashion-sae")


def made(index=17, tokens="patches", reduce="mean"):
    autoencoder = load_sae(SHIPPED)
    vision = Vision(load_tower("fashion-vit", None, BuildContext()), autoencoder.config.hook)
    return SaeFeature(vision, autoencoder, Feature(autoencoder, index), tokens, reduce)


def garments(count=4):
    """Real images, on which features are active."""
    folder = files("equidiff") / "queries" / "fashion"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".png"))[:count]
    return [Image.open(folder / name).copy() for name in names]


def test_plugin_keeps_its_contract():
    check_plugin("equidiff_sae.plugin")


@pytest.mark.parametrize("reduce", ["mean", "max", "all"])
def test_objective_keeps_its_contract(reduce):
    images = torch.cat([image_to_tensor(image) for image in garments()])
    check_objective(made(reduce=reduce), images)


def test_reductions_agree_with_all_patches():
    images = torch.cat([image_to_tensor(image) for image in garments()])
    everything = made(reduce="all")
    values = everything.measure(images)
    assert values.shape == (4, 49)
    assert len(set(everything.names)) == 49
    torch.testing.assert_close(made().measure(images)[:, 0], values.mean(dim=1))
    torch.testing.assert_close(made(reduce="max").measure(images)[:, 0], values.amax(dim=1))
    assert made(tokens="cls").measure(images).shape == (4, 1)


def test_a_run_with_the_default_generator(tmp_path):
    out = run_cli("run", "-o", "sae:17", "-n", "2", "--out", tmp_path / "run")
    assert out.code == 0, out.stderr
    assert "feature 17 of fashion-sae, the default for toy:fashion" in " ".join(out.stderr.split())
    info = read_run(out.path)
    assert info["counts"]["members"] == 2
    assert info["target"]["values"][0] > 0.1  # the query turns the feature on
    assert {"fashion-sae", "fashion-vit"} <= {each["name"] for each in info["weights"]}
    assert equidiff.InvariantSet.load(out.path).contains(equidiff.InvariantSet.load(out.path).samples).all()


def test_a_feature_that_is_mostly_off_is_found():
    """A feature active in about 2 % of prior samples: the deficit leads there, and the activation decides."""
    found = equidiff.sample("toy:fashion,steps=2", made(RARE, reduce="max"), "none", target=0.5, samples=2)
    assert len(found) == 2
    assert ((found.measurements - 0.5).square() < found.info.tolerance).all()


def test_where_the_target_is_off_all_that_are_off_are_members():
    objective = made(1535)
    black = torch.zeros(1, 1, 28, 28)
    assert objective.measure(black).item() == 0
    problem = Problem(None, objective, NoRegularizer(), objective.measure(black)[0])
    assert problem.measure(torch.cat([black, 1 - black]))[1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ("sae", 2, ["index of a feature"]),
        ("sae:bird", 2, ["index of a feature"]),
        ("sae:1536", 1, ["no feature 1536", "0 to 1535"]),
        ("sae:17,layer=1", 2, ["trained at another layer"]),
        ("sae:17,site=mlp_out", 2, ["trained at another site"]),
        ("sae:17,tokens=cls", 2, ["trained on patches alone"]),
        ("sae:17,model=resnet18,checkpoint=nowhere.pt", 1, ["checkpoint does not exist"]),
        ("sae:17,sae=fashoin-sae", 1, ["no autoencoder named", "fashion-sae"]),
        ("sae:17,sae=./nowhere", 1, ["does not exist"]),
        ("sae:17,sae=DINO", 1, ["12 published autoencoders"]),
        ("sae:17,reduce=sum", 2, ["invalid value"]),
        ("sae:17,tokns=cls", 2, ["did you mean  tokens"]),
        ("sae:6547,sae=CLS_9", 1, ["cannot be fetched from the hub", "config.json"]),
    ],
)
def test_bad_input(spec, code, words):
    assert_one_error(run_cli("run", "-o", spec, "-n", "1"), code, *words)


@pytest.mark.parametrize(
    ("change", "options", "code", "words"),
    [
        ({}, "model=fashion-vit", 1, ["does not fit the network", "6 wide", "96 wide"]),
        ({"hook_point_layer": 7}, "model=fashion-vit", 1, ["no layer 7", "0 to 3"]),
        ({"layer_subtype": "hook_z"}, "model=fashion-vit", 1, ["no hook named 'blocks.1.hook_z'"]),
        ({"cls_token_only": True, "use_patches_only": True}, "", 1, ["ambiguous which tokens"]),
        ({"cls_token_only": True}, "tokens=patches,model=fashion-vit", 2, ["trained on the class token alone"]),
        ({}, "", 2, ["do not say which network"]),
    ],
)
def test_an_autoencoder_that_does_not_fit(prisma_folder, change, options, code, words):
    spec = ",".join(filter(None, [f"sae:3,sae={prisma_folder(**change)}", options]))
    assert_one_error(run_cli("run", "-o", spec, "-n", "1"), code, *words)


def test_missing_settings(prisma_folder):
    folder = prisma_folder()
    (folder / "config.json").unlink()
    assert_one_error(run_cli("run", "-o", f"sae:3,sae={folder}", "-n", "1"), 1, "settings are missing", "config.json")


def test_points_are_no_pictures():
    assert_one_error(
        run_cli("run", "-g", "toy:circles", "-o", "sae:17", "-n", "1"), 1, "needs images, and this generator"
    )


IMAGE = Image.new("RGB", (64, 64), (200, 90, 40))


@pytest.fixture
def convnet(tmp_path):
    """An autoencoder in SAELens's layout on a stage of timm's smallest ResNet: its spec, and the values by hand."""
    torch.manual_seed(0)
    module = timm.create_model("test_resnet", num_classes=0).eval()
    save_file(module.state_dict(), tmp_path / "net.safetensors")
    state = {
        "W_enc": torch.randn(192, 8),
        "b_enc": torch.zeros(8),
        "W_dec": torch.randn(8, 192),
        "b_dec": torch.zeros(192),
    }
    save_file(state, tmp_path / "sae_weights.safetensors")
    settings = {"architecture": "standard", "d_in": 192, "d_sae": 8, "metadata": {"hook_name": "layer3.0"}}
    (tmp_path / "cfg.json").write_text(json.dumps(settings))
    IMAGE.save(tmp_path / "image.png")
    spec = f"sae:3,sae={tmp_path},model=test_resnet,checkpoint={tmp_path / 'net.safetensors'}"

    def by_hand(size):
        inputs = (image_to_tensor(IMAGE)[0, :, :1, :1].expand(3, size, size) - 0.5) / 0.5  # the image has one colour
        seen = []
        module.layer3[0].register_forward_hook(lambda _module, _given, output: seen.append(output))
        with torch.no_grad():
            module(inputs[None])
        return (seen[0].flatten(2).transpose(1, 2) @ state["W_enc"][:, 3]).clamp(min=0)[0]

    return spec, by_hand, tmp_path / "image.png"


def test_a_feature_of_a_convnet(convnet):
    """Channels at positions; the network reads 160 pixels unless it is told another size."""
    spec, by_hand, image = convnet
    for option, size in (("", 160), (",size=96", 96)):
        out = run_cli("measure", image, "-g", "pixels:32x32x3", "-o", f"{spec},reduce=all{option}", "--json")
        assert out.code == 0, out.stderr
        values = torch.tensor(json.loads(out.stdout)["images"][0]["values"])
        torch.testing.assert_close(values, by_hand(size), atol=1e-4, rtol=1e-4)


def test_what_had_to_be_assumed_is_said(convnet, tmp_path):
    spec, _, image = convnet
    out = run_cli("measure", image, "-g", "pixels:32x32x3", "-o", spec)
    assert "test_resnet reads 160x160" in " ".join(out.stderr.split())
    assert "size=PIXELS" not in run_cli("measure", image, "-g", "pixels:32x32x3", "-o", f"{spec},size=224").stderr
    run = run_cli(
        "run", "-g", "pixels:32x32x3", "-r", "none", "-o", spec, "--query", image, "-n", "1", "--tolerance", "1e9",
        "--out", tmp_path / "run",
    )  # fmt: skip
    (note,) = read_run(tmp_path / "run")["notes"]
    assert note in " ".join(run.stderr.split())
    page = Path(run_cli("report", tmp_path / "run").stdout.strip()).read_text(encoding="utf-8")
    assert f'<p class="warning">{note}</p>' in unescape(page)


@pytest.mark.parametrize(
    ("option", "code", "words"),
    [
        ("tokens=cls", 1, ["no class token at layer3.0", "positions of a feature map"]),
        ("site=layer3.9", 1, ["no layer of test_resnet named"]),
        ("weights=processed", 1, ["blocks of timm's transformers alone"]),
        ("through=prisma", 1, ["no counterpart of this network", "through=timm"]),
        ("size=0", 2, ["an integer of at least 1"]),
    ],
)
def test_bad_input_about_a_convnet(convnet, option, code, words):
    spec, _, image = convnet
    assert_one_error(run_cli("measure", image, "-g", "pixels:32x32x3", "-o", f"{spec},{option}"), code, *words)
