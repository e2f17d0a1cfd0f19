"""Paths inside a set: the great circle they start from, frames that are members, and frames that are not."""

import itertools
import json
import math
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import Curved, Identity, Linear
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from running import assert_one_error, read_lines, run_circles, run_cli
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

import equidiff
from equidiff.analysis.path.frames import FrameSearch, levels, spread
from equidiff.analysis.path.search import find_path, indices_in_words, likely_end
from equidiff.analysis.path.steps import JUMP, Steps
from equidiff.contracts import Generator, Objective
from equidiff.numerics.gaussian import angle_between, slerp


@settings(deadline=None)  # the first call of torch takes long
@given(st.integers(2, 40), st.integers(0, 10_000), st.floats(0, 1))
def test_slerp_turns_evenly_and_changes_length_evenly(size, seed, share):
    one, other = torch.randn(2, size, generator=torch.Generator().manual_seed(seed)).double()
    between = slerp(one, other, share)
    angle = angle_between(one, other)
    assert angle_between(one, between) == pytest.approx(share * angle, abs=1e-6)
    assert angle_between(between, other) == pytest.approx((1 - share) * angle, abs=1e-6)
    assert between.norm().item() == pytest.approx((one.norm() + share * (other.norm() - one.norm())).item())
    assert_close(between, slerp(other, one, 1 - share))


def test_slerp_in_the_plane_is_a_rotation():
    one = torch.tensor([2.0, 0.0], dtype=torch.float64)
    other = 2 * torch.tensor([math.cos(2.1), math.sin(2.1)], dtype=torch.float64)
    for share in (0.0, 0.25, 0.6, 1.0):
        turned = 2 * torch.tensor([math.cos(2.1 * share), math.sin(2.1 * share)], dtype=torch.float64)
        assert_close(slerp(one, other, share), turned)


def test_slerp_between_latents_that_are_nearly_one():
    one = torch.ones(5)
    assert_close(slerp(one, one * 1.5, 0.5), one * 1.25)
    assert_close(slerp(one, one + 1e-7, 0.5), one)


@settings(deadline=None)  # the first call of torch takes long
@given(st.integers(3, 60))
def test_levels_have_every_frame_once_and_between_frames_known_before(frames):
    known = {0, frames - 1}
    for level in levels(frames):
        for frame in level:
            assert frame not in known
            assert min(known) < frame < max(known)
        known |= set(level)
    assert known == set(range(frames))


@settings(deadline=None)  # the first call of torch takes long
@given(st.sets(st.integers(0, 30), min_size=1))
def test_indices_in_words_name_each_index(indices):
    named = set()
    for part in indices_in_words(sorted(indices)).split(", "):
        low, _, high = part.partition(" to ")
        named |= set(range(int(low), int(high or low) + 1))
    assert named == indices


def test_of_many_ranges_the_first_and_the_last_are_named():
    words = indices_in_words(range(0, 200_000, 2))
    assert words.startswith("0, 2, 4")
    assert words.endswith("..., 199998")
    assert len(words) < 100


def test_steps_are_those_of_the_formulas():
    latents, samples = torch.randn(4, 7), torch.randn(4, 1, 3, 3)
    steps = Steps.of(latents, samples)
    for number, (before, after) in enumerate(itertools.pairwise(range(4))):
        cosine = (latents[before] @ latents[after] / latents[before].norm() / latents[after].norm()).item()
        assert steps.angles[number] == pytest.approx(math.acos(cosine), abs=1e-5)
        mean = ((samples[before] - samples[after]) ** 2).mean().item()
        assert steps.images[number] == pytest.approx(mean**0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("images", "ratio", "jumps"),
    [
        ([1.0], 1, []),
        ([1.0, 1.5], 1.5, []),
        ([1.0, 2.5], 2.5, [1]),
        ([1.0, 1.0, 2.0, 4.0], 4, [3]),  # the median of 1, 1 and 2
        ([3.0, 1.0, 1.0, 1.0, 5.0], 5, [0, 4]),
        ([0.0, 0.0, 0.0], 1, []),
    ],
)
def test_a_jump_is_longer_than_the_median_of_the_others(images, ratio, jumps):
    steps = Steps([0.0] * len(images), images)
    assert steps.ratio == pytest.approx(ratio)
    assert steps.jumps == jumps


@given(st.lists(st.floats(0, 5), min_size=2, max_size=40), st.data())
def test_spread_points_begin_and_end_with_the_chain(lengths, data):
    count = data.draw(st.integers(2, len(lengths) + 1))
    chosen = spread(lengths, count)
    assert (len(chosen), chosen[0], chosen[-1]) == (count, 0, len(lengths))
    assert all(before < after for before, after in itertools.pairwise(chosen))


def test_spread_points_lie_at_even_distances():
    assert spread([1] * 12, 5) == [0, 3, 6, 9, 12]
    assert spread([1, 1, 1, 1, 4, 4], 4) == [0, 4, 5, 6]


class Length(Objective):
    """y = |x_0..2|^2, so that the set is curved: a cylinder."""

    names = ("length",)
    unit = "square"

    def measure(self, samples: Tensor) -> Tensor:
        return samples[:, :3].square().sum(dim=1, keepdim=True)


@pytest.fixture(scope="module", params=[Linear(torch.eye(1, 40)), Linear(torch.eye(6, 40)), Length()])
def found(request):
    target = [0.4] * len(request.param.names)
    return equidiff.sample(Curved(40), request.param, "none", target=target, samples=4, tolerance=1e-6)


def test_every_frame_is_a_member_measured_independently(found):
    path = find_path(found._session, found, 0, 3, frames=9)
    assert path.members == list(range(9))
    assert_close(path.rows["latents"][[0, 8]], found.rows["latents"][[0, 3]])
    with torch.no_grad():
        samples = path.rows["latents"] + path.rows["latents"].sin() / 2
    assert_close(path.rows["samples"], samples)
    assert found.contains(samples).all()
    measured = found._session.problem.objective.measure(samples)
    assert (measured - 0.4).norm(dim=1).max() < 1e-3
    # the great circle leaves the set, and the detour is not much longer
    assert sum(loss < 1e-6 for loss in path.straight[0]) < 9
    assert max(path.steps.angles) < 2 * max(path.straight[1].angles)
    assert sum(path.steps.angles) < 1.5 * angle_between(*found.latents[[0, 3]])


def test_both_directions_give_one_path(found):
    forth = find_path(found._session, found, 1, 2, frames=9)
    back = find_path(found._session, found, 2, 1, frames=9)
    assert_close(forth.rows["latents"], back.rows["latents"].flip(0), atol=2e-2, rtol=0)


def test_the_ends_cost_nothing_and_every_attempt_is_counted(found):
    path = find_path(found._session, found, 0, 1, frames=5)
    assert path.records[0].evaluations == path.records[4].evaluations == 0
    assert all(record.forwards >= 1 for record in path.records[1:4])
    assert all(
        record.evaluations == pytest.approx((record.forwards + 2 * record.backwards) / 3, abs=2e-3)
        for record in path.records
    )


def test_a_jump_is_smoothed_where_it_can_be(found):
    """Without smoothing a frame may lie nearer to one neighbour; with it the steps differ less."""
    path = find_path(found._session, found, 0, 3, frames=17)
    angles = path.steps.angles
    assert max(angles) < 1.6 * sum(angles) / len(angles)


def test_frames_that_cannot_be_members_are_marked(found):
    session = replace(found._session, budget=1e-6)  # one evaluation, and no step
    path = find_path(session, found, 0, 3, frames=5)
    assert path.members[0] == 0
    assert path.members[-1] == 4
    assert len(path.members) < 5
    for record in path.records:
        assert (record.status == "member") == (record.loss < 1e-6)
    assert len(path.steps.angles) == len(path.members) - 1


def test_a_set_in_two_pieces_is_crossed_by_a_visible_jump():
    """y = x^2 on the line: members only at -1 and 1, so one step leads from one to the other."""

    class Square(Linear):
        def measure(self, samples):
            return samples.square()

    found = equidiff.sample(Identity(1), Square(torch.ones(1, 1)), "none", target=1.0, samples=8, tolerance=1e-8)
    left = next(record.index for record, x in zip(found.members, found.samples, strict=True) if x < 0)
    right = next(record.index for record, x in zip(found.members, found.samples, strict=True) if x > 0)
    path = find_path(found._session, found, left, right, frames=5)
    assert max(path.steps.images) == pytest.approx(2, abs=1e-3)
    assert len(path.jumps) == 1
    assert path.steps.ratio > 100


class Steep(Generator):
    """x = z, with a first coordinate that changes fast around 0.3: even latents are uneven samples."""

    latent_shape = sample_shape = (4,)

    def generate(self, latents, steps=None):
        fast = 3 * torch.tanh(12 * (latents[:, :1] - 0.3))
        return torch.cat([fast, latents[:, 1:]], dim=1)


class Last(Objective):
    """y = x_3, which the fast coordinate does not change."""

    names = ("last",)
    unit = "coordinate"

    def measure(self, samples: Tensor) -> Tensor:
        return samples[:, 3:]


def sides(found):
    """Indices of a member on each side of the steep place."""
    ordered = sorted(zip(found.members, found.latents, strict=True), key=lambda pair: pair[1][0].item())
    return ordered[0][0].index, ordered[-1][0].index


def test_frames_are_spread_where_the_generator_changes_fast(monkeypatch):
    found = equidiff.sample(Steep(), Last(), "none", target=0.2, samples=8, tolerance=1e-6)
    ends = sides(found)
    path = find_path(found._session, found, *ends, frames=9)
    assert path.members == list(range(9))
    assert found.contains(path.rows["samples"]).all()
    assert [record.index for record in path.records] == list(range(9))
    assert path.jumps == []
    assert path.steps.ratio < JUMP
    monkeypatch.setattr(FrameSearch, "refine", lambda self: None)
    plain = find_path(found._session, found, *ends, frames=9)
    assert plain.steps.ratio > 3
    assert len(plain.jumps) > 0
    assert path.evaluations > plain.evaluations == pytest.approx(sum(each.evaluations for each in plain.records))


def test_the_member_proposed_is_the_one_to_which_the_arc_leaves_the_set_least():
    found = equidiff.sample(Steep(), Length(), "none", target=4.0, samples=8, tolerance=1e-6)
    proposed = likely_end(found._session, found, 0, 1, 9)
    worst = {}
    for end in range(2, 8):
        arc = torch.stack([slerp(found.latents[0], found.latents[end], step / 8) for step in range(9)])
        samples = Steep().generate(arc)
        losses = (Length().measure(samples)[:, 0] - 4).square()
        worst[end] = losses.max().item()
    assert proposed == min(worst, key=worst.get)
    assert worst[proposed] < max(worst.values())


def test_a_run_of_two_members_has_no_other_pair():
    found = equidiff.sample(Steep(), Last(), "none", target=0.2, samples=2, tolerance=1e-6)
    assert likely_end(found._session, found, 0, 1, 9) is None


def test_the_command_says_that_a_path_jumps(tmp_path):
    """The set of y = x_0^2 is two lines, and no path leads from one to the other."""
    probe = tmp_path / "probe.py"
    probe.write_text("def square(points):\n    return points[:, 0] ** 2\n")
    spec = ("-o", f"custom:{probe}:square")
    run = run_cli("run", "-g", "toy:circles", *spec, "--target", 0.25, "-n", 12, "--out", tmp_path / "run").path
    found = equidiff.InvariantSet.load(run)
    places = {record.index: x.item() for record, x in zip(found.members, found.samples[:, 0], strict=True)}
    left, right = min(places, key=places.get), max(places, key=places.get)
    outcome = run_cli("path", run, left, right, *spec)
    assert outcome.code == 0
    written = json.loads((outcome.path / "path.json").read_text())
    samples = load_file(outcome.path / "tensors.safetensors")["samples"]
    crossing = [place for place in range(8) if samples[place, 0] * samples[place + 1, 0] < 0]
    assert written["jumps"] == [{"from": crossing[0], "to": crossing[0] + 1}]
    assert written["jump_ratio"] == JUMP
    assert written["steps"]["largest_ratio"] > JUMP
    assert f"The path jumps from frame {crossing[0]} to frame {crossing[0] + 1}." in outcome.stderr
    assert f"{written['steps']['largest_ratio']:.1f} times the median of the others" in outcome.stderr
    assert f"equidiff path {run} {left} {right} --frames 17" in outcome.stderr
    (proposed,) = re.findall(rf"equidiff path {re.escape(str(run))} {left} (\d+)\n", outcome.stderr)
    assert places[int(proposed)] < 0, "a member on the same line"
    same_side = [index for index, place in places.items() if place < 0 and index != left]
    within = run_cli("path", run, left, same_side[0], *spec)
    assert "jumps" not in within.stderr
    assert json.loads((within.path / "path.json").read_text())["jumps"] == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("path") / "run"
    assert run_circles("--query", 1, "-n", 6, "--tolerance", 1e-5, "--out", path).code == 0
    return path


def test_the_command_writes_a_folder_whose_frames_are_members(run):
    outcome = run_cli("path", run, 1, 4, "--frames", 7)
    assert outcome.code == 0
    assert outcome.path == run / "paths" / "001-004"
    assert "7 of 7 are members" in outcome.stderr
    written = json.loads((outcome.path / "path.json").read_text())
    tensors = load_file(outcome.path / "tensors.safetensors")
    assert equidiff.InvariantSet.load(run).contains(tensors["samples"]).all()
    assert written["counts"] == {"frames": 7, "members": 7, "not_converged": 0, "failed": 0}
    assert [frame["index"] for frame in written["frames"]] == list(range(7))
    assert all(frame["loss"] < written["tolerance"] for frame in written["frames"])
    assert written["steps"]["largest_angle"] == max(written["steps"]["angles"])
    assert written["straight"]["inside"] == sum(loss < 1e-5 for loss in written["straight"]["losses"]) < 7
    assert not list(run.glob("paths/*.part"))
    with Image.open(outcome.path / "path.png") as image:
        assert image.width > 600


def test_json_is_what_is_written_and_a_second_path_replaces_the_first(run):
    first = json.loads(run_cli("path", run, 5, 2, "--frames", 5, "--json").stdout)
    folder = run / "paths" / "005-002"
    assert first == json.loads((folder / "path.json").read_text())
    assert run_cli("path", run, 5, 2, "--frames", 3, "-q").code == 0
    assert len(json.loads((folder / "path.json").read_text())["frames"]) == 3


def test_frames_that_are_not_members_end_with_code_3(run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(run, path)
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | {"budget": 1e-6}))
    outcome = run_cli("path", path, 1, 4, "--frames", 5)
    assert outcome.code == 3
    assert "are members; not " in outcome.stderr
    written = json.loads((outcome.path / "path.json").read_text())
    assert written["counts"]["members"] < 5
    assert all((frame["status"] == "member") == (frame["loss"] < 1e-5) for frame in written["frames"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("3", "3"), 2, ["from one member to another", "3 3"]),
        (("3", "99"), 1, ["Sample 99 is not a member", "no such sample", "0 to 5"]),
        (("3", "4", "--frames", "2"), 2, ["frames"]),
        (("3",), 2, ["SECOND"]),
        (("3", "four"), 2, ["SECOND", "integer"]),
        (("3", "4", "--gif"), 1, ["cannot be animated"]),
    ],
)
def test_bad_ends(arguments, code, words, run):
    assert_one_error(run_cli("path", run, *arguments), code, *words)


def test_a_sample_that_is_not_a_member(run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(run, path)
    lines = read_lines(path / "members.jsonl")
    lines[2]["status"] = "not_converged"
    (path / "members.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert_one_error(run_cli("path", path, 2, 3), 1, "2: not converged", "0 to 1, 3 to 5")


def test_no_run_folder(tmp_path):
    assert_one_error(run_cli("path", tmp_path, 1, 2), 1, "not a run folder")


def test_images_of_garments(tmp_path):
    """Frames, filmstrip and animation: only frames that are members have an image, that of their sample."""
    path = tmp_path / "run"
    assert run_cli("run", "-g", "toy:fashion,steps=2", "--query", 3, "-n", 2, "--seed", 1, "--out", path).code == 0
    outcome = run_cli("path", path, 0, 1, "--frames", 4, "--gif")
    assert outcome.code in {0, 3}
    written = json.loads((outcome.path / "path.json").read_text())
    tensors = load_file(outcome.path / "tensors.safetensors")
    members = [frame for frame in written["frames"] if frame["status"] == "member"]
    assert {frame["image"] for frame in members} == {f"frames/{p.name}" for p in (outcome.path / "frames").iterdir()}
    for frame in members:
        with Image.open(outcome.path / frame["image"]) as image:
            pixels = torch.from_numpy(np.array(image)) / 255
        assert_close(pixels, tensors["samples"][frame["index"], 0].clamp(0, 1), atol=1 / 255, rtol=0)
    with Image.open(outcome.path / "path.gif") as animation:
        assert animation.n_frames == 2 * len(members) - 2
