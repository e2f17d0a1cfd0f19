"""`equidiff samples` through the real command line."""

import time

import pytest
import torch
from running import assert_one_error, run_cli
from safetensors.torch import load_file

from equidiff.builtin.generators.fashion import FashionFlow
from equidiff.images.convert import image_to_tensor, quantized
from equidiff.images.read import read_image


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(path):
    return load_file(path / "tensors.safetensors")


def names(path):
    return sorted(each.name for each in path.iterdir())


def test_images_tensors_and_contact_sheet():
    outcome = run_cli("samples", "-n", 3)
    assert outcome.code == 0
    path = outcome.path
    assert path.parent.name == "samples"
    assert path.name.endswith("Z-toy")
    assert names(path) == ["grid.png", "images", "tensors.safetensors"]
    assert names(path / "images") == ["00000.png", "00001.png", "00002.png"]
    samples = read(path)["samples"]
    assert samples.shape == (3, 1, 28, 28)
    assert torch.equal(image_to_tensor(read_image(path / "images" / "00001.png")), quantized(samples[1:2]))
    assert "3 prior samples of toy, seed 0" in outcome.stderr


def test_a_sample_depends_on_the_seed_and_its_index_alone():
    few, many, other = (
        read(run_cli("samples", *args).path) for args in (("-n", 3), ("-n", 9, "--batch", 4), ("-n", 3, "--seed", 1))
    )
    for name in ("latents", "samples"):
        assert torch.equal(few[name], many[name][:3])
        assert not torch.equal(few[name], other[name])


def test_points_have_tensors_only():
    path = run_cli("samples", "-g", "toy:circles", "-n", 5, "--out", "points").path
    assert names(path) == ["tensors.safetensors"]
    assert read(path)["samples"].shape == (5, 2)


def test_queries_have_their_index_as_name():
    outcome = run_cli("samples", "--queries", "-n", 4)
    assert names(outcome.path / "images") == [f"{index:05d}.png" for index in range(4)]
    measured = run_cli("run", "--query", outcome.path / "images" / "00003.png", "-n", 1, "--budget", 1, "--out", "a")
    own = run_cli("run", "--query", 3, "-n", 1, "--budget", 1, "--out", "b")
    assert [line for line in measured.stderr.splitlines() if line.startswith("target")] == [
        line for line in own.stderr.splitlines() if line.startswith("target")
    ]
    everything = run_cli("samples", "-g", "toy:circles", "--queries")
    assert set(read(everything.path)) == {"samples"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-g", "toi"), 1, ("toi", "did you mean  toy?")),
        (("-n", "0"), 2, ("--count",)),
        (("--batch", "0"), 2, ("--batch",)),
        (("--dtype", "int8"), 2, ("int8", "bfloat16")),
        (("--device", "abacus"), 2, ("abacus",)),
        (("--queries", "--seed", "3"), 2, ("not random",)),
        (("-g", "pixels:8", "--queries"), 1, ("no queries of its own",)),
        (("--out", "."), 1, ("exists already",)),
        (("--out", "file"), 1, ("is a file",)),
        (("--out", "file/below"), 1, ("cannot be written",)),
    ],
)
def test_bad_input(arguments, code, words, tmp_path):
    (tmp_path / "file").write_text("")
    assert_one_error(run_cli("samples", *arguments), code, *words)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(("delay", "shown"), [(0.01, True), (60, False)])
def test_a_bar_appears_if_it_takes_long(delay, shown, monkeypatch):
    def take_a_while(_, latents, steps=None):
        time.sleep(0.3)
        return latents

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("equidiff.cli.handlers.samples.PROGRESS_DELAY_S", delay)
    monkeypatch.setattr(FashionFlow, "generate", take_a_while)
    outcome = run_cli("samples", "-n", 4)
    assert outcome.code == 0
    assert ("drawing" in outcome.stderr) is shown


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (MemoryError, 1)])
def test_nothing_is_left_behind(error, code, monkeypatch, tmp_path):
    def fail(*_):
        raise error

    monkeypatch.setattr(FashionFlow, "generate", fail)
    outcome = run_cli("samples", "--out", "folder")
    assert outcome.code == code
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    assert names(tmp_path) == []
