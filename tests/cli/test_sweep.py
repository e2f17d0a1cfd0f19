"""`equidiff sweep`: runs, table, going on, failures, and everything that is refused before the first run."""

import json
import shutil

import pytest
from running import assert_one_error, read_lines, read_run, run_cli

import equidiff
from equidiff.sweep.table import read_sweep

FILE = """
generator: toy:circles
samples: 2
images: none
runs:
  - objective: neuron:act1.0-1
    query: [0, 1]
  - objective: classifier:inner
    target: [p10, 50]
    budget: 4
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of six runs, one of which has no members."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "units.yaml").write_text(FILE)
    outcome = run_cli("sweep", folder / "units.yaml", "--out", folder / "out", "--report")
    return folder, outcome


@pytest.fixture
def copy(swept, tmp_path):
    shutil.copytree(swept[0] / "out", tmp_path / "out")
    shutil.copy(swept[0] / "units.yaml", tmp_path)
    return tmp_path


def test_a_sweep_is_ordinary_runs_and_one_table(swept):
    folder, outcome = swept
    assert outcome.code == 3  # one run has no members
    assert outcome.path == folder / "out"
    info = read_sweep(folder / "out")
    assert info.status == "complete"
    assert info.counts == {"runs": 6, "complete": 6}
    assert info.samples == {"asked": 12, "members": 10, "not_converged": 2, "failed": 0}
    for row in info.runs:
        run = read_run(folder / "out" / "runs" / row.name)
        assert run["status"] == row.status == "complete"
        assert run["counts"]["members"] == row.members
        assert run["evaluations"] == row.evaluations
        assert run["target"]["values"] == [row.target]
        assert run["specs"]["generator"] == "toy:circles"
        assert run["images"] == "none"
    assert "A pass of 2 samples takes" in outcome.stderr
    assert "6 of 6 complete" in outcome.stderr


def test_a_run_of_a_sweep_is_that_of_a_run_alone(swept):
    row = read_sweep(swept[0] / "out").runs[1]
    given = {name: text for name, text in row.settings.items() if name not in {"samples", "images"}}
    alone = equidiff.sample(**given, samples=2)
    within = equidiff.load(swept[0] / "out" / "runs" / row.name)
    assert alone.latents.equal(within.latents)
    assert alone.info.prior == within.info.prior
    assert [record.evaluations for record in alone.records] == [record.evaluations for record in within.records]


def _timeless(folder):
    """The samples of a run, without the time that they took."""
    return [{**line, "wall_s": 0} for line in read_lines(folder / "members.jsonl")]


def test_targets_by_percentile_are_those_of_the_prior_samples(swept):
    from equidiff.run.folder import read_prior

    row = next(row for row in read_sweep(swept[0] / "out").runs if row.settings.get("target") == "p10")
    measured = read_prior(swept[0] / "out" / "runs" / row.name)["measurements"][:, 0].double()
    assert row.target == pytest.approx(float(measured.sort().values[6:8] @ measured.new_tensor([0.7, 0.3])), rel=1e-4)


def test_pandas_reads_the_table(swept):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(swept[0] / "out" / "sweep.csv")
    rows = read_sweep(swept[0] / "out").runs
    assert list(frame["name"]) == [row.name for row in rows]
    assert list(frame["members"]) == [row.members for row in rows]
    assert list(frame["evaluations"]) == [row.evaluations for row in rows]
    assert list(frame["setting_target"].dropna()) == ["p10", "50"]


def test_the_same_command_again_has_nothing_to_do(copy):
    before = {file: file.stat().st_mtime_ns for file in copy.rglob("members.jsonl")}
    outcome = run_cli("sweep", copy / "units.yaml", "--out", copy / "out")
    assert outcome.code == 3
    assert "0 of them still to do" in outcome.stderr
    assert {file: file.stat().st_mtime_ns for file in copy.rglob("members.jsonl")} == before


def test_runs_that_are_missing_are_done_and_those_of_a_longer_file_added(copy):
    first, second, *_ = read_sweep(copy / "out").runs
    expected = _timeless(copy / "out" / "runs" / first.name)
    shutil.rmtree(copy / "out" / "runs" / first.name)
    table = copy / "out" / "sweep.json"
    values = json.loads(table.read_text())
    values["runs"][0]["status"] = "running"  # it was killed
    table.write_text(json.dumps(values))
    (copy / "units.yaml").write_text(FILE.replace("query: [0, 1]", "query: [0, 1, 2]"))
    outcome = run_cli("sweep", copy / "units.yaml", "--out", copy / "out", "--verbose")
    assert "2 runs of the file are new, and added" in outcome.stderr
    info = read_sweep(copy / "out")
    assert info.counts == {"runs": 8, "complete": 8}
    assert [row.name[:5] for row in info.runs] == [f"{number:05d}" for number in range(8)]
    assert f"{second.name}:" not in outcome.stderr  # it was complete, and is not done again
    assert _timeless(copy / "out" / "runs" / first.name) == expected


def test_a_file_that_lacks_runs_is_refused(copy):
    (copy / "units.yaml").write_text(FILE.replace("samples: 2", "samples: 3"))
    outcome = run_cli("sweep", copy / "units.yaml", "--out", copy / "out")
    assert_one_error(outcome, 1, "6 of 6 runs of the folder are not in it", "--out")


def test_a_failed_run_is_listed_and_tried_again(tmp_path):
    (tmp_path / "probe.py").write_text("def score(samples):\n    raise ValueError('not today')\n")
    text = (
        f"generator: toy:circles\nsamples: 2\nquery: 0\nobjective: ['custom:{tmp_path}/probe.py:score', neuron:act1.0]"
    )
    (tmp_path / "s.yaml").write_text(text)
    command = ("sweep", tmp_path / "s.yaml", "--out", tmp_path / "out")
    assert_one_error(run_cli(*command), 2, "would be executed", "--run-code", "line 4")
    outcome = run_cli(*command, "--run-code")
    assert outcome.code == 3
    failed, fine = read_sweep(tmp_path / "out").runs
    assert (failed.status, fine.status) == ("failed", "complete")
    assert "not today" in failed.error
    assert "1 of 2 runs failed" in outcome.stderr
    assert_one_error(run_cli("sweep", "--resume", tmp_path / "out"), 2, "would be executed", "--run-code")
    again = run_cli("sweep", "--resume", tmp_path / "out", "--run-code")
    assert "1 of them still to do" in again.stderr
    assert again.code == 3


BAD = [
    ("objective: [neuron:act1.0, 'nuron:3']", 1, ["line 1: objective: nuron:3", "did you mean  neuron?"]),
    ("objective: neuron:act1.0-32", 1, ["act1 has no unit 32", "0 to 31", "line 1"]),
    ("objective:\n  - neuron:act1.0\n  - neuron:akt1.0", 1, ["line 3", "layer of circles", "act1"]),
    ("objective: [classifier:inner, classifier:iner]", 1, ["class named 'iner'", "inner"]),
    ("query: [0, 9]", 1, ["no such query", "query: 9", "0 to 2"]),
    ("query: cat.png", 1, ["The query does not exist", "line 1: query: cat.png"]),
    ("seed: [0, x]", 2, ["seed: x", "an integer"]),
    ("target: [1, p200]", 2, ["target: p200", "p0 to p100"]),
    ("tolerance: [5%, wide]", 2, ["tolerance: wide", "tolerance: 5%"]),
    ("solver: 'auto,pool=0'", 2, ["'pool'"]),
    ("device: abacus", 2, ["device: abacus", "device: cpu"]),
    ("images: [all, some]", 2, ["images: some", "images: first:1000"]),
    ("samples: 0", 2, ["at least 1"]),
    ("seeds: 3", 2, ["no setting 'seeds'", "seed: 3"]),
]


@pytest.mark.parametrize(("text", "code", "words"), BAD)
def test_bad_sweeps_are_refused_before_anything_is_written(tmp_path, text, code, words):
    (tmp_path / "s.yaml").write_text(f"{text}\ngenerator: toy:circles\n")
    outcome = run_cli("sweep", tmp_path / "s.yaml", "--out", tmp_path / "out")
    assert_one_error(outcome, code, str(tmp_path / "s.yaml"), *words)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_lists_and_writes_nothing(tmp_path):
    (tmp_path / "s.yaml").write_text(FILE)
    outcome = run_cli("sweep", tmp_path / "s.yaml", "--out", tmp_path / "out", "--dry-run")
    assert outcome.code == 0
    assert len(outcome.stdout.splitlines()) == 7
    assert "classifier:inner" in outcome.stdout
    assert not (tmp_path / "out").exists()
    listed = json.loads(run_cli("sweep", tmp_path / "s.yaml", "--dry-run", "--json").stdout)
    assert [each["settings"]["query"] for each in listed if "query" in each["settings"]] == ["0", "1", "0", "1"]


def test_an_executor_that_is_none_is_refused(swept):
    command = ("sweep", swept[0] / "units.yaml", "--out", swept[0] / "out", "--executor")
    assert_one_error(run_cli(*command, "proceses"), 1, "did you mean  processes?")
    assert_one_error(run_cli(*command, "processes,workers=0"), 2, "'workers'")


@pytest.mark.parametrize("words", [(), ("s.yaml", "--resume", "x"), ("--resume", "x", "--out", "y")])
def test_arguments_that_do_not_go_together(words):
    assert_one_error(run_cli("sweep", *words), 2, "equidiff sweep" if not words else "--resume")


def test_the_table_of_a_stranger_cannot_lead_out_of_its_folder(copy):
    table = copy / "out" / "sweep.json"
    for bad in ("../../etc", "/etc", "..", "a/b", ""):
        values = json.loads((copy / "out" / "sweep.json").read_text())
        values["runs"][0]["name"] = bad
        table.write_text(json.dumps(values))
        assert_one_error(run_cli("sweep", "--resume", copy / "out"), 1, "cannot be read", "runs.0.name")


MEAN = """
def mean(samples):
    return samples.flatten(1).mean(dim=1, keepdim=True)
"""


def test_runs_of_images_have_the_picture_that_equidiff_run_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "probe.py").write_text(MEAN)
    (tmp_path / "s.yaml").write_text(
        "generator: pixels:4\nobjective: custom:./probe.py:mean\nsamples: 3\ntarget: [0.5, 7]\nbudget: 8\n"
    )
    assert run_cli("sweep", "s.yaml", "--run-code", "--out", "out").code == 3
    drawn, no_member = sorted((tmp_path / "out" / "runs").iterdir())
    settings = ("-g", "pixels:4", "-o", "custom:./probe.py:mean", "-n", 3, "--target", 0.5, "--budget", 8)
    assert run_cli("run", *settings, "--out", "alone").code == 0
    assert (drawn / "grid.png").read_bytes() == (tmp_path / "alone" / "grid.png").read_bytes()
    assert not (no_member / "grid.png").exists()


def test_damaged_samples_of_complete_runs_are_done_again(copy):
    runs = sorted((copy / "out" / "runs").iterdir())
    before = {file: file.read_bytes() for file in copy.rglob("*") if file.suffix in {".safetensors", ".jsonl"}}
    segment = runs[0] / "tensors" / "00000.safetensors"
    segment.write_bytes(segment.read_bytes()[:-1] + b"!")
    lines = runs[1] / "members.jsonl"
    lines.write_bytes(lines.read_bytes().split(b"\n")[0] + b"\n")
    listed = run_cli("sweep", copy / "units.yaml", "--out", copy / "out", "--dry-run")
    assert f"{runs[0].name}: Damaged: tensors/00000.safetensors; 2 samples are done again." in listed.stderr
    outcome = run_cli("sweep", "--resume", copy / "out")
    assert outcome.code == 3, outcome.stderr
    assert outcome.stderr.count("Damaged: ") == 2
    assert f"{runs[1].name}: Damaged: one sample has no line, and is done again." in outcome.stderr
    assert "runs      6, 2 of them still to do" in outcome.stderr
    again = {file: file.read_bytes() for file in before}
    for name in (runs[0], runs[1]):
        lines = name / "members.jsonl"
        times = [[{**json.loads(line), "wall_s": 0} for line in each[lines].splitlines()] for each in (before, again)]
        assert times[0] == times[1]
        del before[lines], again[lines]
    assert before == again
    info = read_sweep(copy / "out")
    assert info.counts == {"runs": 6, "complete": 6}
    assert "Damaged" not in run_cli("sweep", "--resume", copy / "out").stderr
