"""`run.json` as a model: its text, what follows from it, and what damage looks like."""

import json
from dataclasses import fields, replace

import pytest
from made_runs import made_info
from running import read_run, run_circles, run_cli

import equidiff
from equidiff.errors import RunFolderError
from equidiff.run.info import Counts, read_info
from equidiff.run.settings import Settings


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("info") / "run"
    assert run_circles("-n", 2, "--query", 1, "--start", "query", "--budget", 64, "--out", path).code == 0
    return (path / "run.json").read_text()


@pytest.fixture
def write(text, tmp_path):
    """A run folder whose run.json has been changed by a function."""

    def changed(change=lambda values: None):
        values = json.loads(text)
        change(values)
        (tmp_path / "run.json").write_text(json.dumps(values))
        return tmp_path

    return changed


def test_the_text_is_that_of_the_file(write, text):
    assert read_info(write()).to_json() == text
    assert list(json.loads(text)) == [
        "specs", "options", "target", "kind", "inversion", "search", "seed", "tolerance", "tolerance_given", "within",
        "prior", "called", "budget", "device", "dtype", "versions",
        "weights", "notes", "schema_version", "status", "started", "segment", "images", "counts", "finished", "wall_s",
        "evaluations", "folder", "run_folder",
    ]  # fmt: skip


@pytest.mark.parametrize("budget", [128, 128.0, 0.5])
def test_numbers_are_written_as_they_were_given(write, budget):
    text = read_info(write(lambda values: values.update(budget=budget))).to_json()
    assert f'"budget": {budget!r},' in text


def test_keys_of_later_versions_outlive_a_resumed_run(tmp_path):
    path = tmp_path / "run"
    assert run_circles("-n", 1, "--out", path).code == 0
    info = read_run(path)
    info |= {"status": "interrupted", "weather": {"sun": [1, 2]}}
    info["target"]["error"] = 0.5
    (path / "run.json").write_text(json.dumps(info))
    assert run_cli("run", "--resume", path).code == 0
    assert read_run(path)["weather"] == {"sun": [1, 2]}
    assert read_run(path)["target"]["error"] == 0.5


def test_a_run_begins_ends_and_goes_on():
    info = made_info(asked=3).began()
    assert (info.status, info.counts, info.wall_s) == ("running", Counts(asked=3), None)
    counts = Counts(asked=3, members=1, not_converged=0, failed=0)
    failed = info.ended("failed", 1.0004, counts, 7.5, "the disk is full")
    assert (failed.status, failed.error, failed.wall_s, failed.evaluations) == ("failed", "the disk is full", 1.0, 7.5)
    again = failed.resumed()
    assert (again.status, again.error, again.finished) == ("running", None, None)
    assert "error" not in json.loads(again.to_json())
    assert again.ended("complete", 2.0, counts, 9.0).wall_s == 3.0
    assert info.counts == Counts(asked=3)  # a model is never changed


def test_the_settings_of_a_run_are_those_that_it_began_with():
    settings = Settings("toy:circles", "classifier:inner", "none", "auto,pool=8", target=[0.5], samples=1, budget=9.0,
                        tolerance=1e-4, batch=3, seed=7, device="cpu", dtype="float32", law="conditional",
                        saved="float", bank=8)  # fmt: skip
    names = [field.name for field in fields(Settings) if field.name != "target"]
    info = equidiff.sample(**{name: getattr(settings, name) for name in names}, target=settings.target).info
    assert Settings.of(info) == replace(settings, target=info.target.values)


def test_what_follows_from_it():
    info = made_info(versions={"equidiff": "1", "./a file.py": "a file"})
    assert info.plugin_files == ("./a file.py",)
    assert not info.starts_from_query
    assert not info.target.is_given
    assert str(info.target) == "unit 0 = 0.5 (activation)"
    assert str(made_info(values=(-1.0, 0.25)).target) == "2 values (activation) from -1 to 0.25"
    specs = info.specs
    assert not specs.objects
    assert not specs.is_custom
    own = specs.model_copy(update={"objective": "2*neuron:3+custom:./probe.py:score"})
    assert own.is_custom
    python = specs.model_copy(update={"objective": "<custom.Mine>", "solver": "<mine.Solver>"})
    assert python.objects == {"objective": "<custom.Mine>", "solver": "<mine.Solver>"}
    assert not python.is_custom


DAMAGE = {
    "seed": lambda values: values.update(seed="zero"),
    "tolerance": lambda values: values.update(tolerance=None),
    "budget": lambda values: values.update(budget=[1]),
    "dtype": lambda values: values.pop("dtype"),
    "specs": lambda values: values.update(specs="toy"),
    "specs.generator": lambda values: values["specs"].pop("generator"),
    "specs.flavour": lambda values: values["specs"].update(flavour="sweet"),
    "options.batch": lambda values: values["options"].update(batch=True),
    "target.values": lambda values: values["target"].update(values="0.5"),
    "target.values.0": lambda values: values["target"].update(values=["0.5"]),
    "target.unit": lambda values: values["target"].pop("unit"),
    "counts.asked": lambda values: values["counts"].update(asked=1.5),
    "weights.0.sha256": lambda values: values["weights"][0].pop("sha256"),
    "versions.torch": lambda values: values["versions"].update(torch=2),
    "inversion.loss": lambda values: values["inversion"].update(loss={}),
}


@pytest.mark.parametrize("place", DAMAGE)
def test_damage_is_named(write, place):
    path = write(DAMAGE[place])
    with pytest.raises(RunFolderError, match=r"run\.json of this folder cannot be read") as caught:
        read_info(path)
    assert caught.value.given == f"{path / 'run.json'}, at {place}"
    assert "schema_version 3" in caught.value.expected
    assert "pydantic" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", ["", "{", "[]", '"run"', "{}", '{"status": "complete"}'])
def test_what_is_no_description(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"run\.json of this folder cannot be read"):
        read_info(tmp_path)


def test_other_versions_and_other_folders(write, tmp_path):
    with pytest.raises(RunFolderError, match="another version") as caught:
        read_info(write(lambda values: values.update(schema_version=4)))
    assert caught.value.expected == "1, 2 or 3"
    with pytest.raises(RunFolderError, match="not a run folder") as caught:
        read_info(tmp_path / "elsewhere")
    assert caught.value.hint == "equidiff run"
