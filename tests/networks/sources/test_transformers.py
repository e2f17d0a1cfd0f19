"""Networks of transformers: values, gradients, layers, names, files, and what is refused."""

import json

import pytest
import torch
import transformers
from hubs import put_in_cache, use_cache
from running import run_cli
from safetensors.torch import load_file, save_file
from small_images import assert_rounded_alike, make_image
from tiny_transformers import LABELS, SIDE, SMALL, SQUARE, library_output, save_tiny

from equidiff.builtin.objectives.classifier import count_logits
from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UnsupportedError, UsageError, WeightsError
from equidiff.networks import Units, describe_layers, find_class, load_network

KINDS = ("vit", "clip", "siglip", "beit", "dinov2", "dinov3", "convnext", "resnet")
SAMPLES = torch.rand(2, 3, 50, 40, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder, network and image processor by the name of each kind, made on first use."""
    root, made = tmp_path_factory.mktemp("tiny"), {}

    def get(name):
        if name not in made:
            made[name] = (root / name, *save_tiny(name, root / name))
        return made[name]

    return get


def load(folder, **options):
    return load_network(f"hf:{folder}", context=BuildContext(), **{"checkpoint": None, **options})


def output_of(network, samples):
    output = network.module(network.prepare(samples))
    named = ("logits", "image_embeds") if network.classifies or "image_embeds" in output else ("last_hidden_state",)
    return output.pooler_output if "siglip" in network.name else next(output[n] for n in named if n in output)


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_transformers(saved, kind):
    folder, module, processor = saved(kind)
    network = load(folder)
    wanted = library_output(module, processor, SAMPLES)
    with torch.no_grad():
        own = output_of(network, SAMPLES)
        other = output_of(load(folder, mean=0.1), SAMPLES)  # the control: with another mean, it differs
    torch.testing.assert_close(own, wanted, rtol=1e-5, atol=1e-5)
    assert (other - wanted).abs().max() > 1e-3
    assert network.sample_shape == (3, SIDE, SIDE)
    assert not any(parameter.requires_grad for parameter in network.module.parameters())


@pytest.mark.parametrize("kind", ["clip", "siglip", "convnext"])
def test_gradients_agree_with_differences(saved, kind):
    network = load(saved(kind)[0])
    layer = [name for name, _, shape in describe_layers(network) if shape and len(shape) > 1][-1]
    units = Units.at(network, layer)
    samples = SAMPLES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(units.read_one(network.prepare(samples), 3).sum(), samples)
    direction = torch.randn(SAMPLES.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ahead, behind = (
            units.read_one(network.prepare(SAMPLES + step * direction), 3).double().sum() for step in (3e-3, -3e-3)
        )
    assert (gradient * direction).sum().item() == pytest.approx(((ahead - behind) / 6e-3).item(), rel=2e-2, abs=1e-3)


def test_a_file_is_prepared_as_the_processor_prepares_it(saved):
    folder, _, processor = saved("clip")
    image = make_image()
    theirs = processor(images=image, return_tensors="pt")["pixel_values"]
    own = load(folder).prepare_image(image)
    assert_rounded_alike(own, theirs, min(processor.image_std))


def test_layers_units_and_tokens(saved):
    network = load(saved("clip")[0])
    shapes = {layer.name: layer.shape for layer in describe_layers(network)}
    assert shapes["vision_model.encoder.layers.1"] == (17, 16)
    assert shapes["vision_model.encoder.layers.1.self_attn"] == (17, 16)  # returned beside weights of None
    assert shapes["visual_projection"] == (8,)
    assert Units.at(network, "vision_model.encoder.layers.1", tokens="cls").reduction == "cls"
    with pytest.raises(UnknownNameError, match="no layer of hf:"):
        Units.at(network, "vision_model.encoder.layers.2")
    with pytest.raises(UsageError, match="no class token"):
        Units.at(load(saved("siglip")[0]), "encoder.layers.1", tokens="cls")


def test_names_of_classes(saved):
    network = load(saved("vit")[0])
    assert network.classes == ("tabby cat", "dog, hound", "bird")
    assert [find_class(network, name, 3) for name in ("tabby-cat", "hound", "2")] == [0, 1, 2]
    assert network.head == "classifier"
    assert load(saved("resnet")[0]).head == "classifier.1"
    assert load(saved("beit")[0]).names is None  # LABEL_0 and LABEL_1 are no names
    assert count_logits(load(saved("beit")[0])) == 2


@pytest.mark.parametrize("kind", ["clip", "dinov2", "siglip"])
def test_an_encoder_is_no_classifier(saved, kind):
    network = load(saved(kind)[0])
    assert not network.classifies
    with pytest.raises(UnsupportedError, match="is an encoder"):
        count_logits(network)


@pytest.mark.parametrize(
    ("kind", "why"),
    [("mae", "another result when it is called again"), ("videomae", "are not images"), ("bert", "not a network of")],
)
def test_other_networks_are_refused(saved, kind, why):
    with pytest.raises(UnsupportedError, match=why):
        load(saved(kind)[0])


def test_code_of_a_repository_is_not_run(saved, tmp_path):
    folder = tmp_path / "foreign"
    folder.mkdir()
    settings = {"model_type": "of-their-own", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (folder / "model.safetensors").write_bytes(saved("vit")[0].joinpath("model.safetensors").read_bytes())
    with pytest.raises(UnsupportedError, match="code of its repository, which is not run"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_incomplete_folders_are_refused(saved, tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        load(tmp_path / "none")
    folder = tmp_path / "vit"
    save_tiny("vit", folder)
    (folder / "preprocessor_config.json").rename(tmp_path / "kept.json")
    with pytest.raises(UsageError, match="does not say how its images are prepared"):
        load(folder)
    given = load(folder, size=SIDE, mean=(0.5, 0.4, 0.3), std=0.2)
    wanted = (SAMPLES[:, :, :SIDE, :SIDE] - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / 0.2
    torch.testing.assert_close(given.prepare(SAMPLES[:, :, :SIDE, :SIDE]), wanted)
    (tmp_path / "kept.json").rename(folder / "preprocessor_config.json")
    weights = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in weights.items() if "layer.1" not in name}, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"are missing \("):
        load(folder)
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(WeightsError, match="LFS"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="does not hold a model"):
        load(folder)


def test_other_files_with_the_same_weights(saved, tmp_path):
    folder, module, processor = saved("vit")
    wanted = library_output(module, processor, SAMPLES)
    context = BuildContext()
    save_tiny("vit", tmp_path / "shards", max_shard_size="8KB")
    shards = load_network(f"hf:{tmp_path / 'shards'}", None, context)
    assert context.weights[0].name == "model.safetensors.index.json"
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "weights.pt")
    for network in (shards, load(folder, checkpoint=str(tmp_path / "weights.pt"))):
        torch.testing.assert_close(network.logits(network.prepare(SAMPLES)), wanted, rtol=1e-5, atol=1e-5)


def test_an_encoder_that_was_saved_without_a_pooler(tmp_path):
    module = transformers.ViTModel(transformers.ViTConfig(**SMALL), add_pooling_layer=False)
    module.eval().save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size=SQUARE).save_pretrained(tmp_path)
    network = load(tmp_path)
    assert not any("pooler" in name for name, _ in network.module.named_modules())


def test_the_hub(saved, tmp_path, monkeypatch):
    use_cache(monkeypatch, tmp_path)
    put_in_cache("someone/tiny-vit", saved("vit")[0])
    context = BuildContext()
    network = load_network("hf:someone/tiny-vit", None, context)
    assert network.classes == tuple(LABELS.values())
    assert context.weights[0].name == "someone/tiny-vit/model.safetensors"
    assert context.weights[0].revision
    with pytest.raises(WeightsError, match="cannot be fetched from the hub") as refused:
        load_network("hf:someone/else@main", None, context)
    assert "hf download someone/else" in str(refused.value.hint)


def test_options_that_do_not_apply(saved):
    with pytest.raises(UsageError, match="pad is for timm"):
        load(saved("vit")[0], pad="same")
    with pytest.raises(UsageError, match="one set of weights"):
        load(saved("vit")[0], pretrained="openai")


def test_on_the_command_line(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = saved("clip")[0]
    shown = run_cli("show", "objective", "neuron", "--model", f"hf:{folder}")
    assert shown.code == 0
    assert "vision_model.encoder.layers.1 " in shown.stdout
    spec = f"neuron:vision_model.encoder.layers.1.3,model=hf:{folder},tokens=cls"
    ran = run_cli(
        "run", "-g", "toy:fashion,steps=2", "-o", spec, "--query", 3, "-n", 1, "--budget", 40, "--out", "found"
    )
    assert ran.code == 0, ran.stderr
    assert f"of the network hf:{folder}" in ran.stderr.replace("\n", " ")
    assert "of the network fashion the same" not in ran.stderr.replace("\n", " ")
    measured = run_cli("measure", "-o", spec, "found/images/00000.png", "--json")
    info = json.loads((tmp_path / "found/run.json").read_text())
    value = json.loads(measured.stdout)["images"][0]["values"][0]
    assert value == pytest.approx(info["target"]["values"][0], abs=info["within"])
    refused = run_cli("run", "-o", f"classifier:0,model=hf:{folder}", "--query", 3)
    assert refused.code == 1
    assert "is an encoder" in refused.stderr
