"""Weights files: what timm's own reader takes gives the same weights, and what is no weights file is named."""

import argparse
import json
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from running import assert_one_error, run_cli
from safetensors.torch import save_file
from timm.models import load_checkpoint

from equidiff.contracts import BuildContext
from equidiff.errors import WeightsError
from equidiff.networks import load_network
from equidiff.networks.checkpoints import hash_weights, put_weights, read_checkpoint, read_content, read_weights

ARCHITECTURE = "test_resnet"


def made(seed=0, name=ARCHITECTURE, **options):
    """A network with random weights, in which the statistics of batch norms matter."""
    torch.manual_seed(seed)
    model = timm.create_model(name, **options).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model


def prefixed(prefix, state):
    return {prefix + key: value for key, value in state.items()}


WEIGHTS, AVERAGED = made().state_dict(), made(1).state_dict()
UNCOUNTED = {key: value for key, value in WEIGHTS.items() if not key.endswith("num_batches_tracked")}
TRAINED = {
    "epoch": 3, "arch": "resnet", "version": 2, "metric": 70.1,
    "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    "args": argparse.Namespace(model="resnet", lr=0.1),
}  # fmt: skip
# contents that timm reads: the content, and the entry that is taken
ACCEPTED = {
    "bare": (WEIGHTS, None),
    "ordered": (OrderedDict(WEIGHTS), None),
    "module": (prefixed("module.", WEIGHTS), None),
    "compiled": (prefixed("_orig_mod.", WEIGHTS), None),
    "compiled module": (prefixed("_orig_mod.module.", WEIGHTS), None),
    "module compiled": (prefixed("module._orig_mod.", WEIGHTS), None),
    "state_dict": ({"state_dict": prefixed("_orig_mod.", WEIGHTS), "epoch": 3}, "state_dict"),
    "model": ({"model": WEIGHTS, "lr_scheduler": {"last_epoch": 3}}, "model"),
    "state_dict first": ({"model": AVERAGED, "state_dict": WEIGHTS}, "state_dict"),
    "train.py": ({"state_dict": WEIGHTS, **TRAINED}, "state_dict"),
    "averaged": ({"state_dict": WEIGHTS, "state_dict_ema": AVERAGED, **TRAINED}, "state_dict_ema"),
    "averaged model": ({"model": WEIGHTS, "model_ema": prefixed("module.", AVERAGED)}, "model_ema"),
    "averaged first": ({"model_ema": WEIGHTS, "state_dict_ema": AVERAGED}, "state_dict_ema"),
    "averaged is none": ({"state_dict": WEIGHTS, "state_dict_ema": None}, "state_dict"),
    "no counters": (UNCOUNTED, None),
    "bfloat16": ({k: v.bfloat16() if v.is_floating_point() else v for k, v in WEIGHTS.items()}, None),
}  # fmt: skip


def logits(module):
    with torch.no_grad():
        return module(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


def loaded(path, name=ARCHITECTURE, **options):
    return load_network(name, str(path), BuildContext(**options))


@pytest.mark.parametrize(
    ("case", "zipped"), [*((case, True) for case in ACCEPTED), ("bare", False), ("train.py", False)]
)
def test_a_checkpoint_is_read_as_timm_reads_it(case, zipped, tmp_path):
    content, entry = ACCEPTED[case]
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    expected = timm.create_model(ARCHITECTURE).eval()
    load_checkpoint(expected, str(tmp_path / "w.pt"))
    context = BuildContext()
    network = load_network(ARCHITECTURE, str(tmp_path / "w.pt"), context)
    assert torch.equal(logits(network.module), logits(expected))
    assert [record.entry for record in context.weights] == [entry]


def test_averaged_weights_differ_from_the_others(tmp_path):
    torch.save({"state_dict": WEIGHTS, "state_dict_ema": AVERAGED}, tmp_path / "w.pt")
    assert read_checkpoint(tmp_path / "w.pt").passed_over == ("state_dict",)
    assert (logits(loaded(tmp_path / "w.pt").module) - logits(made())).abs().max() > 1e-3


BEYOND = {
    "lightning": {"state_dict": {**prefixed("model.", WEIGHTS), "criterion.weight": torch.ones(1000)}, "epoch": 1},
    "backbone": prefixed("backbone.", WEIGHTS),
    "averaged model of torch": {"n_averaged": torch.tensor(3), **prefixed("module.", WEIGHTS)},
    "an entry of another name": {"model_state_dict": WEIGHTS, "optimizer_state_dict": {"state": {}}, "loss": 0.5},
    "nested": {"model": {"state_dict": prefixed("module.", WEIGHTS)}, "args": argparse.Namespace()},
}


@pytest.mark.parametrize("case", BEYOND)
def test_what_is_certain_is_read_though_timm_refuses_it(case, tmp_path):
    torch.save(BEYOND[case], tmp_path / "w.pt")
    with pytest.raises(RuntimeError):
        load_checkpoint(timm.create_model(ARCHITECTURE), str(tmp_path / "w.pt"))
    assert torch.equal(logits(loaded(tmp_path / "w.pt").module), logits(made()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"student": WEIGHTS, "teacher": AVERAGED}, "2 state dicts: student, teacher"),
        ({**prefixed("model.", WEIGHTS), **prefixed("ema.", AVERAGED)}, "missing"),
        ({**prefixed("model.", WEIGHTS), "model.extra.weight": torch.ones(2)}, r"1 unexpected \(extra.weight\)"),
        ({**WEIGHTS, "epoch": 3}, r"beside tensors there are epoch \(int\)"),
        ({"epoch": 3, "state_dict": {}}, "not a state dict, of epoch"),
        ({}, "an empty dictionary"),
        (torch.zeros(3), "a Tensor that is not a state dict"),
    ],
)
def test_what_would_be_a_guess_is_refused(content, words, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=words):
        loaded(tmp_path / "w.pt")


def test_another_architecture_is_refused_with_the_count(tmp_path):
    torch.save({"state_dict": prefixed("module.", WEIGHTS)}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"\d+ missing \(.*\d+ unexpected"):
        loaded(tmp_path / "w.pt", "test_vit")
    half = {key: value for key, value in WEIGHTS.items() if not key.startswith("layer2.")}
    torch.save(half, tmp_path / "half.pt")
    lacking = len([key for key in UNCOUNTED if key.startswith("layer2.")])
    with pytest.raises(WeightsError, match=f"{lacking} missing"):
        loaded(tmp_path / "half.pt")


# files, folders, parts


def shards(folder, suffix="safetensors", count=3):
    """A checkpoint in parts, with its index."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    keys = list(WEIGHTS)
    names = [f"{stem}-{part + 1:05d}-of-{count:05d}.{suffix}" for part in range(count)]
    for part, name in enumerate(names):
        held = {key: WEIGHTS[key] for key in keys[part::count]}
        save_file(held, folder / name) if suffix == "safetensors" else torch.save(held, folder / name)
    index = folder / f"{stem}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {key: names[i % count] for i, key in enumerate(keys)}}))
    return index


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_checkpoint_in_parts_is_read_by_its_index_or_its_folder(suffix, tmp_path):
    index = shards(tmp_path, suffix)
    for path in (index, tmp_path):
        assert torch.equal(logits(loaded(path).module), logits(made()))
    part = sorted(tmp_path.glob("*-00002-of-*"))[0]
    with pytest.raises(WeightsError, match=rf"one part of several(.|\n)*checkpoint={index}"):
        loaded(part)
    before = hash_weights(index).sha256
    assert before == hash_weights(tmp_path).sha256
    torch.save({}, part)
    assert hash_weights(index).sha256 != before
    part.unlink()
    with pytest.raises(WeightsError, match=rf"3 parts, 1 are missing: {part.name}"):
        loaded(index)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "last.ckpt"])
def test_a_folder_is_read(name, tmp_path):
    folder = tmp_path / "resnet"
    folder.mkdir()
    save_file(WEIGHTS, folder / name) if name.endswith("safetensors") else torch.save(WEIGHTS, folder / name)
    (folder / "README.md").write_text("a card")
    context = BuildContext()
    network = load_network(ARCHITECTURE, str(folder), context)
    assert torch.equal(logits(network.module), logits(made()))
    assert [record.name for record in context.weights] == [f"resnet/{name}"]


def test_a_folder_that_does_not_tell_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="holds no weights file"):
        loaded(tmp_path)
    for name in ("first.pt", "last.pt"):
        torch.save(WEIGHTS, tmp_path / name)
    with pytest.raises(WeightsError, match=r"several weights files: first\.pt, last\.pt"):
        loaded(tmp_path)


def test_the_description_in_a_folder_counts(tmp_path):
    """As `local-dir:` in timm: its number of classes, arguments and preprocessing."""
    model = made(num_classes=7)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    described = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "input_size": [3, 64, 64], "num_classes": 7}
    config = {"architecture": ARCHITECTURE, "num_classes": 7, "pretrained_cfg": described}
    (tmp_path / "config.json").write_text(json.dumps(config))
    network, expected = loaded(tmp_path), timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(logits(network.module), logits(expected))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(expected), is_training=False)
    samples = torch.rand(1, 3, 80, 80)
    assert torch.equal(network.prepare(samples), transform(samples))
    with pytest.raises(WeightsError, match=f"holds weights of {ARCHITECTURE}, not of test_vit"):
        loaded(tmp_path, "test_vit")


@pytest.mark.parametrize(("name", "write"), [("w.pth", save_file), ("w.safetensors", lambda w, p: torch.save(w, p))])
def test_content_decides_and_not_the_suffix(name, write, tmp_path):
    write(WEIGHTS, tmp_path / name)
    assert read_weights(tmp_path / name).keys() == WEIGHTS.keys()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 46807446\n"


def cut(write, keep):
    def written(path):
        write(WEIGHTS, path)
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])

    return written


def script(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))


WRONG_FILES = {
    "LFS pointer": (lambda path: path.write_text(POINTER), ["Git LFS pointer", "46,807,446 bytes", "git lfs pull"]),
    "web page": (lambda path: path.write_text("\n<!DOCTYPE html><title>404</title>"), ["web page"]),
    "JSON": (lambda path: path.write_text('{"error": "Repository not found"}'), ["JSON text", "Repository not found"]),
    "text": (lambda path: path.write_text("Invalid username or password."), ["a text", "Invalid username"]),
    "empty": (lambda path: path.write_bytes(b""), ["empty file"]),
    "folder": (lambda path: path.mkdir(), ["folder holds no weights file"]),
    "cut safetensors": (cut(save_file, 0.5), ["cut short", "bytes are there", "download the file again"]),
    "cut header": (cut(save_file, 0.001), ["cut short"]),
    "cut zip": (cut(torch.save, 0.5), ["cut short", "download the file again"]),
    "dangling link": (lambda path: path.symlink_to("../blobs/abc"), ["a link to a file that does not exist"]),
    "TorchScript": (script, ["a TorchScript program"]),
    "HDF5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), ["HDF5", "Keras"]),
    "gzip": (lambda path: path.write_bytes(b"\x1f\x8b" + bytes(99)), ["a gzip archive"]),
    "noise": (lambda path: path.write_bytes(bytes(range(200, 256))), ["damaged, or not a weights file"]),
    "whole network": (lambda path: torch.save(torch.nn.Linear(2, 2), path), ["torch.nn.modules.linear.Linear"]),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ""])
@pytest.mark.parametrize("case", WRONG_FILES)
def test_what_is_no_weights_file_is_named(case, suffix, tmp_path):
    write, words = WRONG_FILES[case]
    path = tmp_path / f"w{suffix}"
    write(path)
    with pytest.raises(WeightsError) as caught:
        read_weights(path)
    for word in words:
        assert word in str(caught.value)


def test_the_command_line_shows_one_panel(tmp_path):
    (tmp_path / "w.bin").write_text(POINTER)
    outcome = run_cli("run", "--objective", f"classifier:5,model={ARCHITECTURE},checkpoint={tmp_path / 'w.bin'}")
    assert_one_error(outcome, 1, "Git LFS pointer", "git lfs pull")


def test_a_run_says_that_it_took_the_averaged_weights(tmp_path):
    torch.save({"state_dict": WEIGHTS, "state_dict_ema": AVERAGED}, tmp_path / "w.pt")
    torch.save({"state_dict": AVERAGED}, tmp_path / "one.pt")
    image = Image.radial_gradient("L").convert("RGB")
    image.save(tmp_path / "q.png")
    objective = f"classifier:5,output=logit,model={ARCHITECTURE},checkpoint={tmp_path / 'w.pt'}"
    outcome = run_cli("run", "-g", "pixels:16x16x3", "-r", "none", "-o", objective, "--query", tmp_path / "q.png",
                      "-n", "1", "--budget", "1", "--out", tmp_path / "run")  # fmt: skip
    assert "Of the weights in w.pt, state_dict_ema were read, as timm does, not state_dict." in outcome.stderr
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [file["entry"] for file in info["weights"]] == ["state_dict_ema"]
    network = loaded(tmp_path / "one.pt")
    assert info["target"]["values"] == pytest.approx([float(network.module(network.prepare_image(image))[0, 5])], 1e-5)


def test_a_module_is_filled_or_refused_but_not_both(tmp_path):
    module = made(1)
    with pytest.raises(WeightsError, match="1 missing"):
        put_weights(module, {key: value for key, value in WEIGHTS.items() if key != "fc.bias"}, tmp_path)
    put_weights(module, prefixed("net.", WEIGHTS) | {"loss.weight": torch.ones(1)}, tmp_path)
    assert torch.equal(logits(module), logits(made()))


def test_numpy_archives_are_for_networks_that_read_them(tmp_path):
    np.savez(tmp_path / "w.npz", **{"head/bias": np.zeros(10, np.float32)})
    with pytest.raises(WeightsError, match="cannot read a NumPy archive"):
        loaded(tmp_path / "w.npz")
    with pytest.raises(WeightsError, match="NumPy archive does not fit"):
        loaded(tmp_path / "w.npz", "test_vit")
    with pytest.raises(WeightsError, match="NumPy archive, as JAX"):
        read_content(tmp_path / "w.npz")


def test_an_index_names_files_beside_it_only(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "elsewhere.safetensors")
    index = tmp_path / "folder" / "model.safetensors.index.json"
    index.parent.mkdir()
    index.write_text(json.dumps({"weight_map": {"weight": "../elsewhere.safetensors"}}))
    with pytest.raises(WeightsError, match="files outside its folder"):
        read_weights(index)
