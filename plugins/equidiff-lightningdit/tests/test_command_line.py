"""`equidiff run -g lightningdit:FOLDER` with tiny files in the published layouts, and users' mistakes."""

import os
import pickle

import pytest
import torch
from equidiff_lightningdit import load_autoencoder, load_latent_stats, load_transformer
from golden_files import load_golden, state_dict_of, write_folder
from hubs import COMMIT, serve, use_cache
from running import assert_one_error, read_lines, read_run, run_cli

from equidiff.plugin import EquiDiffError

PROBE = '''
def score(samples):
    """Mean of the red channel's upper half."""
    return samples[:, 0, : samples.shape[2] // 2].mean(dim=(1, 2))
'''


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "tiny")


@pytest.fixture
def objective(tmp_path):
    (tmp_path / "probe.py").write_text(PROBE)
    return f"custom:{tmp_path / 'probe.py'}:score"


def run_tiny(generator, objective, out, *more):
    options = ("--target", "0.5", "-n", "3", "-r", "none", "--tolerance", "1e-6", "--out", out)
    return run_cli("run", "-g", generator, "-o", objective, *options, *more)


@pytest.mark.parametrize("layout", ["ema", "model", "bare"])
def test_run_ends_in_members(tmp_path, objective, layout):
    folder = write_folder(tmp_path / "tiny", layout=layout)
    outcome = run_tiny(f"lightningdit:{folder},steps=4", objective, tmp_path / "run")
    assert outcome.code == 0, outcome.stderr
    info = read_run(outcome.path)
    assert info["counts"]["members"] == 3
    assert {record["name"] for record in info["weights"]} == {
        "transformer.pt",
        "autoencoder.pt",
        "latents_stats.pt",
    }
    assert all(len(record["sha256"]) == 64 for record in info["weights"])
    for record in read_lines(outcome.path / "members.jsonl"):
        assert record["measurement"][0] == pytest.approx(0.5, abs=1e-3)


def test_class_and_guidance_are_recorded(tmp_path, folder, objective):
    spec = f"lightningdit:{folder},steps=4,class=3,guidance=2,guided_channels=3,guidance_start=0.125"
    outcome = run_tiny(spec, objective, tmp_path / "run")
    assert outcome.code == 0, outcome.stderr
    options = read_run(outcome.path)["options"]["generator"]
    assert (options["class"], options["guidance"], options["guided_channels"]) == (3, 2.0, 3)


def test_a_transformer_alone_takes_the_other_files_by_option(tmp_path, folder, objective):
    lone = tmp_path / "lone.pt"
    (folder / "transformer.pt").rename(lone)
    others = f"autoencoder={folder / 'autoencoder.pt'},stats={folder / 'latents_stats.pt'}"
    assert run_tiny(f"lightningdit:{lone},steps=4,{others}", objective, tmp_path / "run").code == 0


def test_doctor_tells_memory_and_round_trip(folder):
    outcome = run_cli("doctor", "-g", f"lightningdit:{folder},steps=6", "--samples", "2")
    assert outcome.code == 0, outcome.stderr
    assert "6 sampler steps" in outcome.stdout
    assert "2 samples per pass" in outcome.stdout
    assert "of weights" in outcome.stdout


def refuse(folder, objective, tmp_path, code, *words, options=""):
    outcome = run_tiny(f"lightningdit:{folder},steps=4{options}", objective, tmp_path / "run")
    assert_one_error(outcome, code, *words)
    assert not (tmp_path / "run").exists()


def test_the_wrong_file_for_the_role(tmp_path, folder, objective):
    refuse(folder / "autoencoder.pt", objective, tmp_path, 1, "not the transformer", "but the autoencoder")
    swapped = f",autoencoder={folder / 'latents_stats.pt'}"
    refuse(folder, objective, tmp_path, 1, "not the autoencoder", "latent statistics", options=swapped)
    swapped = f",stats={folder / 'transformer.pt'}"
    refuse(folder, objective, tmp_path, 1, "not the latent statistics", "but the transformer", options=swapped)


@pytest.mark.parametrize("name", ["transformer.pt", "autoencoder.pt", "latents_stats.pt"])
def test_a_truncated_file(tmp_path, folder, objective, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    refuse(folder, objective, tmp_path, 1, name)


class Boom:
    def __reduce__(self):
        return (os.mkdir, (os.environ["BOOM"],))


def test_a_pickle_with_code_is_refused(tmp_path, folder, objective, monkeypatch):
    monkeypatch.setenv("BOOM", str(tmp_path / "boom"))
    content = {"ema": {"x_embedder.proj.weight": Boom()}}
    torch.save(content, folder / "transformer.pt")
    refuse(folder, objective, tmp_path, 1, "code in it is not run", "transformer.pt")
    with (folder / "transformer.pt").open("wb") as file:
        pickle.dump(content, file)
    refuse(folder, objective, tmp_path, 1, "code in it is not run", "transformer.pt")
    assert not (tmp_path / "boom").exists()
    pickle.loads(pickle.dumps(content))
    assert (tmp_path / "boom").exists()  # the code would have run


def test_missing_keys_are_named(tmp_path, folder, objective):
    weights = torch.load(folder / "transformer.pt", weights_only=True)["ema"]
    del weights["blocks.1.attn.proj.bias"]
    torch.save(weights, folder / "transformer.pt")
    refuse(folder, objective, tmp_path, 1, "blocks.1.attn.proj.bias")
    for key in [key for key in weights if key.startswith("t_embedder")]:
        del weights[key]
    torch.save({"ema": weights}, folder / "transformer.pt")
    refuse(folder, objective, tmp_path, 1, "t_embedder.mlp.0.bias")


def test_latents_that_do_not_fit(tmp_path, folder, objective):
    ones = torch.ones(1, 4, 1, 1)
    torch.save({"mean": ones, "std": ones}, folder / "latents_stats.pt")
    refuse(folder, objective, tmp_path, 1, "do not belong together", "latent statistics 4")


@pytest.mark.parametrize("std", [torch.zeros(1, 32, 1, 1), torch.ones(32), torch.full((1, 32, 1, 1), torch.nan)])
def test_statistics_that_are_none(tmp_path, folder, objective, std):
    torch.save({"mean": torch.zeros(1, 32, 1, 1), "std": std}, folder / "latents_stats.pt")
    refuse(folder, objective, tmp_path, 1, "not latent statistics")


def test_a_folder_without_or_with_two_transformers(tmp_path, folder, objective):
    torch.save(state_dict_of(load_golden("dit_B1_plain_dit")), folder / "another.pt")
    refuse(folder, objective, tmp_path, 1, "more than one transformer", "another.pt")
    for name in ("another.pt", "transformer.pt"):
        (folder / name).unlink()
    refuse(folder, objective, tmp_path, 1, "no transformer", "hf download")


def test_heads_that_the_checkpoint_does_not_tell(tmp_path, objective):
    folder = write_folder(tmp_path / "plain", "dit_B1_plain_dit")
    refuse(folder, objective, tmp_path, 1, "attention heads", "heads=")
    assert run_tiny(f"lightningdit:{folder},steps=4,heads=3", objective, tmp_path / "run").code == 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (",guidance=3", 2, ("needs a class", "class=340")),
        (",class=10", 1, ("not trained with this class", "0 to 9")),
        (",class=zebra", 2, ("class",)),
        (",method=rk4,steps=6", 2, ("in each interval", "steps=")),
        (",clas=3", 2, ("no option 'clas'", "class")),
    ],
)
def test_options_that_cannot_be(tmp_path, folder, objective, options, code, words):
    spec = f"lightningdit:{folder}{options}"
    assert_one_error(run_tiny(spec, objective, tmp_path / "run"), code, *words)


def test_a_name_that_is_neither_model_nor_path(tmp_path, objective):
    outcome = run_tiny("lightningdit:xl-80ep", objective, tmp_path / "run")
    assert_one_error(outcome, 1, "neither a LightningDiT", "xl-800ep")


def test_without_a_network_the_panel_says_how_to_fetch_by_hand(tmp_path, objective, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    outcome = run_tiny("lightningdit", objective, tmp_path / "run")
    repository = "hustvl/lightningdit-xl-imagenet256-800ep"
    file = "lightningdit-xl-imagenet256-800ep.pt"
    assert_one_error(
        outcome, 1, "hub cannot be reached", f"hf download {repository} {file}", "--generator lightningdit:"
    )


def test_published_files_come_from_the_hub_with_their_revision(tmp_path, folder, objective, monkeypatch):
    """Published names, with tiny files in place of the published ones."""
    use_cache(monkeypatch, tmp_path / "cache")
    names = {
        "lightningdit-xl-imagenet256-800ep.pt": "transformer.pt",
        "vavae-imagenet256-f16d32-dinov2.pt": "autoencoder.pt",
        "latents_stats.pt": "latents_stats.pt",
    }
    for published, own in names.items():
        (folder / own).rename(folder / published)
    downloads = serve(monkeypatch, folder)
    outcome = run_tiny("lightningdit,steps=4", objective, tmp_path / "run")
    assert outcome.code == 0, outcome.stderr
    weights = read_run(outcome.path)["weights"]
    assert [record["revision"] for record in weights] == [COMMIT] * 3
    assert weights[0]["name"] == "hustvl/lightningdit-xl-imagenet256-800ep/lightningdit-xl-imagenet256-800ep.pt"
    assert [asked for _, _, asked in downloads] == [[name] for name in names]


def test_loaders_in_python_say_what_is_wrong(tmp_path, folder):
    for load in (load_transformer, load_autoencoder, load_latent_stats):
        with pytest.raises(EquiDiffError, match="does not exist"):
            load(tmp_path / "nothing.pt")
    with pytest.raises(EquiDiffError, match="not the autoencoder"):
        load_autoencoder(folder / "transformer.pt")
    assert load_autoencoder(folder / "autoencoder.pt").config["latent_channels"] == 32
