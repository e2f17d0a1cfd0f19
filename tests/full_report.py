"""A report of a synthetic run with everything that other commands add to a folder."""

import json

import torch
from made_runs import EVIL, made
from PIL import Image
from safetensors.torch import save_file

from equidiff.analysis.report import write_report
from equidiff.images.convert import to_image

CLASSES = ("bag", "=HYPERLINK()", EVIL)  # of member i, and of prior sample i: number i modulo 3
COUNT, PRIOR, FRAMES = 12, 9, 4


def made_full():
    """The run itself."""
    return made(count=COUNT, others=2, classes=CLASSES, prior=PRIOR)


def write_full(folder):
    """Write the files of other commands and the report into a folder; the path of the report."""
    found = made_full()
    add_map(folder, found)
    add_path(folder, found)
    (folder / "selections").mkdir()
    chosen = {"by": "novelty", "meaning": EVIL, "features": "pixels", "members": [{"index": 7, "score": 1.25}]}
    (folder / "selections" / "novelty.json").write_text(json.dumps(chosen))
    (folder / "figures").mkdir()
    Image.new("RGBA", (30, 20), (255, 0, 0, 0)).save(folder / "figures" / "logits.png")
    (folder / "figures" / "broken.png").write_bytes(b"no image")
    return write_report(found, folder, folder / "report.html")


def add_map(folder, found):
    """Members in a row from left to right, prior samples below them, and a nearest image of member 2."""
    index = [record.index for record in found.members]
    projected = {
        "space": "probe",
        "explained": [0.5, 0.25],
        "index": index,
        "members": [[float(place), 1.0] for place in range(COUNT)],
        "prior": [[float(place), -1.0] for place in range(PRIOR)],
        "query": [0.0, 0.0],
    }
    names = [f"birds/{EVIL}.png" if each == 2 else None for each in index]
    each = {"index": index, "nearest": names, "neighbour_distance": [0.5] * COUNT}
    (folder / "nearest").mkdir()
    to_image(torch.full((1, 8, 8), 0.25)).save(folder / "nearest" / "00002.png")
    metrics = {"schema_version": 1, "groups": {}, "map": projected, "per_member": each}
    (folder / "metrics.json").write_text(json.dumps(metrics))


def add_path(folder, found):
    """Four frames; the unit stands still, a class and another unit move, and one frame is not a member."""
    path = folder / "paths" / "000-003"
    path.mkdir(parents=True)
    samples = torch.stack([torch.full((1, 8, 8), frame / 4) for frame in range(FRAMES)])
    save_file({"samples": samples}, path / "tensors.safetensors")
    frames = [
        {
            "status": "not_converged" if frame == 2 else "member",
            "measurement": [0.5],
            "called": {"index": 0, "name": CLASSES[frame % 3], "probability": 0.75},
        }
        for frame in range(FRAMES)
    ]
    traces = {
        "classes": {"names": ["bag", EVIL], "values": [[0.25 * frame, 0.1] for frame in range(FRAMES)]},
        "units": {"names": ["unit 4", "unit 5"], "values": [[1.0, float(frame)] for frame in range(FRAMES)]},
    }
    jumps = [{"from": 1, "to": 3}]
    about = {"schema_version": 1, "ends": [0, 3], "frames": frames, "traces": traces, "jumps": jumps}
    (path / "path.json").write_text(json.dumps(about))
