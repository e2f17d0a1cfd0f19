"""The report: content of the page, and content that never gets onto it."""

import json
import re
import shlex
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from made_runs import EVIL, data_of, decode_image, made, page_of
from running import assert_one_error, damage_tensors, read_run, read_tensors, run_circles, run_cli

from equidiff.analysis.report.charts import histogram
from equidiff.analysis.report.reproduce import reproduction_command
from equidiff.analysis.report.sort_keys import sort_keys
from equidiff.run.info import read_info
from equidiff.run.invariant_set import InvariantSet


class Page(HTMLParser):
    """Tags of a page, text of each kind of element, and links that lead outside."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.outside, self.texts, self._open = [], [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._open.append(tag)
        for name, value in attributes:
            if name in {"src", "href"} and not value.startswith(("data:", "#")):
                self.outside.append(value)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)


@pytest.fixture(scope="module")
def garments(tmp_path_factory):
    return made(count=2, others=1, started="now").save(tmp_path_factory.mktemp("report") / "run")


def test_report_of_a_run(garments):
    outcome = run_cli("report", garments)
    assert outcome.code == 0, outcome.stderr
    assert outcome.path == garments / "report.html"
    text = outcome.path.read_text()
    page = Page(text)
    assert page.outside == []
    assert page.tags.count("button") >= 2
    assert "@software{equidiff," in text
    assert "lipman2023flow" in text
    assert read_run(garments)["weights"][0]["sha256"] in text
    assert "1 of 3 samples are not members" in text
    assert [member["title"] for member in data_of(text)["members"]] == ["member 0", "member 1"]


def test_report_is_written_to_the_given_file(garments, tmp_path):
    outcome = run_cli("report", garments, "--out", tmp_path / "page.html")
    assert outcome.path == tmp_path / "page.html"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert_one_error(run_cli("report", garments, "--out", tmp_path / "no" / "page.html"), 1, "--out report.html")


def test_the_folder_of_images_is_not_needed(garments, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(garments, copy)
    shutil.rmtree(copy / "images")
    whole, without = (run_cli("report", path).path.read_text() for path in (garments, copy))
    assert data_of(whole) == data_of(without)


def test_report_of_points(tmp_path):
    path = run_circles("-n", 3, "--out", tmp_path / "run").path
    text = run_cli("report", path).path.read_text()
    assert Page(text).tags.count("symbol") == 1
    assert text.count('class="here"') == 4  # three members, and the query
    assert data_of(text)["what"] == "Point"


def test_samples_that_are_not_members_are_counted_but_not_shown():
    found = made(count=3, others=2)
    text = page_of(found)
    assert [member["title"] for member in data_of(text)["members"]] == ["member 0", "member 1", "member 2"]
    assert "2 of 5 samples are not members" in text
    others = text[text.index('id="others"') : text.index('id="reproduce"')]
    assert "not converged" in others
    assert "broke" in others
    assert "<img" not in others
    assert Page(text).tags.count("img") == 4  # three members, and the query


def test_everything_is_escaped():
    found = made(
        specs={kind: f"{kind}:{EVIL}" for kind in ("generator", "objective", "regularizer", "solver")},
        target={"values": [0.5], "names": [EVIL], "unit": EVIL, "source": EVIL},
        options={"samples": 8, "batch": 1, "query": EVIL},
        versions={"equidiff": "0.1.0", EVIL: EVIL},
        weights=[{"name": EVIL, "sha256": EVIL, "revision": EVIL}],
        started=EVIL,
        status=EVIL,
    )
    text = page_of(found, f"runs/{EVIL}", [EVIL])
    harmless = Page(page_of(made()))
    assert Page(text).tags.count("script") == harmless.tags.count("script") == 2
    assert EVIL not in text
    assert data_of(text)["keys"][1]["unit"] == EVIL


def test_numbers_that_members_are_sorted_by():
    found = made(count=3, others=1)
    keys = {key.name: key.values for key in sort_keys(found)}
    assert keys["index"] == [0, 1, 2]
    np.testing.assert_allclose(keys["error"], [0, 0.01, 0.02], atol=1e-6)
    pixels = (found.samples.numpy() * 255).round() / 255
    query = (found.query.numpy() * 255).round() / 255
    far = [np.sqrt(np.mean((each - query[0]) ** 2)) for each in pixels]
    np.testing.assert_allclose(keys["distance"], far, rtol=1e-4)
    apart = [min(np.sqrt(np.mean((a - b) ** 2)) for j, b in enumerate(pixels) if i != j) for i, a in enumerate(pixels)]
    np.testing.assert_allclose(keys["novelty"], apart, rtol=1e-4)


def test_a_query_of_another_size_and_kind_is_compared_all_the_same():
    found = made(count=2, channels=3)
    grey = InvariantSet(found.info, found.records, found.rows, torch.full((1, 1, 20, 30), 0.25))
    keys = {key.name: key.values for key in sort_keys(grey)}
    pixels = (found.samples.numpy() * 255).round() / 255
    far = [np.sqrt(np.mean((each - round(0.25 * 255) / 255) ** 2)) for each in pixels]
    np.testing.assert_allclose(keys["distance"], far, rtol=1e-4)
    assert page_of(grey)


def test_numbers_that_are_not_known_are_absent():
    names = [key.name for key in sort_keys(made(count=1, query=False))]
    assert names == ["index", "value", "error", "norm"]


def test_several_outputs_are_shown_with_their_names():
    target = [float(value) for value in range(40)]
    data = data_of(page_of(made(values=target)))
    names = [name for name, _ in data["members"][0]["facts"]]
    assert names[:2] == ["unit 39", "unit 38"]
    assert "28 more outputs" in names


def test_histogram_counts_every_value_once():
    values = [0.1, 0.2, 0.2, 0.9, 1.0]
    chart = histogram(values, "title", "label", "note", 0.5, (0.4, 0.6))
    counts = [int(text.rpartition(": ")[2]) for *_, text in chart.bars]
    assert sum(counts) == len(values)
    heights = [height for _, _, _, height, _ in chart.bars]
    assert all(abs(h / heights[0] - n / counts[0]) < 0.01 for h, n in zip(heights, counts, strict=True))
    ticks = [(x, float(text)) for x, text in chart.x_ticks]
    (x0, v0), (x1, v1) = ticks[0], ticks[-1]
    assert chart.line == pytest.approx(x0 + (0.5 - v0) / (v1 - v0) * (x1 - x0), abs=0.02)
    assert chart.band[1] == pytest.approx(0.2 / (v1 - v0) * (x1 - x0), abs=0.02)


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [-1e-9, 1e-9], [1e6, 1e6 + 1], [1e-30, 2e-30]])
def test_histogram_of_values_that_hardly_differ(values):
    chart = histogram(values, "title", "label", "note")
    assert sum(int(text.rpartition(": ")[2]) for *_, text in chart.bars) == len(values)
    labels = [text for _, text in chart.x_ticks]
    assert len(set(labels)) == len(labels)


def test_the_command_reproduces_the_run(tmp_path):
    path = run_circles("-n", 3, "--tolerance", 1e-4, "--seed", 5, "--query", 1, "--out", tmp_path / "run").path
    command, note = reproduction_command(read_info(path))
    assert note == ""
    words = shlex.split(command)
    assert words[0] == "equidiff"
    outcome = run_cli(*words[1:], "--out", tmp_path / "again")
    assert outcome.code == 0, outcome.stderr
    one, two = (read_tensors(folder) for folder in (path, outcome.path))
    assert torch.equal(one["latents"], two["latents"])
    for name in ("specs", "options", "target", "tolerance", "budget", "seed", "device", "dtype"):
        assert read_run(outcome.path)[name] == read_run(path)[name]


def test_the_command_survives_a_shell():
    info = made(options={"samples": 4, "batch": 2, "query": "my images/a $HOME; rm.png"}).info
    words = shlex.split(reproduction_command(info)[0])
    assert words[words.index("--query") + 1] == "my images/a $HOME; rm.png"
    target = {"values": [-1.5, 0.1], "names": ["a", "b"], "unit": "activation", "source": "--target"}
    info = made(target=target, versions={"equidiff": "0.1.0", "./a file.py": "a file"}).info
    words = shlex.split(reproduction_command(info)[0])
    assert "--target=-1.5,0.1" in words
    assert words[words.index("--plugin") + 1] == "./a file.py"


def test_objects_made_in_python_have_no_command():
    info = made(specs={"generator": "<a.B>", "objective": "neuron:17", "regularizer": "none", "solver": "auto"}).info
    command, note = reproduction_command(info)
    assert command is None
    assert "&lt;a.B&gt;" in page_of(made(specs=info.specs))
    assert "made in Python" in note
    words, note = reproduction_command(
        made(options={"samples": 4, "batch": 2, "query": "a tensor given in Python"}).info
    )
    assert "--target=0.5" in words
    assert "given in Python" in note


def test_the_angle_that_a_run_recorded_is_a_distance():
    found = made(count=2, others=1)
    for record, angle in zip(found.records, (0.5, 1.5), strict=False):
        object.__setattr__(record, "distance", angle)
    keys = {key.name: key for key in sort_keys(found)}
    assert (keys["distance"].values, keys["distance"].unit) == ([0.5, 1.5], "rad")
    assert keys["pixels"].values == {key.name: key for key in sort_keys(made(count=2, others=1))}["distance"].values


def test_spectra_share_one_scale():
    found = made(count=2, others=1, size=16)
    found.rows["samples"][0] = 0.5  # no power at any frequency but zero
    data = data_of(page_of(found))
    blank, noise = (decode_image(member["spectrum"]) for member in data["members"])
    middle = np.zeros((16, 16), bool)
    middle[8, 8] = True
    assert (blank[~middle] == blank[0, 0]).all()
    assert noise[~middle].astype(float).mean() > blank[0, 0].astype(float).mean()


def test_images_of_a_small_run_are_lossless():
    found = made(count=1, size=8, channels=3)
    text = page_of(found)
    uris = re.findall(r'<img class="visual pixelated" src="([^"]+)" alt="member 0"', text)
    expected = (found.samples[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    assert (decode_image(uris[0]) == expected).all()


def test_256_members_of_256_pixels_are_below_60_megabytes():
    few, more = (len(page_of(detailed(count))) for count in (4, 12))
    each = (more - few) / 8
    assert each > 10e3
    assert few + 252 * each < 60e6


def detailed(count):
    """Members with more detail than photographs: power falls as 1 / frequency, not as 1 / frequency squared."""
    found = made(count=count, size=256, channels=3, others=1)
    frequency = torch.hypot(torch.fft.fftfreq(256)[:, None], torch.fft.fftfreq(256)[None]).clamp(min=1 / 256)
    pink = torch.fft.ifft2(torch.fft.fft2(found.rows["samples"] - 0.5) * frequency.rsqrt()).real
    found.rows["samples"].copy_(0.5 + 0.2 * pink / pink.std())
    return found


# ---- bad input


@pytest.fixture
def broken(tmp_path):
    """A run folder to break."""
    path = run_circles("-n", 2, "--out", tmp_path / "run").path
    return path


def change(path, **values):
    (path / "run.json").write_text(json.dumps(read_run(path) | values))


@pytest.mark.parametrize("command", [("report",)])
def test_runs_that_cannot_be_reported(broken, tmp_path, command):
    assert_one_error(run_cli(*command, tmp_path), 1, "not a run folder")
    change(broken, status="running")
    assert_one_error(run_cli(*command, broken), 1, "not ended", f"equidiff run --resume {broken}")
    change(broken, status="complete", schema_version=4)
    assert_one_error(run_cli(*command, broken), 1, "another version")
    change(broken, schema_version=3)
    damage_tensors(broken)
    assert_one_error(run_cli(*command, broken), 1, "damaged or lost", f"equidiff run --resume {broken}")
    none = run_circles("-n", 1, "--target", 7, "--budget", 1, "--out", tmp_path / "none").path
    assert_one_error(run_cli(*command, none), 1, "no members")


def test_nothing_half_written_when_it_fails(broken, monkeypatch):
    (broken / "report.html").write_text("the old one")
    monkeypatch.setattr("equidiff.analysis.web_page.write_atomically", full)
    assert_one_error(run_cli("report", broken), 1, "No space left")
    assert (broken / "report.html").read_text() == "the old one"


def full(*_):
    raise OSError(28, "No space left on device")
