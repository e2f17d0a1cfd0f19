"""The end of a run: the same as from all records, without holding them."""

import math
import statistics
import tracemalloc

import torch
from made_folders import info, record, rows
from PIL import ImageChops

from equidiff.analysis.figures.grid import draw_contact_sheet
from equidiff.run.finished import load_first_members
from equidiff.run.folder import RunFolder, iter_records
from equidiff.run.info import read_info
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
from equidiff.run.summary import Summary
from equidiff.search.engine import MEMBER


def numbers(count):
    """Records with numbers of their own; every fifth is no member, every eleventh has failed."""
    random = torch.rand(count, 4, generator=torch.Generator().manual_seed(0)).tolist()
    for index, (loss, value, norm, outside) in enumerate(random):
        status = "failed" if index % 11 == 10 else "not_converged" if index % 5 == 4 else MEMBER
        known = {} if status == "failed" else {
            "loss_unfiltered": loss, "measurement": [value], "latent_norm": norm, "outside": outside or None,
            "measurement_saved": [value / 2] if index % 2 else None, "moves": index % 3, "accepted": index % 2,
        }  # fmt: skip
        yield Record(index, status, 3, 4.0 + index % 7, 5.0, 6.0, 0.1, **known, error="no" if not known else None)


def test_a_summary_says_what_all_records_say():
    run, records = info(200), list(numbers(200))
    members = [each for each in records if each.status == MEMBER]
    found = Summary.of(run, iter(records))
    target = run.target.values[0]
    assert (found.members, found.others) == (len(members), 200 - len(members))
    assert list(found.evaluations) == [each.evaluations for each in members]
    assert statistics.median(found.evaluations) == statistics.median(each.evaluations for each in members)
    assert list(found.latent_norms) == [each.latent_norm for each in members]
    assert list(found.outside) == [each.outside for each in members]
    assert found.loss == max(each.loss_unfiltered for each in members)
    assert found.deviation == max(abs((each.measurement_saved or each.measurement)[0] - target) for each in members)
    moved = [each for each in members if each.moves]
    assert (found.chains, found.proposed) == (len(moved), sum(each.moves for each in moved))
    assert found.accepted == sum(each.accepted for each in moved)
    reached = [each for each in records if each.measurement]
    nearest = min(reached, key=lambda each: math.dist(each.measurement, run.target.values))
    assert found.nearest == (nearest.measurement, nearest.index)
    assert found.error == "no"


def most_held(file, count, work):
    """Bytes that reading a file of so many records holds at most."""
    (file / "members.jsonl").write_text("".join(each.to_json() + "\n" for each in numbers(count)))
    work(iter_records(file))  # what is made once
    tracemalloc.start()
    try:
        work(iter_records(file))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_summary_holds_no_records(tmp_path):
    run = info(10)
    growth = [
        (most_held(tmp_path, 2000, work) - most_held(tmp_path, 500, work)) / 1500
        for work in (lambda records: Summary.of(run, records), list)
    ]
    assert growth[0] < 50  # three numbers of 8 bytes, in arrays that grow
    assert growth[1] > 500  # the records themselves


def test_the_contact_sheet_of_the_first_members_is_that_of_all(tmp_path):
    folder = RunFolder.create(tmp_path / "run", info(90), torch.full((1, 1, 6, 6), 0.5))
    for index in range(90):
        if index % 9 == 8:
            folder.add_result(record(index, "failed", error="no"), None)
        else:
            folder.add_result(record(index), rows(index % 7, (1, 6, 6)))
    folder.finish("complete", 1.0)
    run = read_info(folder.path)
    first, whole = load_first_members(folder.path, run, 64), InvariantSet.load(folder.path)
    assert [each.index for each in first.records] == [each.index for each in whole.members[:64]]
    assert first.samples.equal(whole.samples[:64])
    summary = Summary.of(run, iter_records(folder.path))
    images = [draw_contact_sheet(first, torch.clone, whole=summary), draw_contact_sheet(whole, torch.clone)]
    assert ImageChops.difference(*images).getbbox() is None
    alone = draw_contact_sheet(first, torch.clone)  # says other numbers
    assert ImageChops.difference(alone, images[0]).getbbox() is not None
