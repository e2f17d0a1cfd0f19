"""What a network calls query, members and prior samples."""

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch
from made_runs import made_info
from PIL import Image
from running import read_lines, read_run, run_circles, run_cli
from safetensors.torch import load_file

import equidiff
from equidiff.contracts import BuildContext, Predictor
from equidiff.networks import load_network, predictor_of
from equidiff.run.parts import CalledInfo, ClassCount, QueryClass
from equidiff.run.record import Called, Record
from equidiff.run.wording import called, called_otherwise, class_shares

SMALL = "toy:fashion,steps=2"
ARGUMENTS = ("-n", 3, "--budget", 20, "-r", "none")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("called") / "run"
    assert run_cli("run", "-g", SMALL, "-o", "neuron:17", *ARGUMENTS, "--out", path).code == 0
    return path


def test_every_member_says_what_the_network_calls_its_image(run):
    """The slow second opinion: the shipped network, asked about each file."""
    network = load_network("fashion", None, BuildContext())
    info, members = read_run(run), read_lines(run / "members.jsonl")
    counts = Counter()
    for member in members:
        with Image.open(run / member["image"]) as image, torch.no_grad():
            probabilities = network.module(network.prepare_image(image)).softmax(dim=1)[0]
        best = int(probabilities.argmax())
        assert member["called"]["index"] == best
        assert member["called"]["name"] == network.classes[best]
        assert member["called"]["probability"] == pytest.approx(probabilities[best].item(), abs=1e-3)
        counts[best] += 1
    assert {each["index"]: each["count"] for each in info["called"]["members"]} == counts
    assert info["called"]["network"] == "fashion"
    assert info["called"]["classes"] == 10
    with Image.open(run / "query.png") as image, torch.no_grad():
        query = network.module(network.prepare_image(image)).softmax(dim=1)[0]
    assert info["called"]["query"]["index"] == int(query.argmax())


def test_prior_samples_are_called_too(run):
    info, tensors = read_run(run), load_file(run / "prior.safetensors")
    network = load_network("fashion", None, BuildContext())
    with torch.no_grad():
        classes = network.module(tensors["samples"].float() / 255).argmax(dim=1)
    assert torch.equal(classes, tensors["classes"])
    assert {each["index"]: each["count"] for each in info["called"]["prior"]} == Counter(classes.tolist())


def test_in_python_and_back_from_the_folder(run):
    found = equidiff.load(run)
    assert found[0].called == found.records[0].called
    assert isinstance(found[0].called, Called)
    assert Record.from_dict(json.loads(found.records[0].to_json())) == found.records[0]
    assert called(found.info).startswith("The network fashion calls the query bag (93 %), and the members ")


def test_an_objective_without_a_network_asks_the_generators_own(tmp_path):
    (tmp_path / "probe.py").write_text("def score(samples):\n    return samples.flatten(1).mean(dim=1)\n")
    out = tmp_path / "run"
    outcome = run_cli("run", "-g", SMALL, "-o", f"custom:{tmp_path}/probe.py:score", *ARGUMENTS, "--out", out)
    assert outcome.code == 0, outcome.stderr
    assert read_run(out)["called"]["network"] == "fashion"


def test_no_head_no_name(tmp_path):
    out = tmp_path / "run"
    (tmp_path / "probe.py").write_text("def score(samples):\n    return samples.flatten(1).mean(dim=1)\n")
    objective = f"custom:{tmp_path}/probe.py:score"
    outcome = run_cli("run", "-g", "pixels:8", "-o", objective, *ARGUMENTS, "--target", 0.5, "--out", out)
    assert "called" not in read_run(out), outcome.stderr
    assert all("called" not in line for line in read_lines(out / "members.jsonl"))
    assert called(equidiff.load(out).info) is None
    assert class_shares(equidiff.load(out).info) == []


def test_two_classes_of_a_single_logit(tmp_path):
    path = run_circles("-n", 2, "--out", tmp_path / "run").path
    info = read_run(path)
    assert info["called"]["classes"] == 2
    assert {each["name"] for each in info["called"]["prior"]} <= {"inner", "outer"}


class Head(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.fc = torch.nn.Linear(16, classes)

    def forward(self, images):
        return self.fc(images.flatten(1))


def test_a_head_of_many_classes_and_names_with_markup():
    classes = [f"<b>[red]{index}</b>" for index in range(100_000)]
    objective = equidiff.classifier(Head(100_000), 7, classes=classes, output="logit")
    found = equidiff.sample("pixels:4", objective, "none", target=0.1, samples=2, budget=5)
    assert found.info.called.classes == 100_000
    assert found[0].called.name == classes[found[0].called.index]
    assert "<b>[red]" not in found._repr_html_()
    assert "&lt;b&gt;[red]" in found._repr_html_()


def test_an_embedding_is_not_taken_for_classes():
    """CLIP's output has the shape of logits, and no names."""
    network = load_network("fashion", None, BuildContext())
    assert predictor_of(replace(network, names=None)) is None
    assert predictor_of(replace(network, names=network.names[:4])) is None
    assert isinstance(predictor_of(network), Predictor)


MEMBERS = ((9, "ankle-boot", 34), (8, "bag", 25), (5, "sandal", 5))
PRIOR = ((8, "bag", 8), (4, "coat", 56))


def info(query=("bag", 8), members=MEMBERS, prior=PRIOR):
    asked = None if query is None else QueryClass(index=query[1], name=query[0], probability=0.9312)
    of = [tuple(ClassCount(index=i, name=n, count=c) for i, n, c in each) for each in (members, prior)]
    return made_info(called=CalledInfo(network="fashion", classes=10, query=asked, members=of[0], prior=of[1]))


def test_the_sentences():
    members = "ankle-boot (34), bag (25) and sandal (5)"
    assert called(info()) == f"The network fashion calls the query bag (93 %), and the members {members}"
    assert called(info(query=None)).startswith("The network fashion calls the members ankle-boot (34)")
    assert called(info(members=())) == "The network fashion calls the query bag (93 %)"
    assert called_otherwise(info()).startswith("39 of 64 members (49 % to 72 %) are called otherwise than the query")
    assert called_otherwise(info()).endswith("of prior samples 56 of 64 (77 % to 94 %)")
    many = tuple((index, f"class {index}", 9 - index) for index in range(9))
    assert called(info(members=many)).endswith("class 3 (6) and something else (15)")


def test_the_shares_have_wilsons_interval():
    shares = class_shares(info())
    assert [(each.name, each.members, each.is_query) for each in shares] == [
        ("ankle-boot", 34, False), ("bag", 25, True), ("sandal", 5, False),
    ]  # fmt: skip
    p, n, z = 34 / 64, 64, 1.959964
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    ends = [(middle + sign * half) / (1 + z * z / n) for sign in (-1, 1)]
    assert shares[0].interval == pytest.approx(ends, abs=1e-4)
    assert shares[1].prior_share == 8 / 64
    assert shares[0].prior_share == 0
