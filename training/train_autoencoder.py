"""Train the small autoencoder of `lightningdit:fashion`: from Fashion-MNIST to 7x7 positions with 4 channels, and back.

    python training/train_autoencoder.py --minutes 15

The architecture is that of VA-VAE, narrower and with two downsamplings. The loss is the squared and the absolute error
of the image, and a small KL term that pulls the latents towards the standard normal. The learning rate falls to zero
over the time given.

References:
    Rombach et al. (2022), "High-resolution image synthesis with latent diffusion models".
        https://arxiv.org/abs/2112.10752
"""

import argparse
import copy
import time
from pathlib import Path

import fashion_mnist
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from equidiff_lightningdit.autoencoder import published_weights
from safetensors.torch import save_file
from torch import Tensor

WEIGHTS = Path(__file__).parents[1] / "plugins/equidiff-lightningdit/src/equidiff_lightningdit/weights/fashion"
BATCH = 64
KL_WEIGHT = 2e-3
CONFIG = {
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
    "up_block_types": ["AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
    "block_out_channels": [32, 32, 64],
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "scaling_factor": 1.0,
}


def main() -> None:
    """Train for the time given, write the averaged weights and the latent statistics, print the error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    images = fashion_mnist.load("train")[0] * 2 - 1
    model = AutoencoderKL(**CONFIG)
    average = train(model, images, 60 * arguments.minutes)
    save(average, images, arguments.out)


def train(model: AutoencoderKL, images: Tensor, seconds: float) -> AutoencoderKL:
    """Train for `seconds`, print the error now and then, return the exponential average of the weights."""
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-3)
    start, step, running = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 200) * min(1.0, 1.25 * (1 - done) + 1e-3)
        batch = images[torch.randint(len(images), (BATCH,))]
        with torch.autocast("cpu", torch.bfloat16):
            posterior = model.encode(batch).latent_dist
            decoded = model.decode(posterior.sample()).sample.float()
        error = (decoded - batch).square().mean()
        loss = error + 0.2 * (decoded - batch).abs().mean() + KL_WEIGHT * posterior.kl().mean() / (28 * 28)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay = min(0.999, (step + 1) / (step + 10))
        for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
            slow.lerp_(fast.detach(), 1 - decay)
        step += 1
        running += (error.item() - running) * max(0.005, 1 / step)
        if step % 100 == 0:
            rate = step * BATCH / (time.monotonic() - start)
            print(f"step {step}  {done:6.1%}  squared error {running:.5f}  {rate:.0f} images/s", flush=True)
    return average


@torch.no_grad()
def save(model: AutoencoderKL, images: Tensor, folder: Path) -> None:
    """Write weights (float16, published names) and statistics of the latents; print the error on test images."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in published_weights(model).items()}
    save_file(weights, folder / "autoencoder.safetensors")
    latents = torch.cat([model.encode(chunk).latent_dist.sample() for chunk in images[:10_000].split(500)])
    mean, std = (getattr(latents, name)(dim=(0, 2, 3), keepdim=True) for name in ("mean", "std"))
    save_file({"mean": mean.contiguous(), "std": std.contiguous()}, folder / "latents_stats.safetensors")
    test = fashion_mnist.load("test")[0][:2000] * 2 - 1
    error = torch.cat([(model.decode(model.encode(x).latent_dist.mean).sample - x).square() for x in test.split(500)])
    print(f"test images: root mean squared error {error.mean().sqrt() / 2:.4f} in [0, 1]")
    print(f"latents: mean {mean.flatten().tolist()}, std {std.flatten().tolist()}")


if __name__ == "__main__":
    main()
