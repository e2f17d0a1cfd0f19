"""Train the transformer of `lightningdit:fashion`: a small LightningDiT on the latents of Fashion-MNIST.

    python training/train_autoencoder.py --minutes 20
    python training/train_lightningdit.py --minutes 70

Options, initialisation and loss are the published ones: the squared error of the velocity, and one minus its cosine
over channels; times are logit-normal; one label in ten is dropped. The learning rate falls to zero over the time given.

References:
    Yao, Yang, Wang (2025), "Reconstruction vs. generation". https://arxiv.org/abs/2501.01423
"""

import argparse
import copy
import time
from pathlib import Path

import fashion_mnist
import torch
import torch.nn.functional as F
from equidiff_lightningdit import LightningDiT, TransformerConfig, load_autoencoder, load_latent_stats
from equidiff_lightningdit.config import swiglu_size
from safetensors.torch import save_file
from torch import Tensor
from train_autoencoder import WEIGHTS

BATCH = 128
RATE = 1.5e-3
DROPPED = 0.1
WIDTH = 144
CONFIG = TransformerConfig(
    input_size=7,
    patch_size=1,
    in_channels=4,
    hidden_size=WIDTH,
    depth=6,
    num_heads=4,
    num_classes=10,
    mlp_size=swiglu_size(WIDTH),
)


def main() -> None:
    """Train for the time given, then write the averaged weights in float16."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    mean, std, labels = encode(arguments.out)
    model = LightningDiT(CONFIG)
    print(f"{sum(weight.numel() for weight in model.parameters())} parameters", flush=True)
    train(model, (mean, std), labels, 60 * arguments.minutes, arguments.out / "transformer.safetensors")


@torch.no_grad()
def encode(folder: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation of the normalised latents of all training images, mirrored ones too, and labels."""
    autoencoder = load_autoencoder(folder / "autoencoder.safetensors")
    stats = load_latent_stats(folder / "latents_stats.safetensors")
    images, labels = fashion_mnist.load("train")
    posteriors = [autoencoder.encode(2 * chunk - 1).latent_dist for chunk in images.split(500)]
    mean = stats.normalise(torch.cat([posterior.mean for posterior in posteriors]))
    return mean, torch.cat([posterior.std for posterior in posteriors]) / stats.std, labels


def train(model: LightningDiT, latents: tuple[Tensor, Tensor], labels: Tensor, seconds: float, out: Path) -> None:
    """Train for `seconds`, print the loss now and then, write the exponential average of the weights."""
    average = copy.deepcopy(model).requires_grad_(False)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    start, step, running = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 300) * min(1.0, 1.6 * (1 - done) + 1e-3)
        loss = velocity_loss(model, latents, labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        decay = min(0.999, (step + 1) / (step + 10))
        slow = [weight for weight in average.parameters() if weight.shape]
        torch._foreach_lerp_(slow, [weight.detach() for weight in model.parameters()], 1 - decay)
        step += 1
        running += (loss.item() - running) * max(0.005, 1 / step)
        if step % 100 == 0:
            rate = step * BATCH / (time.monotonic() - start)
            print(f"step {step}  {done:6.1%}  loss {running:.4f}  {rate:.0f} images/s", flush=True)
        if step % 1000 == 0:
            save(average, out)
    save(average, out)


def velocity_loss(model: LightningDiT, latents: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
    """Squared error of the velocity `data - noise`, and one minus its cosine over channels."""
    chosen = torch.randint(len(labels), (BATCH,))
    data = latents[0][chosen] + latents[1][chosen] * torch.randn(BATCH, *latents[0].shape[1:])
    label = torch.where(torch.rand(BATCH) < DROPPED, model.null_label, labels[chosen])
    noise, times = torch.randn_like(data), torch.sigmoid(torch.randn(BATCH))
    t = times[:, None, None, None]
    with torch.autocast("cpu", torch.bfloat16):
        velocity = model(t * data + (1 - t) * noise, times, label).float()
    target = data - noise
    return (velocity - target).square().mean() + (1 - F.cosine_similarity(velocity, target, dim=1)).mean()


def save(model: LightningDiT, path: Path) -> None:
    """Write the weights in half precision."""
    save_file({name: value.half().contiguous() for name, value in model.state_dict().items()}, path)


if __name__ == "__main__":
    main()
