"""Train the small Vision Transformer that `sae:INDEX` reads with the generator `toy:fashion`.

python training/train_vit.py --minutes 32
"""

import argparse
import json
import time
from pathlib import Path

import fashion_mnist
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

OUT = Path(__file__).parents[1] / "plugins/equidiff-sae/src/equidiff_sae/weights/fashion-vit"
BATCH = 128
MEAN, STD = 0.286, 0.353  # of the training images
ARCHITECTURE = "vit_tiny_patch16_224"
ARGUMENTS = {
    "img_size": 28,
    "patch_size": 4,
    "in_chans": 1,
    "num_classes": 10,
    "embed_dim": 96,
    "depth": 4,
    "num_heads": 3,
}


def main() -> None:
    """Train for the time given, print the test accuracy, write the weights in float16 in timm's folder layout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    network = timm.create_model(ARCHITECTURE, **ARGUMENTS)
    train(network, 60 * arguments.minutes)
    save(network, arguments.out)
    print(f"test accuracy {accuracy(timm.create_model(f'local-dir:{arguments.out}', pretrained=True)):.4f}")


def train(network: nn.Module, seconds: float) -> None:
    """Train with AdamW, on flipped and shifted images with smoothed labels, for the time given."""
    images, labels = fashion_mnist.load("train")
    decayed = [value for value in network.parameters() if value.ndim == 2]
    others = [value for value in network.parameters() if value.ndim != 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    start, epoch, step = time.monotonic(), 0, 0
    done = 0.0
    while done < 1:
        network.train()
        for batch in torch.randperm(len(images)).split(BATCH):
            done = (time.monotonic() - start) / seconds
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * min(1.0, (step + 1) / 500) * max(1 - done, 1e-3)
            loss = F.cross_entropy(network(augment(images[batch])), labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            step += 1
            if done >= 1:
                break
        epoch += 1
        print(f"epoch {epoch}  {done:4.0%}  loss {loss.item():.3f}  test accuracy {accuracy(network):.4f}", flush=True)


def augment(images: Tensor) -> Tensor:
    """Mirror half of the images, shift all by up to two pixels, normalise."""
    mirrored = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(-1), images)
    down, right = torch.randint(0, 5, (2,)).tolist()
    return normalised(F.pad(mirrored, (2, 2, 2, 2))[..., down : down + 28, right : right + 28])


def normalised(images: Tensor) -> Tensor:
    """Images with the mean and spread that the network expects."""
    return (images - MEAN) / STD


@torch.no_grad()
def accuracy(network: nn.Module) -> float:
    """Share of the 10,000 test images that are classified correctly."""
    images, labels = fashion_mnist.load("test")
    network.eval()
    predicted = torch.cat([network(normalised(batch)).argmax(1) for batch in images.split(500)])
    return (predicted == labels).double().mean().item()


def save(network: nn.Module, folder: Path) -> None:
    """Write weights in half precision, and the configuration that timm needs to build the network again."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half() for name, value in network.state_dict().items()}, folder / "model.safetensors")
    pretrained = {"input_size": [1, 28, 28], "mean": [MEAN], "std": [STD], "crop_pct": 1.0, "interpolation": "bicubic",
                  "num_classes": 10, "first_conv": "patch_embed.proj", "classifier": "head"}  # fmt: skip
    config = {"architecture": ARCHITECTURE, "model_args": ARGUMENTS, "pretrained_cfg": pretrained}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
