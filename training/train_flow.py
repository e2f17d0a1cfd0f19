"""Train the generator `toy:fashion`: flow matching on Fashion-MNIST.

    python training/train_flow.py --minutes 90

The network predicts the clean image; the loss is the squared error of the velocity that follows from it. Noise is
paired with images by optimal transport within each draw, which straightens the paths so that few steps suffice.
The learning rate falls to zero over the time given.

References:
    Lipman et al. (2023), "Flow matching for generative modeling". https://arxiv.org/abs/2210.02747
    Tong et al. (2024), "Improving and generalizing flow-based generative models with minibatch optimal transport".
        https://arxiv.org/abs/2302.00482
    Li and He (2025), "Back to basics: let denoising generative models denoise". https://arxiv.org/abs/2511.13720
"""

import argparse
import copy
import time
from pathlib import Path

import fashion_mnist
import torch
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from equidiff.builtin.generators.unet import UNet

OUT = Path(__file__).parents[1] / "equidiff" / "weights" / "fashion_flow.safetensors"
BATCH = 64
DRAW = 4 * BATCH  # pairs are matched within one draw
SMALLEST_GAP = 0.05  # lower bound on 1 - t; without it, the loss of late times would dominate


def main() -> None:
    """Train for the time given, then write the averaged weights in float16."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    images = fashion_mnist.load("train")[0] * 2 - 1
    average = train(UNet().to(memory_format=torch.channels_last), images, 60 * arguments.minutes, arguments.out)
    save(average, arguments.out)


def save(network: UNet, path: Path) -> None:
    """Write the weights in half precision: half the size, and no visible difference."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, path)


def train(network: UNet, images: Tensor, seconds: float, out: Path) -> UNet:
    """Train for `seconds`, print the loss now and then, return the exponential average of the weights."""
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01)
    start, step, running = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / seconds) < 1:
        for noise, clean in matched_pairs(images):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * min(1.0, (step + 1) / 200) * min(1.0, 1.25 * (1 - done) + 1e-3)
            loss = velocity_loss(network, noise, clean)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            decay = min(0.999, (step + 1) / (step + 10))
            for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
                slow.lerp_(fast.detach(), 1 - decay)
            step += 1
            running += (loss.item() - running) * max(0.005, 1 / step)
        if step % 200 < DRAW // BATCH:
            rate = step * BATCH / (time.monotonic() - start)
            print(f"step {step}  {done:6.1%}  loss {running:.4f}  {rate:.0f} images/s", flush=True)
        if step % 2000 < DRAW // BATCH:
            save(average, out)
    return average


def matched_pairs(images: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Draw images and noise, pair them by optimal transport, split into batches."""
    clean = images[torch.randint(len(images), (DRAW,))]
    noise = torch.randn_like(clean)
    _, order = linear_sum_assignment(torch.cdist(noise.flatten(1), clean.flatten(1)).square().numpy())
    clean = clean[torch.from_numpy(order)]
    shuffle = torch.randperm(DRAW)
    return list(zip(noise[shuffle].split(BATCH), clean[shuffle].split(BATCH), strict=True))


def velocity_loss(network: UNet, noise: Tensor, clean: Tensor) -> Tensor:
    """Mean squared error of the velocity `clean - noise`, through the prediction of the clean image."""
    times = torch.sigmoid(torch.randn(len(clean)) - 0.3)
    t = times[:, None, None, None]
    predicted = network(((1 - t) * noise + t * clean).contiguous(memory_format=torch.channels_last), times)
    return ((predicted - clean) / (1 - t).clamp(min=SMALLEST_GAP)).square().mean()


if __name__ == "__main__":
    main()
