"""The metrics of `equidiff evaluate` in Python: for a run folder, and for any tensors with the functions behind it."""

import tempfile
from pathlib import Path

import torch

import equidiff
from equidiff.analysis.evaluation import evaluate
from equidiff.metrics import spectrum_slope, vendi_score
from equidiff.registry.manager import Plugins
from equidiff.run.finished import open_finished


def main(folder: Path) -> None:
    """Sample four garments, evaluate them, and compute two of the numbers again."""
    found = equidiff.sample("toy:fashion,steps=2", "neuron:17", query=3, samples=4, tolerance=0.01)
    finished = open_finished(found.save(folder / "run"), Plugins(), ("equidiff", "evaluate"))
    groups = evaluate(finished)["groups"]
    for group, name in (
        ("fidelity", "saved_l2"),
        ("spectral", "slope"),
        ("realism", "percentile"),
        ("diversity", "vendi"),
    ):
        metric = groups[group][name]
        low, high = metric["interval"]
        print(f"{name}: {metric['value']:.3f} ({low:.3f} to {high:.3f}), prior samples {metric['plain']:.3f}")
    print(f"slope again: {spectrum_slope(found.samples).mean():.3f}")
    print(f"Vendi score again, in pixels: {vendi_score(found.samples.flatten(1)):.3f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
