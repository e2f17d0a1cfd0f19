"""The report of a run to whose folder other commands have added files."""

import json

import pytest
import torch
from made_runs import EVIL, data_of, decode_image, made, page_of
from running import assert_one_error, run_circles, run_cli
from safetensors.torch import save_file

from equidiff.analysis.report.results import columns, tables, text_of


@pytest.fixture
def broken(tmp_path):
    """A run folder to break."""
    path = run_circles("-n", 2, "--out", tmp_path / "run").path
    return path


def test_texts_of_other_files_are_escaped(tmp_path):
    found = made(count=2, others=1)
    (tmp_path / "attributions").mkdir()
    maps = {"query": torch.rand(1, 8, 8), "members": torch.randn(2, 8, 8)}
    save_file(maps, tmp_path / "attributions" / "a.safetensors")
    method = {"name": EVIL, "spec": EVIL, "status": EVIL, "file": "a.safetensors", "numbers": {EVIL: EVIL}}
    (tmp_path / "attributions" / "attributions.json").write_text(json.dumps({"schema_version": 1, "methods": [method]}))
    metric = {"value": 1.0, "interval": [0.5, 1.5], "plain": EVIL, "n": 2, "unit": EVIL}
    (tmp_path / "metrics.json").write_text(json.dumps({"schema_version": 1, "groups": {EVIL: {EVIL: metric}}}))
    text = page_of(found, tmp_path)
    assert EVIL not in text
    assert text.count("<script") == 2
    assert data_of(text)["members"][0]["maps"][0]["method"] == EVIL


def test_metrics_become_tables_whatever_is_in_them():
    leaf = {"label": "KL", "value": 0.123456, "interval": [0.1, 0.2], "plain": 3, "n": 16, "unit": "nats"}
    groups = {
        "fidelity": {"kl": leaf, "mean_l1": {"value": None}, "changes": {"jpeg": {"value": 1}, "blur": {"value": 2}}},
        "odd": {"a": 3, "b": [1, 2], "c": {}, "d": True},
        "empty": {},
    }
    found = tables({"groups": groups})
    assert list(found) == ["fidelity", "odd"]
    first, second, third, fourth = found["fidelity"]
    cells = {"value": "0.1235", "interval": "0.1 to 0.2", "plain": "3", "n": "16", "unit": "nats"}
    assert (first.name, {name: text for name, text in first.cells.items() if text}) == ("KL", cells)
    assert (second.name, second.cells["value"]) == ("mean l1", "")
    assert (third.name, fourth.name) == ("changes: jpeg", "changes: blur")
    assert [(row.name, row.cells["value"]) for row in found["odd"]] == [("a", "3"), ("d", "yes")]
    assert columns(found["fidelity"]) == ["value", "interval", "plain", "n", "unit"]
    assert text_of(list(range(20))) == "0, 1, 2, 3, 4, 5, 6, 7, …"
    for odd in ({}, {"groups": 3}, {"groups": [1]}, {"groups": {"a": None}}):
        assert tables(odd) == {}


def test_metrics_are_on_the_page(tmp_path):
    found = made(count=3, others=1)
    metrics = {
        "schema_version": 1,
        "groups": {"realism": {"kid": {"value": 0.5, "n": 3}}},
        "warnings": ["3 members are few"],
        "absent": {"realism.fid": "no weights"},
        # the file may be of an earlier state of the run: members are found by their index
        "per_member": {"index": [2, 0], "percentile": [75.0, 25.0]},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    text = page_of(found, tmp_path)
    for words in ("kid", "3 members are few", "realism.fid", "no weights"):
        assert words in text
    assert [member["numbers"]["realism"] for member in data_of(text)["members"]] == [25.0, None, 75.0]


def test_maps_appear_beside_their_member(tmp_path):
    found = made(count=2, others=1, size=8)
    (tmp_path / "attributions").mkdir()
    members = torch.zeros(2, 8, 8)
    members[1, 2, 3] = -1.0
    save_file({"query": torch.ones(1, 8, 8), "members": members}, tmp_path / "attributions" / "s.safetensors")
    methods = [
        {"name": "saliency", "spec": "saliency", "status": "done", "file": "s.safetensors", "numbers": {"auc": 0.5}},
        {"name": "gradcam", "spec": "gradcam", "status": "failed", "file": None, "numbers": {}},
    ]
    about = {"schema_version": 1, "methods": methods}
    (tmp_path / "attributions" / "attributions.json").write_text(json.dumps(about))
    text = page_of(found, tmp_path)
    data = data_of(text)
    assert [each["method"] for each in data["members"][1]["maps"]] == ["saliency"]
    shown = decode_image(data["members"][1]["maps"][0]["picture"])
    assert shown.shape == (8, 8, 3)
    assert (shown != shown[0, 0]).any(axis=2).nonzero()[0].tolist() == [2]
    assert len(data["query"]["maps"]) == 1
    assert "gradcam" in text


def test_a_comparison_of_some_members_and_of_methods_that_did_not_fit(tmp_path):
    found = made(count=3, others=1)
    (tmp_path / "attributions").mkdir()
    save_file({"members": torch.rand(2, 8, 8)}, tmp_path / "attributions" / "r.safetensors")
    numbers = {"across": 0.5, "spread": {"across": 0.125}, "freedom_auc": None}
    methods = [
        {"name": "random", "spec": "random,seed=1", "status": "complete", "file": "r.safetensors", "numbers": numbers},
        {"name": "gradcam", "spec": "gradcam", "status": "does_not_fit", "reason": "there is no convolution"},
    ]
    about = {"schema_version": 1, "members": [0, 2], "methods": methods}
    (tmp_path / "attributions" / "attributions.json").write_text(json.dumps(about))
    text = page_of(found, tmp_path)
    shown = [[each["method"] for each in member["maps"]] for member in data_of(text)["members"]]
    assert shown == [["random,seed=1"], [], ["random,seed=1"]]
    assert data_of(text)["query"]["maps"] == []
    assert "0.5 ± 0.125" in text
    assert "does not fit: there is no convolution" in text
    assert "freedom auc" not in text


def test_files_of_other_commands_that_cannot_be_read(broken):
    (broken / "metrics.json").write_text("{")
    assert_one_error(run_cli("report", broken), 1, "metrics.json", "equidiff evaluate")
    (broken / "metrics.json").write_text(json.dumps({"schema_version": 2, "groups": {}}))
    assert_one_error(run_cli("report", broken), 1, "another version")
    (broken / "metrics.json").unlink()
    (broken / "attributions").mkdir()
    listed = broken / "attributions" / "attributions.json"
    method = {"name": "a", "spec": "a", "status": "done", "file": "../../../etc/passwd", "numbers": {}}
    listed.write_text(json.dumps({"schema_version": 1, "methods": [method]}))
    assert_one_error(run_cli("report", broken), 1, "attributions/passwd", "equidiff compare")
    save_file({"members": torch.zeros(5, 4, 4)}, broken / "attributions" / "passwd")
    assert_one_error(run_cli("report", broken), 1, "does not fit")
