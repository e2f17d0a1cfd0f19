"""Attribution methods on images whose pixels that matter are known: XAI-TRIS, made anew from the paper.

    python -m benchmarks.tris --small                                    # seconds: smaller data, one seed
    python -m benchmarks.tris --choose                                   # the share of the signal, on seeds 100-102
    python -m benchmarks.tris --json tris.json --plot tris.png           # the table of the documentation
    python -m benchmarks.tris --json tris.json --plot tris.png --seeds   # print and draw what the file has

Clark, Wilming and Haufe (2024), "XAI-TRIS: non-linear image benchmarks to quantify false positive post-hoc attribution
of feature importance", https://arxiv.org/abs/2306.12816: 8 x 8 pixels, four scenarios, three backgrounds (see
benchmarks/tris/data.py), and three networks, the linear one (LLR) in LIN alone. Explained are images of the test set
that the network classifies correctly. The generator of the methods that need one is a Gaussian with the mean and the
covariance of the training images. All settings were fixed on the seeds 100 to 102, before the first run of the seeds 0
to 4.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.tris.data import BACKGROUNDS, COUNT, SCENARIOS, Data, make
from benchmarks.tris.methods import ROWS, importances
from benchmarks.tris.networks import Gaussian, Logits, accuracy, as_tensors, correct, train
from benchmarks.tris.scores import closeness, precision

# of white, correlated and natural backgrounds, by --choose
ALPHAS: dict[str, tuple[float, float, float]] = {
    "LIN": (0.15, 0.025, 0.05),
    "MULT": (0.5, 0.1, 0.3),
    "RIGID": (0.7, 0.3, 0.5),
    "XOR": (0.3, 0.1, 0.1),
}
GRID = (0.01, 0.025, 0.05, 0.1, 0.15, 0.3, 0.5, 0.7, 0.9)
ACCURATE = 0.8  # mean accuracy that the network of four layers reaches with the share of the signal
NETWORKS = ("MLP", "LLR", "CNN")
CHOOSING, SEEDS = (100, 101, 102), (0, 1, 2, 3, 4)
Spread = tuple[float, float | None]
EXPLAINED, TRANSPORTED = 16, 4  # images for each network: of the precision, and of the earth mover's distance


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="2,000 images, one seed, 4 images explained")
    parser.add_argument("--choose", action="store_true", help="print the smallest share of the signal that will do")
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--scenarios", nargs="*", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS, help="0 to 4 by default")
    parser.add_argument("--json", type=Path, help="cells that it has are not done again")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.choose:
        return choose(options.scenarios)
    found = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    count, explained, seeds = (2000, 4, options.seeds[:1]) if options.small else (COUNT, EXPLAINED, options.seeds)
    cells = [
        (name, seed, scenario, background)
        for name in options.networks
        for seed in seeds
        for scenario in options.scenarios
        for background in BACKGROUNDS
        if name != "LLR" or scenario == "LIN"
    ]
    for name, seed, scenario, background in cells:
        key = {"network": name, "seed": seed, "scenario": scenario, "background": background}
        if not any(key.items() <= each.items() for each in found):
            found.append(key | run(name, scenario, background, seed, count, explained))
            if options.json:
                options.json.write_text(json.dumps(found) + "\n")
    for name in NETWORKS:
        table(name, [each for each in found if each["network"] == name])
    if options.plot:
        from benchmarks.tris.drawing import draw

        shown = [each for each in found if each["network"] == options.networks[0]]
        draw(shown, summarize(shown, 0), options.plot)


def divided(scenario: str, background: str, alpha: float, seed: int, count: int) -> tuple[Data, Data, Data]:
    """Images to train on, to validate on and to test on: 90, 5 and 5 of a hundred."""
    data = make(scenario, background, alpha, seed, count)
    first, second = round(0.9 * count), round(0.95 * count)
    return data.part(slice(first)), data.part(slice(first, second)), data.part(slice(second, count))


def choose(scenarios: Sequence[str]) -> None:
    """Print the smallest share of the signal with which the network of four layers is accurate.

    It is found by bisection of the grid on one seed, and raised until the mean over the two others is high enough.
    """
    for scenario in scenarios:
        for background in BACKGROUNDS:
            low, high = 0, len(GRID) - 1
            while low < high:
                middle = (low + high) // 2
                enough = mean_accuracy(scenario, background, GRID[middle], CHOOSING[:1]) >= ACCURATE
                low, high = (low, middle) if enough else (middle + 1, high)
            for alpha in GRID[low:]:
                mean = mean_accuracy(scenario, background, alpha, CHOOSING[1:])
                if mean >= ACCURATE:
                    break
            print(scenario, background, alpha, round(mean, 3), flush=True)


def mean_accuracy(scenario: str, background: str, alpha: float, seeds: Sequence[int]) -> float:
    """Accuracy of the network of four layers on test images, the mean over seeds."""
    accuracies: list[float] = []
    for seed in seeds:
        first, second, third = divided(scenario, background, alpha, seed, COUNT)
        accuracies.append(accuracy(train("MLP", first, second, seed), third))
    return statistics.mean(accuracies)


def run(name: str, scenario: str, background: str, seed: int, count: int, explained: int) -> dict[str, Any]:
    """Accuracy of a network, and the scores of every method, each the mean over images."""
    alpha = ALPHAS[scenario][BACKGROUNDS.index(background)]
    first, second, third = divided(scenario, background, alpha, seed, count)
    generator, model = Gaussian(first), train(name, first, second, seed)
    chosen = correct(model, third).nonzero().flatten()[:explained].numpy()
    data = Data(third.images[chosen], third.labels[chosen], third.truth[chosen])
    scores = {row: score(row, Logits(model), generator, data) for row in ROWS}
    print(f"{name} {seed} {scenario} {background}: accuracy {accuracy(model, third):.3f}", flush=True)
    return {"alpha": alpha, "accuracy": round(accuracy(model, third), 4), "scores": scores}


def score(row: str, objective: Logits, generator: Gaussian, data: Data) -> tuple[float, float] | None:
    """Mean precision and closeness of a method's maps; None if it does not fit the network."""
    images, labels = as_tensors(data)
    maps = importances(row, objective, generator, images, labels)
    if maps is None:
        return None
    pairs = list(zip(maps.double().numpy(), data.truth, strict=True))
    return (
        round(statistics.mean(precision(*pair) for pair in pairs), 4),
        round(statistics.mean(closeness(*pair) for pair in pairs[:TRANSPORTED]), 4),
    )


def summarize(found: list[dict[str, Any]], place: int) -> dict[tuple[str, str, str], Spread | None]:
    """Mean and standard deviation over seeds of a score of one network, by scenario, background and method.

    Args:
        found: what the seeds gave.
        place: 0 for the precision, 1 for the closeness.
    """
    values: dict[tuple[str, str, str], list[float]] = {}
    for each in found:
        for row in ROWS:
            pair = each["scores"][row]
            values.setdefault((each["scenario"], each["background"], row), []).extend([pair[place]] if pair else [])
    return {key: spread(row) for key, row in values.items()}


def spread(values: list[float]) -> Spread | None:
    """Mean and standard deviation, which a single value lacks; None of nothing."""
    if not values:
        return None
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def table(name: str, found: list[dict[str, Any]]) -> None:
    """Print a Markdown table of a network's scores in each scenario: a row for each method."""
    precisions, nearnesses = summarize(found, 0), summarize(found, 1)
    for scenario in dict.fromkeys(each["scenario"] for each in found):
        here = [each for each in found if each["scenario"] == scenario]
        backgrounds = list(dict.fromkeys(each["background"] for each in here))
        heads = [f"{score}, {each}" for score in ("precision", "closeness") for each in backgrounds]
        print(f"\n{name}, {scenario}, seeds {', '.join(sorted({str(each['seed']) for each in here}))}\n")
        print(f"| method | {' | '.join(heads)} |\n{'|---' * (len(heads) + 1)}|")
        for row in ROWS:
            keys = [(scenario, background, row) for background in backgrounds]
            print(f"| {row} | {' | '.join(cell(scores[key]) for scores in (precisions, nearnesses) for key in keys)} |")
        accuracies = [[each["accuracy"] for each in here if each["background"] == place] for place in backgrounds]
        print(f"accuracy: {', '.join(cell(spread(values)) for values in accuracies)}")


def cell(value: Spread | None) -> str:
    """Mean and standard deviation as text."""
    if value is None:
        return "-"
    mean, deviation = value
    return f"{mean:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


if __name__ == "__main__":
    main()
