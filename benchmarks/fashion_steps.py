"""Steps that `lightningdit:fashion` needs: how far its images are from those of a hundred steps, and how good they are.

    python benchmarks/fashion_steps.py
    python benchmarks/fashion_steps.py --count 512 --json steps.json

The same start noise is sampled with each number of steps. `distance` is the root mean square difference from the image
of the most steps, in standard deviations of those images; `sure` the share that the shipped classifier, which was
trained independently of the generator, calls something with a probability above 0.9; `same class` the share that it
calls what it calls the image of the most steps; `Frechet` the distance of normal fits to its features, from images of
the most steps of other noise. The last row is that of the most steps itself, which no number of steps can beat.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from equidiff.contracts import BuildContext, Generator
from equidiff.networks import load_network
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins

COLUMNS = ("steps", "distance", "sure", "same class", "Frechet", "ms/image")
SURE = 0.9


@torch.no_grad()
def main() -> None:
    """Print a line for each number of steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[2, 3, 5, 8, 12, 16, 25, 50, 100])
    parser.add_argument("--generator", default="lightningdit:fashion")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    generator: Generator = build(Plugins(), "generator", arguments.generator, BuildContext()).component
    judge = load_network("fashion", None, BuildContext()).module
    noise, other = (
        torch.randn(arguments.count, *generator.latent_shape, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 2)
    )
    most = max(arguments.steps)
    best, _ = generated(generator, noise, most)
    reference = features(judge, generated(generator, other, most)[0])
    print("  ".join(f"{name:>10}" for name in COLUMNS), flush=True)
    rows = []
    for steps in sorted(arguments.steps):
        images, seconds = generated(generator, noise, steps)
        rows.append({"steps": steps, **compared(judge, images, best, reference), "ms/image": 1000 * seconds})
        print("  ".join(f"{rows[-1][name]:>10.4g}" for name in COLUMNS), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def generated(generator: Generator, noise: Tensor, steps: int) -> tuple[Tensor, float]:
    """Images of this many steps, and the seconds that one takes."""
    started = time.perf_counter()
    images = torch.cat([generator.generate(rows, steps) for rows in noise.split(64)]).clamp(0, 1)
    return images, (time.perf_counter() - started) / len(noise)


def compared(judge: nn.Module, images: Tensor, best: Tensor, reference: Tensor) -> dict[str, float]:
    """Figures of one row."""
    probabilities, those = judge(images).softmax(dim=1), judge(best)
    return {
        "distance": float((images - best).square().mean().sqrt() / best.std()),
        "sure": float((probabilities.amax(dim=1) > SURE).float().mean()),
        "same class": float((probabilities.argmax(dim=1) == those.argmax(dim=1)).float().mean()),
        "Frechet": frechet(features(judge, images), reference),
    }


def features(judge: nn.Module, images: Tensor) -> Tensor:
    """Features of the judge's last layer but one, `[n, 128]`, float64."""
    for name, part in judge.named_children():
        if name == "head":
            break
        images = part(images)
    return images.double()


def frechet(one: Tensor, other: Tensor) -> float:
    """Fréchet distance of normal fits.

    References:
        Dowson and Landau (1982), "The Frechet distance between multivariate normal distributions".
    """
    a, b = one.T.cov(), other.T.cov()
    roots = torch.linalg.eigvals(a @ b).real.clamp(min=0).sqrt().sum()
    return float((one.mean(dim=0) - other.mean(dim=0)).square().sum() + a.trace() + b.trace() - 2 * roots)


if __name__ == "__main__":
    main()
