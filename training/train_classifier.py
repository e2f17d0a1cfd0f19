"""Train the shipped classifier of Fashion-MNIST, or the independent one that judges the generator.

python training/train_classifier.py
python training/train_classifier.py --seed 1 --width 40 --out build/judge.safetensors
"""

import argparse
from pathlib import Path

import fashion_mnist
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from equidiff.networks.fashion import FashionNet

OUT = Path(__file__).parents[1] / "equidiff" / "weights" / "fashion_classifier.safetensors"
BATCH = 128


def main() -> None:
    """Train, print the test accuracy after each epoch, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    network = FashionNet(arguments.width)
    train(network, arguments.epochs)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), arguments.out)


def train(network: FashionNet, epochs: int) -> None:
    """Train with AdamW and a one-cycle schedule, on flipped and shifted images with smoothed labels."""
    images, labels = fashion_mnist.load("train")
    steps = len(images) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=epochs * steps)
    for epoch in range(epochs):
        network.train()
        for batch in torch.randperm(len(images))[: steps * BATCH].split(BATCH):
            loss = F.cross_entropy(network(augment(images[batch])), labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}  test accuracy {accuracy(network):.4f}", flush=True)


def augment(images: Tensor) -> Tensor:
    """Mirror half of the images; shift all of them by up to two pixels."""
    mirrored = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(-1), images)
    down, right = torch.randint(0, 5, (2,)).tolist()
    return F.pad(mirrored, (2, 2, 2, 2))[..., down : down + 28, right : right + 28]


@torch.no_grad()
def accuracy(network: FashionNet) -> float:
    """Share of the 10,000 test images that are classified correctly."""
    images, labels = fashion_mnist.load("test")
    network.eval()
    predicted = torch.cat([network(batch).argmax(1) for batch in images.split(500)])
    return (predicted == labels).double().mean().item()


if __name__ == "__main__":
    main()
