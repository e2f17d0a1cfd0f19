"""Speed of `equidiff rank` compared with that of the network alone.

    python benchmarks/rank.py --images FOLDER [--model SPEC]

Three things in one process, in turn, several times: the forward pass alone, on images that are decoded already;
decoding and preparing alone, in one thread; and the scan, which does both. Reported are the medians, and which share
of the forward pass's rate the scan reaches. On a busy machine rates vary, and whoever has more threads gets more of it,
so that the processor time is printed too: what the scan needs beyond the other two is its own.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from equidiff.images.read import read_image
from equidiff.rank import Plan, begin

PARTS = ("forward", "decode", "rank")


def main() -> None:
    """Print a line for each round, and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="fashion")
    parser.add_argument("--layer", default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--count", type=int, default=256, help="images of the folder to use")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the forward pass")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, Path(folder))


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """The rounds."""
    images = folder / "images"
    images.mkdir()
    paths = sorted(path for path in arguments.images.rglob("*") if path.is_file())[: arguments.count]
    for number, path in enumerate(paths):
        shutil.copy(path, images / f"{number:05d}{path.suffix}")
    plan = Plan(str(images), arguments.model, arguments.layer, batch=arguments.batch, device=arguments.device)
    units = begin(plan, folder / "first").units
    prepare = units.tap.network.prepare_image
    inputs = torch.cat([prepare(read_image(path)) for path in sorted(images.iterdir())])

    def decode() -> None:
        for path in images.iterdir():
            prepare(read_image(path))

    walls: dict[str, list[float]] = {part: [] for part in PARTS}
    cpus: dict[str, list[float]] = {part: [] for part in PARTS}
    for turn in range(arguments.rounds):
        scan = begin(plan, folder / f"scan{turn}")
        actions = (lambda: forward(units.read_every, inputs, arguments.batch), decode, scan.run)
        for part, action in zip(PARTS, actions, strict=True):
            wall, cpu = seconds(action)
            walls[part].append(wall / len(paths))
            cpus[part].append(cpu / len(paths))
        print(
            f"round {turn}, images/s: " + ", ".join(f"{part} {1 / walls[part][-1]:.1f}" for part in PARTS), flush=True
        )
    wall, cpu = ({part: statistics.median(times[part]) for part in PARTS} for times in (walls, cpus))
    print(f"median of {arguments.rounds} rounds, images/s: " + shown({part: 1 / wall[part] for part in PARTS}))
    print("processor time, ms an image: " + shown({part: 1000 * cpu[part] for part in PARTS}))
    print(f"rank / forward: {wall['forward'] / wall['rank']:.3f} by the clock")
    print(f"(forward + decode) / rank: {(cpu['forward'] + cpu['decode']) / cpu['rank']:.3f} by processor time")


def shown(values: dict[str, float]) -> str:
    """A value for each part."""
    return ", ".join(f"{part} {value:.1f}" for part, value in values.items())


def seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock time and processor time of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


@torch.inference_mode()
def forward(read: Callable[[Tensor], Tensor], inputs: Tensor, batch: int) -> None:
    """The forward pass alone, results brought to the CPU."""
    for part in inputs.split(batch):
        read(part).cpu()


if __name__ == "__main__":
    main()
