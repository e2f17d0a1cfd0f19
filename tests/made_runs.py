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
from equidiff.run.info import RunInfo
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
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


def made(count=6, size=8, channels=1, others=2, values=(0.5,), query=True, **info):
    """A synthetic run: members, then samples that are not members."""
    random = torch.Generator().manual_seed(0)
    samples = torch.rand(count + others, channels, size, size, generator=random)
    records = []
    for index in range(count + others):
        status = MEMBER if index < count else NOT_CONVERGED if index < count + others - 1 else FAILED
        value = [each + 0.01 * (index % 3) for each in values]
        error = "broke" if status == FAILED else None
        losses = (0.1, 1e-4, 6e-5, 4e-5)
        records.append(Record(index, status, 3, 4.0 + index, 5, 6, *losses, value, value, latent_norm=1.0, error=error))
    counts = {"asked": len(records), "members": count, "not_converged": others - 1, "failed": 1}
    known = made_info(values, len(records), **{"counts": counts, "wall_s": 1.0, "status": "complete"} | info)
    rows = {
        "latents": torch.zeros(len(records), 4),
        "samples": samples,
        "measurements": torch.tensor([record.measurement for record in records]),
    }
    query_sample = torch.rand(1, channels, size, size, generator=random) if query else None
    return InvariantSet(known, tuple(records), rows, query_sample)


def page_of(found, path="run", cited=()):
    return render(found, Path(path), cited, lambda _done, _state: None)


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def decode_image(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))
