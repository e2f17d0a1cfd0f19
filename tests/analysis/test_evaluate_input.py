"""`equidiff evaluate` with points, the user's own reference, few members, and input that cannot be evaluated."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from running import assert_one_error, damage_tensors, read_tensors, run_circles, run_cli
from safetensors.torch import load_file

from equidiff.analysis.subsample import draw_members
from equidiff.run.invariant_set import InvariantSet

PIXELS = "def score(samples):\n    return samples.mean(dim=(1, 2, 3))\n"
PRIOR = 16


@pytest.fixture(scope="module", autouse=True)
def few_prior_samples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equidiff.analysis.evaluation.sample_sets.FEWEST_PRIOR", PRIOR)
        yield


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    path = tmp_path_factory.mktemp("input") / "points"
    assert run_circles("--samples", 6, "--out", path).code == 0
    return path


@pytest.fixture(scope="module")
def garments(tmp_path_factory):
    """Three members, with a cheap objective and a generator of one step."""
    folder = tmp_path_factory.mktemp("input")
    (folder / "probe.py").write_text(PIXELS)
    outcome = run_cli(
        "run", "-g", "toy:fashion,steps=1", "-o", f"custom:{folder / 'probe.py'}:score", "-r", "none", "-n", 3,
        "--device", "cpu", "--query", 3, "--out", folder / "run",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    return folder


def evaluate(garments, *more):
    spec = f"custom:{garments / 'probe.py'}:score"
    return run_cli("evaluate", garments / "run", "--objective", spec, "--device", "cpu", *more)


@pytest.fixture
def copy(points, tmp_path):
    return shutil.copytree(points, tmp_path / "copy", ignore=shutil.ignore_patterns("metrics.json"))


def test_points_are_measured_where_that_makes_sense(points):
    outcome = run_cli("evaluate", points, "--json", "--device", "cpu")
    assert outcome.code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    groups, absent = found["groups"], found["absent"]
    assert found["features"] == {"space": "coordinates", "size": 2}
    assert {"l1", "l2_spreads"} <= groups["fidelity"].keys()
    assert {"percentile", "kid", "latent_norm", "latent_rejected"} <= groups["realism"].keys()
    assert {"pairwise_distance", "coverage"} <= groups["diversity"].keys()
    assert "spectral" not in groups
    assert "points" in absent["spectral.slope"]
    assert "points" in absent["fidelity.saved_members"]
    assert "no views" in absent["fidelity.views_l2"]
    assert absent["realism.latent_flatness"].startswith("latents of 2 numbers")
    assert "diversity.vendi" in absent


def test_code_of_the_users_own_is_named_again(garments):
    outcome = run_cli("evaluate", garments / "run")
    assert_one_error(outcome, 1, "would be executed", "equidiff evaluate", "--objective custom:")


def test_one_member_leaves_out_what_needs_two(garments):
    outcome = evaluate(garments, "--members", 1, "--json")
    assert outcome.code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert found["members"] == 1
    assert "2 members" in found["absent"]["realism.kid"]
    assert "2 members" in found["absent"]["diversity.vendi"]
    assert "diversity" not in found["groups"]
    assert "interval" not in found["groups"]["fidelity"]["l2"]
    assert 0 <= found["groups"]["realism"]["percentile"]["value"] <= 100
    assert found["warnings"][-1].startswith("Members: 1.")


def test_a_draw_is_said_and_is_not_taken_for_the_whole(points, garments):
    outcome = run_cli("evaluate", points, "--members", 4, "--all", "--device", "cpu")
    assert outcome.code == 0, outcome.stderr
    found = json.loads((points / "metrics.json").read_text())
    assert (found["members"], found["members_of_run"]) == (4, 6)
    drawn = [record.index for record in draw_members(InvariantSet.load(points), 4).members]
    assert found["per_member"]["index"] == drawn
    assert found["groups"]["fidelity"]["l2"]["n"] == 4
    assert "4 of 6, drawn by the seed of the run" in outcome.stdout
    assert "4 of 6 members were evaluated" in " ".join(outcome.stderr.split())
    whole = json.loads(run_cli("evaluate", points, "--json", "--device", "cpu").stdout)
    assert (whole["members"], whole["members_of_run"]) == (6, 6)
    assert not any("were evaluated" in warning for warning in whole["warnings"])
    saving = json.loads(evaluate(garments, "--members", 2, "--json").stdout)["verdicts"][1]["sentence"]
    assert "of the 2 evaluated are members as saved" in saving


def test_a_reference_of_the_users_own(garments, tmp_path):
    reference = tmp_path / "real"
    reference.mkdir()
    for number in range(8):
        Image.radial_gradient("L").rotate(9 * number).resize((40, 30)).save(reference / f"{number}.png")
    (reference / "broken.png").write_bytes(b"no image")
    outcome = evaluate(garments, "--reference", reference, "--json", "--batch", 3)
    assert outcome.code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert found["reference"]["real"] is True
    assert found["reference"]["n"] == 8
    assert "reference" in found["groups"]["spectral"]["slope"]
    assert "reference" in found["groups"]["spectral"]["band_0.3"]
    assert len(found["curves"]["spectrum"]["reference"]) == 14
    assert any("1 of 9" in warning for warning in found["warnings"])
    # neither members nor prior samples resemble it
    assert found["groups"]["realism"]["kid"]["value"] > 0
    table = evaluate(garments, "--reference", reference, "--all")
    assert "real" in table.stdout
    assert f"8 images of {reference}" in table.stdout


def test_features_of_the_users_own_and_those_of_the_network_under_test(garments):
    (garments / "mine.py").write_text("def rows(samples):\n    return samples.mean(dim=(1, 3))\n")
    outcome = evaluate(garments, "--features", f"module:{garments / 'mine.py'}:rows", "--json", "-q")
    found = json.loads(outcome.stdout)
    assert found["features"]["size"] == 28
    assert not any("compared by" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--features", "pixel"), 1, ("pixel", "did you mean  pixels?")),
        (("--features", "module:./nowhere.py:f"), 2, ("does not exist",)),
        (("--features", "pixels,,"), 2, ("key=value",)),
        (("--reference", "./nowhere"), 1, ("does not exist", "nowhere")),
        (("--members", "0"), 2, ("--members",)),
        (("--batch", "0"), 2, ("--batch",)),
        (("--seed", "-1"), 2, ("--seed",)),
        (("--device", "toaster"), 2, ("toaster", "--device cpu")),
    ],
)
def test_options_that_cannot_be_used(garments, more, code, words):
    assert_one_error(
        run_cli("evaluate", garments / "run", "-o", f"custom:{garments / 'probe.py'}:score", *more), code, *words
    )


def test_a_reference_without_images(garments, tmp_path):
    assert_one_error(evaluate(garments, "--reference", tmp_path), 1, "The folder is empty")
    (tmp_path / "one.png").write_bytes(b"no image")
    (tmp_path / "two.png").write_bytes(b"no image")
    assert_one_error(evaluate(garments, "--reference", tmp_path), 1, "at least two images")


def test_points_cannot_be_compared_with_images(points, tmp_path):
    assert_one_error(run_cli("evaluate", points, "--reference", tmp_path), 2, "points", "no --reference")
    assert_one_error(run_cli("evaluate", points, "--features", "pixels"), 1, "points")


def test_an_image_without_a_file_is_made_from_the_tensors_and_a_damaged_file_is_said(garments, tmp_path):
    copied = shutil.copytree(garments / "run", tmp_path / "run")
    spec = f"custom:{garments / 'probe.py'}:score"

    def evaluated():
        outcome = run_cli("evaluate", copied, "-o", spec, "--json", "--device", "cpu")
        assert outcome.code == 0, outcome.stderr
        return json.loads(outcome.stdout)

    whole = evaluated()
    (copied / "images" / "00001.png").unlink()
    made = evaluated()
    assert made["groups"] == whole["groups"]
    assert "saved_l2" in made["groups"]["fidelity"]
    (copied / "images" / "00002.png").write_bytes(b"no image")
    damaged = evaluated()
    assert "sample 2" in damaged["absent"]["fidelity.saved_l2"]
    assert "l2" in damaged["groups"]["fidelity"]


def change(path, **values):
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | values))


def test_a_run_that_has_not_ended(copy):
    change(copy, status="running")
    assert_one_error(run_cli("evaluate", copy), 1, "not ended", "--resume")


def test_a_run_of_a_newer_version(copy):
    change(copy, schema_version=4)
    assert_one_error(run_cli("evaluate", copy), 1, "another version")


def test_a_run_that_lacks_a_tensor(copy):
    damage_tensors(copy)
    assert_one_error(run_cli("evaluate", copy), 1, "damaged or lost", f"equidiff run --resume {copy}")


def test_a_run_without_members(tmp_path):
    outcome = run_circles("--samples", 2, "--target", 7, "--budget", 1, "--out", tmp_path / "none")
    assert_one_error(run_cli("evaluate", outcome.path), 1, "no members", "--tolerance")


def test_a_folder_that_is_not_a_run(tmp_path):
    assert_one_error(run_cli("evaluate", tmp_path / "none"), 1, "not a run folder")


def test_nothing_half_written_is_left_when_it_is_interrupted(copy, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("equidiff.analysis.evaluation.measure.measure_realism", interrupt)
    outcome = run_cli("evaluate", copy)
    assert outcome.code == 130
    assert outcome.stdout == ""
    assert "nothing was written" in outcome.stderr
    assert not list(copy.glob("metrics.json*"))
    (copy / "metrics.json").write_text("{}")
    assert run_cli("evaluate", copy).code == 130
    assert (copy / "metrics.json").read_text() == "{}"


def test_out_of_memory_says_what_to_type(copy, monkeypatch):
    def fail(*_args):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr("equidiff.analysis.evaluation.measure.measure_fidelity", fail)
    assert_one_error(run_cli("evaluate", copy), 1, "out of memory", "--batch 1")


# ---- what the report draws


def test_members_and_prior_samples_are_mapped(garments):
    assert evaluate(garments).code == 0
    found = json.loads((garments / "run" / "metrics.json").read_text())["map"]
    tensors = read_tensors(garments / "run")
    prior = load_file(garments / "run" / "prior.safetensors")["samples"].float() / 255
    rows = torch.cat([tensors["samples"], prior, tensors["query"]]).flatten(1).double().numpy()
    # a second opinion: the singular vectors of the centred pixels, whose signs are free
    left, lengths, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * lengths[:2]
    mapped = np.array([*found["members"], *found["prior"], found["query"]])
    np.testing.assert_allclose(np.abs(mapped), np.abs(expected), atol=1e-3)
    assert found["space"] == "pixels"
    assert found["index"] == [0, 1, 2]
    np.testing.assert_allclose(found["explained"], (lengths**2 / (lengths**2).sum())[:2], atol=1e-3)


def test_the_nearest_real_image_of_each_member(garments, tmp_path):
    reference = tmp_path / "photos" / "deep"
    reference.mkdir(parents=True)
    Image.new("L", (28, 28), 255).save(reference / "white.png")
    for index in (0, 2):  # the members themselves, as real images
        shutil.copy(garments / "run" / "images" / f"0000{index}.png", reference / f"copy of {index}.png")
    assert evaluate(garments, "--reference", tmp_path / "photos").code == 0
    each = json.loads((garments / "run" / "metrics.json").read_text())["per_member"]
    assert (each["nearest"][0], each["nearest"][2]) == ("deep/copy of 0.png", "deep/copy of 2.png")
    assert each["neighbour_distance"][0] == 0
    shown = garments / "run" / "nearest" / "00002.png"
    assert Image.open(shown).tobytes() == Image.open(reference / "copy of 2.png").tobytes()
    text = run_cli("report", garments / "run", "--out", tmp_path / "report.html").path.read_text()
    assert "deep/copy of 2.png" in text
    # without a reference of real images, none is shown
    assert evaluate(garments).code == 0
    text = run_cli("report", garments / "run", "--out", tmp_path / "report.html").path.read_text()
    assert "deep/copy of" not in text
