"""`equidiff compare` through the real command line."""

import json
import shutil

import pytest
import torch
from PIL import Image
from running import CIRCLES, assert_one_error, damage_tensors, read_tensors, run_cli
from safetensors.torch import load_file

from equidiff.analysis.compare import freedom, work
from equidiff.analysis.compare.comparison import DRAWS
from equidiff.registry.manager import Plugins
from equidiff.run.finished import open_finished
from equidiff.run.prior_query import prior_query_latent

NUMBERS = {
    "rank_correlation_members", "rank_correlation_query", "overlap_members", "overlap_query", "freedom_auc",
    "freedom_auc_seen", "infidelity", "max_sensitivity",
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "run"
    outcome = run_cli("run", "-g", "toy:fashion,steps=2", "--query", 3, "-n", 4, "-r", "none", "--out", path)
    assert outcome.code == 0, outcome.stderr
    return path


@pytest.fixture
def run(source, tmp_path):
    return shutil.copytree(source, tmp_path / "run")


def compare(run, methods, *options):
    return run_cli("compare", run, "--methods", methods, "--device", "cpu", *options)


def read(run):
    return json.loads((run / "attributions" / "attributions.json").read_text())


def test_maps_numbers_and_images(run):
    outcome = compare(run, "saliency,gradcam,layer=block2", "--members", 3)
    assert outcome.code == 0, outcome.stderr
    assert outcome.path == run / "attributions"
    info = read(run)
    assert info["schema_version"] == 1
    assert info["seed"] == 0
    assert info["command"].endswith("--methods saliency,gradcam,layer=block2 --members 3")
    assert info["versions"].keys() >= {"equidiff", "torch", "captum", "python"}
    assert info["members"] == [0, 1, 2]
    assert info["explained"]["query"] == pytest.approx(info["explained"]["target"], rel=1e-4)
    assert len(info["explained"]["members"]) == 3
    entries = {entry["spec"]: entry for entry in info["methods"]}
    assert list(entries) == ["random", "saliency", "gradcam,layer=block2"]
    for entry in entries.values():
        assert entry["status"] == "complete"
        assert entry["numbers"].keys() - {"spread"} == NUMBERS
        maps = load_file(run / "attributions" / entry["file"])
        assert maps["query"].shape == (1, 28, 28)
        assert maps["members"].shape == (3, 28, 28)
        assert maps["query"].dtype == torch.float32
    spread = entries["random"]["numbers"]["spread"]
    assert spread.keys() == NUMBERS
    assert min(spread.values()) > 0
    assert DRAWS > 2
    for name in ("compare.png", "freedom.png"):
        with Image.open(run / "attributions" / name) as image:
            assert image.width > 500
    free = load_file(run / "attributions" / "freedom.safetensors")
    assert {name: tuple(values.shape) for name, values in free.items()} == {
        "freedom": (1, 28, 28),
        "plain": (1, 28, 28),
    }
    # members were not started near the query, and the output says so
    assert info["freedom"]["near"] == "pixels"
    assert "not started near" in info["freedom"]["note"]
    assert "--start query" in outcome.stderr
    assert not list((run / "attributions").glob("*.part"))


def test_freedom_is_the_distance_of_the_nearest_members(run):
    assert compare(run, "saliency", "-q", "--members", 1).code == 0
    tensors, info = read_tensors(run), read(run)
    distance = (tensors["samples"] - tensors["query"]).square()
    nearest = distance.sum(dim=(1, 2, 3)).argsort()[:2].tolist()
    assert info["freedom"]["members"] == nearest
    free = load_file(run / "attributions" / "freedom.safetensors")["freedom"][0]
    torch.testing.assert_close(free, distance[nearest].mean(dim=(0, 1)).sqrt())


def test_members_that_were_started_near_the_query_count_as_near(tmp_path):
    made = run_cli(
        "run", "-g", "toy:fashion,steps=2", "--query", 3, "-n", 6, "-r", "none", "--start", "query",
        "--tolerance", 0.01, "--out", tmp_path / "run",
    )  # fmt: skip
    assert made.code == 0, made.stderr
    finished = open_finished(made.path, Plugins(), ("equidiff", "compare"), device="cpu")
    by_angle = sorted(finished.found.members, key=lambda member: member.distance)
    found = freedom.find_freedom(finished, finished.found.query)
    assert found.measure == "latent"
    assert sorted(found.members) == sorted(member.index for member in by_angle[:3])


def test_a_second_comparison_adds_and_replaces(run):
    assert compare(run, "saliency,input_x_gradient", "--members", 2, "-q").code == 0
    first = read(run)
    again = compare(run, "deconvolution,saliency", "--json", "--batch", 3)
    assert again.code == 0, again.stderr
    info = json.loads(again.stdout)
    assert info == read(run)
    assert [entry["spec"] for entry in info["methods"]] == ["random", "saliency", "input_x_gradient", "deconvolution"]
    assert info["members"] == [0, 1]
    before, after = ({e["spec"]: e["numbers"] for e in each["methods"]} for each in (first, info))
    assert before["input_x_gradient"] == after["input_x_gradient"]
    assert before["saliency"] == pytest.approx(after["saliency"], rel=1e-3)
    # every network of ReLUs without pooling gives deconvolution the same map for every sample
    assert after["deconvolution"]["rank_correlation_members"] == pytest.approx(1)
    assert info["command"].endswith("--methods saliency,input_x_gradient,deconvolution --members 2")
    assert_one_error(compare(run, "saliency", "--members", 3), 2, "other members", "--members 2", "mv ")


def test_a_method_that_does_not_fit_gives_a_reason_and_the_others_go_on(run):
    outcome = compare(run, "gradcam,layer=blok2,occlusion,window=99,saliency", "--members", 2)
    assert outcome.code == 3
    assert "gradcam,layer=blok2 does not fit: There is no layer named 'blok2'" in outcome.stderr
    assert "did you mean: block2" in outcome.stderr
    assert "occlusion,window=99 does not fit: The window is larger" in outcome.stderr
    status = {entry["spec"]: entry["status"] for entry in read(run)["methods"]}
    assert status == {"random": "complete", "gradcam,layer=blok2": "does_not_fit",
                      "occlusion,window=99": "does_not_fit", "saliency": "complete"}  # fmt: skip
    assert not list((run / "attributions").glob("gradcam*"))


CURVED = """
def score(samples):
    return samples.flatten(1).pow(2).cumsum(dim=1).sin().sum(dim=1, keepdim=True)
"""


def test_methods_that_look_into_the_generator(tmp_path):
    path = tmp_path / "run"
    (tmp_path / "curved.py").write_text(CURVED)
    spec = f"custom:{tmp_path / 'curved.py'}:score"
    outcome = run_cli("run", "-g", "pixels:8", "-o", spec, "-r", "none", "-n", 2, "--tolerance", 1e9, "--out", path)
    assert outcome.code == 0, outcome.stderr
    outcome = compare(path, "pulled,occlusion,baseline=prior,baselines=2", "--objective", spec)
    assert outcome.code == 0, outcome.stderr
    finished = open_finished(path, Plugins(), ("equidiff", "compare"), objective=spec, device="cpu")
    problem, found = finished.session.problem, finished.found
    samples = found.samples.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(problem.objective.measure(samples).sum(), samples)
    jacobian = torch.autograd.functional.jacobian(problem.generator.generate, found.latents).reshape(128, 128)
    expected = (jacobian @ jacobian.T @ gradient.flatten()).reshape(samples.shape).sum(dim=1)
    maps = load_file(path / "attributions" / "pulled.safetensors")
    torch.testing.assert_close(maps["members"], expected, atol=1e-4, rtol=1e-3)
    assert not torch.allclose(gradient.sum(dim=1), expected, atol=1e-2)
    # the query is a prior sample, whose latent is known
    latent = prior_query_latent(found.info.target.source, problem.generator)
    assert latent is not None
    torch.testing.assert_close(problem.generator.generate(latent[None]), found.query, atol=1e-2, rtol=0)
    assert prior_query_latent("prior.png", problem.generator) is None


BROKEN = """
import warnings
from equidiff import Attribution
from equidiff.plugin import Descriptor, hookimpl

@hookimpl
def equidiff_attributions():
    return [Descriptor(name, f"{__name__}:{name}", "For a test.") for name in ("raising", "flat", "chatty")]

class Raises(Attribution):
    def attribute(self, scalar, samples):
        raise ZeroDivisionError("by nought\\nand more")

class Flat(Attribution):
    def attribute(self, scalar, samples):
        return samples * 0

class Chatty(Attribution):
    def attribute(self, scalar, samples):
        warnings.warn("this is a guess")
        return samples

def raising(argument, options, context):
    return Raises()

def flat(argument, options, context):
    return Flat()

def chatty(argument, options, context):
    return Chatty()
"""


def test_a_plugin_of_the_users_own(run, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(BROKEN)
    outcome = compare(run, "raising,flat,chatty", "--plugin", plugin, "--members", 2)
    assert outcome.code == 3
    assert "raising failed: ZeroDivisionError: by nought" in outcome.stderr
    assert "and more" not in outcome.stderr
    entries = {entry["spec"]: entry for entry in read(run)["methods"]}
    assert entries["raising"]["status"] == "failed"
    assert entries["flat"]["notes"] == ["3 of 3 maps are constant and carry no information"]
    # what was not measured is absent
    assert not entries["flat"]["numbers"].keys() & {"rank_correlation_members", "overlap_query"}
    assert entries["chatty"]["notes"] == ["this is a guess"]
    assert outcome.stderr.count("this is a guess") == 1
    listed = run_cli("show", "attribution", "--plugin", plugin).stdout
    assert "chatty" in listed
    assert "integrated_gradients" in listed


def test_an_interrupted_comparison_keeps_finished_methods(run, monkeypatch):
    real = work.compare_method

    def interrupted(built, subject, done):
        if built.spec == "occlusion,window=7":
            raise KeyboardInterrupt
        return real(built, subject, done)

    monkeypatch.setattr(work, "compare_method", interrupted)
    outcome = compare(run, "saliency,occlusion,window=7,gradcam", "--members", 2)
    assert outcome.code == 130
    assert outcome.stdout == ""
    assert "2 of 4 methods are finished and saved" in outcome.stderr
    command = f"equidiff compare {run} --methods occlusion,window=7,gradcam --members 2"
    assert command in outcome.stderr
    assert [entry["spec"] for entry in read(run)["methods"]] == ["random", "saliency"]
    assert (run / "attributions" / "compare.png").exists()
    monkeypatch.undo()
    _, _, *words = command.split()
    assert run_cli("compare", run, *words[1:]).code == 0
    assert [entry["spec"] for entry in read(run)["methods"]] == ["random", "saliency", "occlusion,window=7", "gradcam"]


def test_a_target_has_no_query_and_no_freedom(tmp_path):
    path = tmp_path / "run"
    spec = ("-g", "toy:fashion,steps=2", "-o", "classifier,output=logit", "-r", "none")
    targets = ",".join(["0"] * 10)
    run_cli("run", *spec, "--target", targets, "-n", 2, "--budget", 9, "--tolerance", 1e4, "--out", path)
    outcome = compare(path, "saliency")
    assert outcome.code == 0, outcome.stderr
    assert "the run has a target and no query" in outcome.stderr
    info = read(path)
    assert "query" not in info["explained"]
    assert info["freedom"] == {"absent": "the run has a target and no query"}
    numbers = info["methods"][1]["numbers"]
    assert numbers.keys() == {"rank_correlation_members", "overlap_members", "infidelity", "max_sensitivity"}
    assert load_file(path / "attributions" / "saliency.safetensors").keys() == {"members"}
    assert not (path / "attributions" / "freedom.png").exists()


def test_the_coordinates_of_points_are_explained_as_pixels_are(tmp_path):
    path = tmp_path / "run"
    assert run_cli("run", *CIRCLES, "-n", 2, "--out", path).code == 0
    outcome = run_cli("compare", path, "--methods", "occlusion,gradcam", "--members", 2)
    assert outcome.code == 3, outcome.stderr
    assert "by their coordinates" in outcome.stderr
    assert "gradcam does not fit" in outcome.stderr
    maps = load_file(path / "attributions" / "occlusion.safetensors")
    assert {name: tuple(value.shape) for name, value in maps.items()} == {"query": (1, 1, 2), "members": (2, 1, 2)}
    assert (path / "attributions" / "compare.png").exists()


@pytest.mark.parametrize(
    ("methods", "code", "words"),
    [
        ("salency", 1, ["no attribution named 'salency'", "saliency"]),
        ("saliency,widow=3", 2, ["no option 'widow'"]),
        ("occlusion,widow=3", 2, ["no option 'widow'", "window"]),
        ("window=3,occlusion", 2, ["begins with an option"]),
        ("saliency,,gradcam", 2, ["empty entry"]),
        ("integrated_gradients,steps=no", 2, ["invalid value"]),
        ("saliency:3", 2, ["The attribution 'saliency' takes no argument", "equidiff show attribution saliency"]),
        ("noise_tunnel:salency", 1, ["no attribution named 'salency'", "saliency"]),
    ],
)
def test_methods_that_cannot_be_built(run, methods, code, words):
    assert_one_error(compare(run, methods), code, *words)
    assert not (run / "attributions").exists()


def test_runs_that_cannot_be_compared(run, tmp_path):
    assert_one_error(run_cli("compare", tmp_path / "none"), 1, "not a run folder")
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"status": "running"}))
    assert_one_error(run_cli("compare", run), 1, "has not ended", "--resume")
    (run / "run.json").write_text(json.dumps(info | {"schema_version": 4}))
    assert_one_error(run_cli("compare", run), 1, "another version")
    (run / "run.json").write_text(json.dumps(info))
    records = (run / "members.jsonl").read_text()
    (run / "members.jsonl").write_text(records.replace('"member"', '"not_converged"'))
    assert_one_error(run_cli("compare", run), 1, "no members")
    damage_tensors(run)
    assert_one_error(run_cli("compare", run), 1, "damaged or lost", f"equidiff run --resume {run}")
    assert_one_error(run_cli("compare", run, "--members", 0), 2, "--members")


def test_a_folder_that_cannot_be_read(run):
    folder = run / "attributions"
    folder.mkdir()
    (folder / "attributions.json").write_text("{")
    assert_one_error(compare(run, "saliency"), 1, "cannot be read", f"mv {folder}")
    (folder / "attributions.json").write_text(json.dumps({"schema_version": 2}))
    assert_one_error(compare(run, "saliency"), 1, "another version")
