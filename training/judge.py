"""Judge a generator of garments with a classifier that is independent of it.

    python training/train_classifier.py --seed 1 --width 40 --epochs 5 --out build/judge.safetensors
    python training/judge.py
    python training/judge.py --generator lightningdit:fashion

Half of the test images are the reference. The same figures are printed for the other half, for the other half with
30 % noise, and for equally many generated images. With `--autoencoder`, an autoencoder of equidiff-lightningdit encodes
and decodes the other half: the result is the best that a generator built on it can achieve.

References:
    Heusel et al. (2017), Frechet distance of normal fits to features. https://arxiv.org/abs/1706.08500
    Binkowski et al. (2018), unbiased kernel distance with a cubic kernel. https://arxiv.org/abs/1801.01401
"""

import argparse
from pathlib import Path

import fashion_mnist
import torch
from safetensors.torch import load_file
from torch import Tensor

from equidiff.contracts import BuildContext, Generator
from equidiff.images.convert import quantized, save_png
from equidiff.networks.fashion import FashionNet
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins

SURE = 0.9


@torch.no_grad()
def main() -> None:
    """Print a line of figures for each set of images; write 100 generated images to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator", default="toy", help="spec, such as lightningdit:fashion,class=8")
    parser.add_argument("--judge", type=Path, default=Path("build/judge.safetensors"))
    parser.add_argument("--autoencoder", type=Path, help="file of an autoencoder of equidiff-lightningdit")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--steps", type=int, nargs="+", default=[None])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", type=Path, default=Path("build/samples.png"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    judge = load_judge(arguments.judge)
    generator = build(Plugins(), "generator", arguments.generator, BuildContext()).component
    images = fashion_mnist.load("test")[0]
    images = images[torch.randperm(len(images))]
    reference, held_out = images[:5000], images[5000 : 5000 + arguments.count]
    print(f"judge's accuracy on the test images: {accuracy(judge):.4f}")
    print(f"{'images':24} {'p > 0.9':>8} {'least, most common class':>26} {'Frechet':>9} {'kernel x 1000':>14}")
    report("held-out real", held_out, reference, judge)
    report("held-out, 30 % noise", 0.7 * held_out + 0.3 * torch.rand_like(held_out), reference, judge)
    if arguments.autoencoder:
        report("held-out, autoencoded", reconstruct(arguments.autoencoder, held_out), reference, judge)
    latents = torch.randn(arguments.count, *generator.latent_shape, generator=torch.Generator().manual_seed(1))
    for steps in arguments.steps:
        generated = generate(generator, latents, steps)
        report(f"generated, {steps or 'default'} steps", generated, reference, judge)
        draw(generated[:100], arguments.picture)


def generate(generator: Generator, latents: Tensor, steps: int | None) -> Tensor:
    """Generated images of all latents, rounded to 8 bits as in PNG files."""
    return quantized(torch.cat([generator.generate(chunk, steps=steps) for chunk in latents.split(100)]))


def reconstruct(path: Path, images: Tensor) -> Tensor:
    """Images encoded and decoded, rounded to 8 bits as in PNG files."""
    from equidiff_lightningdit import load_autoencoder

    autoencoder = load_autoencoder(path)
    latents = [autoencoder.encode(2 * chunk - 1).latent_dist.mean for chunk in images.split(100)]
    return quantized(torch.cat([(autoencoder.decode(chunk).sample + 1) / 2 for chunk in latents]))


def draw(images: Tensor, path: Path) -> None:
    """Write 100 images in ten rows, enlarged three times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tiles = images.reshape(10, 10, 28, 28).permute(0, 2, 1, 3).reshape(1, 280, 280)
    save_png(path, tiles.repeat_interleave(3, 1).repeat_interleave(3, 2))


def load_judge(path: Path) -> FashionNet:
    """The judging classifier; its width follows from the weights."""
    weights = load_file(path)
    judge = FashionNet(width=len(weights["block1.0.0.weight"])).eval()
    judge.load_state_dict(weights)
    return judge


def accuracy(judge: FashionNet) -> float:
    """Share of the test images that the judge classifies correctly."""
    images, labels = fashion_mnist.load("test")
    predicted = torch.cat([judge(chunk).argmax(1) for chunk in images.split(500)])
    return (predicted == labels).double().mean().item()


def report(name: str, images: Tensor, reference: Tensor, judge: FashionNet) -> None:
    """Print the line of a set of images."""
    theirs, ours = features_of(judge, reference), features_of(judge, images)
    probabilities = judge.head(ours.float()).softmax(1)
    share = torch.bincount(probabilities.argmax(1), minlength=10) / len(images)
    sure = (probabilities.amax(1) > SURE).double().mean()
    print(
        f"{name:24} {sure:8.1%} {share.min():12.1%} {share.max():12.1%} "
        f"{frechet(ours, theirs):9.3f} {1000 * kernel(ours, theirs):14.3f}",
        flush=True,
    )


def features_of(judge: FashionNet, images: Tensor) -> Tensor:
    """The judge's features before its head, `[n, features]`, float64."""
    blocks = torch.nn.Sequential(judge.block1, judge.block2, judge.block3, judge.pool)
    return torch.cat([blocks(chunk) for chunk in images.split(500)]).double()


def frechet(first: Tensor, second: Tensor) -> float:
    """Squared Frechet distance between normal fits to two sets of features, `[n, features]`."""
    gap = (first.mean(0) - second.mean(0)).square().sum()
    one, two = first.T.cov(), second.T.cov()
    root = torch.linalg.eigvals(one @ two).real.clamp(min=0).sqrt().sum()
    return (gap + one.trace() + two.trace() - 2 * root).item()


def kernel(first: Tensor, second: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy under the kernel (x.y / d + 1)^3."""

    def mean_kernel(left: Tensor, right: Tensor, same: bool) -> Tensor:
        values = (left @ right.T / left.shape[1] + 1) ** 3
        return (values.sum() - values.trace()) / (len(left) * (len(left) - 1)) if same else values.mean()

    within = mean_kernel(first, first, True) + mean_kernel(second, second, True)
    return (within - 2 * mean_kernel(first, second, False)).item()


if __name__ == "__main__":
    main()
