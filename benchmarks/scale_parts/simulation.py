"""64 workers that die, straggle and hang, on the code that divides real runs; their time is simulated."""

import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from equidiff.parallel.dispatch import Dispatcher
from equidiff.parallel.work import Found, Lost, Work
from equidiff.search.blocks import BLOCK
from scale_parts.processes import head, show

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from simulated import Simulated

WORKERS = 64
TROUBLE: dict[str, dict[str, float]] = {
    "none": {},
    "5 % of calls lose their worker": {"dies": 0.05},
    "20 % of calls lose their worker": {"dies": 0.2},
    "10 % of workers take 20 times as long": {"slow": 0.1},
    "1 % of calls never end": {"hangs": 0.01},
    "5 % lost, 10 % slow, 1 % never end": {"dies": 0.05, "slow": 0.1, "hangs": 0.01},
}


def table(samples: int, seeds: Sequence[int]) -> None:
    """Divide a run among simulated workers: a sample takes a second on average.

    The ideal is that of workers which are all busy until the last moment, each at its own speed; workers that hang are
    among them until they do.
    """
    head(
        f"Simulation: {WORKERS} workers, {samples:,} samples of a second each, {len(seeds)} seeds (medians)",
        "trouble", "took", "ideal", "ratio", "worst ratio", "calls", "lost", "samples repeated", "samples lost",
        "twice",
    )  # fmt: skip
    costs = []
    for name, trouble in TROUBLE.items():
        found = [_simulate(samples, seed, trouble) for seed in seeds]
        now, ideal, ratio, calls, lost_calls, repeated, lost, twice, cpu = zip(*found, strict=True)
        middle = statistics.median
        costs += cpu
        show(
            name, f"{middle(now):.0f} s", f"{middle(ideal):.0f} s", f"{middle(ratio):.2f}", f"{max(ratio):.2f}",
            f"{middle(calls):g}", f"{middle(lost_calls):g}", f"{middle(repeated):g}", sum(lost), sum(twice),
        )  # fmt: skip
    print(f"\nThe dispatcher's own CPU: {1e6 * min(costs):.0f} to {1e6 * max(costs):.0f} µs a sample.")


def _find(pieces: Sequence[tuple[object, Sequence[int]]]) -> list[list[tuple[int, int]]]:
    return [[(index, index * index) for index in indices] for _, indices in pieces]


def _simulate(samples: int, seed: int, trouble: dict[str, float]) -> tuple[float, ...]:
    """Time and its ideal, calls that were made and lost, samples that were repeated, lost and found twice, and CPU."""
    executor = Simulated(WORKERS, seed, **trouble)
    dispatcher: Dispatcher[int] = Dispatcher(executor, executor.clock, executor.wait)
    work: Work[int] = Work(_find, "run", range(samples), BLOCK)
    dispatcher.add(work)
    begun = time.process_time()
    events = list(dispatcher)
    cpu = (time.process_time() - begun) / samples
    values = [each for each in events if isinstance(each, Found)]
    if any(each.value != each.index**2 for each in values):
        raise AssertionError("a sample has the value of another")
    found = Counter(each.index for each in values)
    lost = {each.index for each in events if isinstance(each, Lost)} | (set(range(samples)) - found.keys())
    asked = sum(len(indices) for call in executor.calls for _, indices in call)
    ideal = samples / sum(1 / speed for speed in executor.speeds)
    twice = sum(count - 1 for count in found.values())
    return (
        executor.now, ideal, executor.now / ideal, len(executor.calls), executor.deaths, asked - samples, len(lost),
        twice, cpu,
    )  # fmt: skip
