"""Train the shipped classifier of points in the plane: is a point inside the unit circle?

python training/train_circles.py
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from equidiff.builtin.generators.circles import sample_points
from equidiff.networks.circles import CirclesNet

OUT = Path(__file__).parents[1] / "equidiff" / "weights" / "circles_mlp.safetensors"
TRAINING, TEST = 1200, 300
STEPS = 1000


def main() -> None:
    """Train on 1,200 points, print the accuracy on 300 others, write the weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    points = sample_points(TRAINING + TEST, torch.Generator().manual_seed(0))
    inner = (points.norm(dim=1) < 1).float()
    network = CirclesNet()
    # strong decay keeps logits within about 8: a saturated probability has no gradient to search along
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=2.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        loss = F.binary_cross_entropy_with_logits(network(points[:TRAINING])[:, 0], inner[:TRAINING])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        right = (network(points[TRAINING:])[:, 0] > 0) == (inner[TRAINING:] > 0)
    print(f"test accuracy {right.double().mean().item():.4f}  loss {loss.item():.4f}")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), OUT)


if __name__ == "__main__":
    main()
