"""Objects in place of spec strings: sample the invariant set of any differentiable function of an image."""

import torch

import equidiff


class Balance(equidiff.Objective):
    """Centre of mass of an image's brightness: row and column, in pixels."""

    names = ("row", "column")
    unit = "pixels"

    def measure(self, samples: torch.Tensor) -> torch.Tensor:
        """Centres of mass of images `[batch, channels, height, width]`, as `[batch, 2]`."""
        mass = samples.mean(dim=1)
        total = mass.sum(dim=(1, 2)).clamp(min=1.0)
        rows = torch.arange(mass.shape[1], device=mass.device)
        columns = torch.arange(mass.shape[2], device=mass.device)
        row = (mass.sum(dim=2) * rows).sum(dim=1) / total
        column = (mass.sum(dim=1) * columns).sum(dim=1) / total
        return torch.stack([row, column], dim=1)


def main() -> None:
    """Sample garments that balance at the same point as query image 5."""
    found = equidiff.sample("toy", Balance(), "none", query=5, samples=4)
    print("target:", [round(value, 2) for value in found.target.tolist()])
    print("within:", round(found.info.within or 0, 2))
    for record in found.members:
        print(f"sample {record.index}:", [round(value, 2) for value in record.measurement])


if __name__ == "__main__":
    main()
