"""Synthetic runs: members and other samples, with numbers that a test chooses."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from equidiff.analysis.report.page import render
from equidiff.run.folder import MemoryRows
from equidiff.run.info import RunInfo
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.parts import CalledInfo, count_classes
from equidiff.run.record import Called, Record
from equidiff.search.engine import FAILED, MEMBER, NOT_CONVERGED

EVIL = "<script>alert('x')</script>"


def made_info(values=(0.5,), asked=8, **changes):
    """Content of the run.json of a synthetic run."""
    known = {
        "specs": {"generator": "toy", "objective": "neuron:17", "regularizer": "lowpass", "solver": "auto"},
        "options": {"samples": asked, "batch": 16, "query": "3", "solver": {}},
        "target": {
            "values": values, "names": [f"unit {output}" for output in range(len(values))],
            "unit": "activation", "source": "own query 3",
        },
        "seed": 0, "tolerance": 1e-3, "budget": 128, "device": "cpu", "dtype": "float32",
        "versions": {"equidiff": "0.1.0", "torch": "2"}, "weights": [{"name": "w", "sha256": "0" * 64}],
        "counts": {"asked": asked},
    }  # fmt: skip
    return RunInfo.model_validate(known | changes)


def made(count=6, size=8, channels=1, others=2, values=(0.5,), query=True, classes=(), prior=0, **info):
    """A synthetic run: members, then samples that are not members.

    Member i is called `classes[i % len(classes)]`, and so is prior sample i; the query is called `classes[0]`. Prior
    samples are there if `prior` is not 0.
    """
    random = torch.Generator().manual_seed(0)
    samples = torch.rand(count + others, channels, size, size, generator=random)
    records = []
    for index in range(count + others):
        status = MEMBER if index < count else NOT_CONVERGED if index < count + others - 1 else FAILED
        value = [each + 0.01 * (index % 3) for each in values]
        error = "broke" if status == FAILED else None
        records.append(
            Record(
                index, status, 3, 4.0 + index, 5, 6, 0.1, 1e-4, 6e-5, 4e-5, value, latent_norm=1.0, error=error,
                called=_called(index, classes) if status == MEMBER else None,
            )
        )  # fmt: skip
    counts = {"asked": len(records), "members": count, "not_converged": others - 1, "failed": 1}
    about = {"counts": counts, "wall_s": 1.0, "status": "complete"}
    if classes:
        about["called"] = called_info(records, classes, prior, query)
    if prior:
        about |= {"prior": {"count": prior, "members": 0, "spread": 0.25}, "within": 0.05}
    known = made_info(values, len(records), **about | info)
    rows = MemoryRows({
        "latents": torch.zeros(len(records), 4),
        "samples": samples,
        "measurements": torch.tensor([record.measurement for record in records]),
    })  # fmt: skip
    query_sample = torch.rand(1, channels, size, size, generator=random) if query else None
    return InvariantSet(known, tuple(records), rows, query_sample, prior=made_prior(prior, rows, classes))


def _called(index, classes):
    return Called(index % len(classes), classes[index % len(classes)], 0.75) if classes else None


def called_info(records, classes, prior, query):
    """What a synthetic network calls the samples of a synthetic run."""
    members = [(record.called.index, record.called.name) for record in records if record.called]
    own = {"index": 0, "name": classes[0], "probability": 0.9} if query else None
    others = [(index % len(classes), classes[index % len(classes)]) for index in range(prior)]
    return CalledInfo(
        network="probe", classes=len(classes), query=own, members=count_classes(members), prior=count_classes(others)
    )


def made_prior(count, rows, classes):
    """Prior samples of a synthetic run, none of which is a member."""
    if not count:
        return {}
    random = torch.Generator().manual_seed(1)
    shape, m = rows["samples"].shape[1:], rows["measurements"].shape[1]
    prior = {
        "samples": torch.randint(256, (count, *shape), generator=random, dtype=torch.uint8),
        "measurements": torch.rand(count, m, generator=random),
        "losses": torch.ones(count),
    }
    return prior | ({"classes": torch.arange(count) % len(classes)} if classes else {})


def page_of(found, path="run", cited=()):
    return render(found, Path(path), cited, lambda _done, _state: None)


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def decode_image(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))
