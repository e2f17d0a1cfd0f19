"""Seconds and memory of LightningDiT's passes: forward, and backward to the start noise, at random weights.

    python benchmarks/lightningdit.py --size XL/1 --batch 1 --steps 2
    python benchmarks/lightningdit.py --size B/1 --steps 2 4 8 16 --checkpoint yes no --plot build/memory.png
    python benchmarks/lightningdit.py --size XL/1 --device cuda --batch 8 16 32 64 --steps 10 25 50 --dtype bfloat16

Each case has a process of its own. One pass is one evaluation for each of its samples. The share is that of the matrix
products' rate in the pass in the rate of one large matrix product, measured in the same process; recomputed products
count as done, and as needed they are not (`useful`). Peak memory is what the allocator of the device
handed out beside the weights; beside it stands what `equidiff doctor` predicts.
"""

import argparse
import itertools
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from equidiff_lightningdit import LightningDiT, LightningDiTGenerator, TransformerConfig
from equidiff_lightningdit.checkpoints import LatentStats
from equidiff_lightningdit.parts import Parts
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto
from equidiff.doctor.memory import SampleSum, predict_pass
from equidiff.search.problem import Problem

MIB = 2**20
COLUMNS = (
    "batch", "steps", "checkpoint", "dtype", "compile", "seconds", "s/sample/step", "TFLOP/s", "share", "useful",
    "peak MiB", "predicted MiB", "weights MiB", "process MiB",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A case to measure."""

    size: str
    device: str
    batch: int
    steps: int
    checkpoint: bool
    dtype: str
    compiled: bool
    threads: int
    rounds: int


def main() -> None:
    """Measure each case, print a table, write JSON and a plot where asked."""
    arguments = parse()
    flags = {"yes": True, "no": False}
    chosen = (arguments.batch, arguments.steps, arguments.checkpoint, arguments.dtype, arguments.compile)
    print("  ".join(f"{name:>13}" for name in COLUMNS), flush=True)
    rows = []
    for batch, steps, checkpoint, dtype, compiled in itertools.product(*chosen):
        case = Case(
            arguments.size, arguments.device, batch, steps, flags[checkpoint], dtype, flags[compiled],
            arguments.threads, arguments.rounds,
        )  # fmt: skip
        with get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(measure, (case,)))
        print("  ".join(f"{show(rows[-1][name]):>13}" for name in COLUMNS), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))
    if arguments.plot:
        draw(rows, arguments.size, arguments.plot)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="XL/1")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, nargs="+", default=[2])
    parser.add_argument("--checkpoint", choices=("yes", "no"), nargs="+", default=["yes"])
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), nargs="+", default=["float32"])
    parser.add_argument("--compile", choices=("yes", "no"), nargs="+", default=["no"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="timed passes after one that is not timed")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


def measure(case: Case) -> dict[str, Any]:
    """Time and memory of one case, in this process."""
    torch.manual_seed(0)
    torch.set_num_threads(case.threads)
    generator = make(case)
    latents = torch.randn(case.batch, *generator.latent_shape, device=case.device)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        generator.generate(latents)
    with FlopCounterMode(display=False) as done:
        evaluate(generator, latents)
    peak = peak_memory(case.device, lambda: evaluate(generator, latents))
    seconds = min(timed(case.device, lambda: evaluate(generator, latents)) for _ in range(case.rounds))
    # the backward pass to the latents costs as much as the forward one: the weights are frozen
    useful = 2 * forward.get_total_flops()
    best = matrix_rate(case)
    problem = Problem(generator, SampleSum(), NoRegularizer(), torch.zeros(1, device=case.device))
    predicted = predict_pass(problem, Auto(), case.batch, case.device)
    return {
        **asdict(case),
        "compile": case.compiled,
        "seconds": seconds,
        "s/sample/step": seconds / case.batch / case.steps,
        "TFLOP/s": done.get_total_flops() / seconds / 1e12,
        "share": done.get_total_flops() / seconds / best,
        "useful": useful / seconds / best,
        "peak MiB": peak / MIB,
        "predicted MiB": predicted.pass_ / MIB,
        "weights MiB": predicted.weights / MIB,
        "process MiB": resident(),
    }


def make(case: Case) -> LightningDiTGenerator:
    """A generator of the published sizes with random weights, none of them zero."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    patch = int(case.size.partition("/")[2])
    config = TransformerConfig.of(case.size, input_size=16 * patch)
    transformer = LightningDiT(config).eval().requires_grad_(False)
    for modulation in (block.adaLN_modulation[1] for block in transformer.blocks):
        torch.nn.init.normal_(modulation.weight, std=0.01)
    torch.nn.init.normal_(transformer.final_layer.linear.weight, std=0.02)
    autoencoder = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4 + ["AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 128, 256, 256, 512],
        layers_per_block=2,
        latent_channels=config.in_channels,
        scaling_factor=1.0,
    )
    ones = torch.ones(1, config.in_channels, 1, 1)
    parts = Parts(transformer, autoencoder.eval().requires_grad_(False), LatentStats(0 * ones, ones), ())
    return LightningDiTGenerator(
        parts, device=case.device, steps=case.steps, recompute=case.checkpoint, compiled=case.compiled, dtype=case.dtype
    )


def evaluate(generator: LightningDiTGenerator, latents: Tensor) -> Tensor:
    """One forward and one backward pass."""
    latents = latents.detach().requires_grad_()
    generator.generate(latents).square().sum().backward()  # the FLOP counter cannot follow torch.autograd.grad
    assert latents.grad is not None
    return latents.grad


def matrix_rate(case: Case) -> float:
    """FLOP/s of one large matrix product."""
    side = 8192 if case.device.startswith("cuda") else 2048
    matrix = torch.randn(side, side, device=case.device, dtype=getattr(torch, case.dtype))
    matrix @ matrix
    return 2 * side**3 / min(timed(case.device, lambda: matrix @ matrix) for _ in range(5))


def timed(device: str, work: Any) -> float:
    """Seconds that a call takes, the device's work included."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def peak_memory(device: str, work: Callable[[], object]) -> int:
    """The most bytes that a call holds at any time beside what was there, as torch's allocators count them."""
    if device.startswith("cuda"):
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(held)


def resident() -> float:
    """The most MiB that this process has had in memory, weights and libraries included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(value: Any) -> str:
    """A number in few digits."""
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else f"{value:.4g}"
        if isinstance(value, float)
        else str(value)
    )


def draw(rows: list[dict[str, Any]], size: str, path: Path) -> None:
    """Peak memory of a pass against sampler steps."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for flag, label in ((True, "each step recomputed (default)"), (False, "checkpoint=false")):
        points = [(row["steps"], row["peak MiB"], row["predicted MiB"]) for row in rows if row["checkpoint"] is flag]
        if points:
            steps, peak, predicted = zip(*points, strict=True)
            (line,) = axes.plot(steps, peak, marker="o", label=label)
            axes.plot(steps, predicted, linestyle=":", color=line.get_color(), label=f"{label}, predicted")
    axes.set(xlabel="sampler steps", ylabel="MiB beside the weights", title=f"LightningDiT-{size}, one pass")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
