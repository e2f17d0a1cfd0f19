"""Rank the units of the shipped network by their response to twenty garments, and sample the set of one of them.

The same on the command line, with a folder of images for GARMENTS:

    equidiff rank --model fashion --images GARMENTS
    equidiff run --objective neuron:51 --query top:GARMENTS
"""

import argparse
from importlib.resources import files
from pathlib import Path

import equidiff
from equidiff.rank import Plan, rank

CLASSES = (1, 2, 3, 8, 4, 5, 6, 7, 0, 9)  # the classes of the first ten query images; the next ten repeat them


def write_garments(folder: Path) -> None:
    """Write the query images that ship with EquiDiff; file names begin with the class."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in (files("equidiff") / "queries" / "fashion").iterdir():
        label = CLASSES[int(image.name.removesuffix(".png")) % 10]
        (folder / f"{label}_{image.name}").write_bytes(image.read_bytes())


def main() -> None:
    """Print the most selective units and those for bags, and sample the invariant set of the first of these."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("rank-example"), help="folder to write to")
    folder = parser.parse_args().folder
    write_garments(folder / "garments")
    ranking = rank(Plan(images=str(folder / "garments"), model="fashion", top=4), folder / "ranking")
    for unit in ranking.best(5):
        strongest = ", ".join(f"{image.label} {image.activation:.2f}" for image in unit.top)
        print(f"unit {unit.index}: {unit.best_class}, selectivity {unit.selectivity:.2f} ({strongest})")
    for unit, value in ranking.for_class("bag", 2):
        print(f"for bags, unit {unit.index}: {value:.2f}")
    unit, _ = ranking.for_class("bag", 1)[0]
    found = equidiff.sample("toy", unit.spec, "none", query=f"top:{folder / 'ranking'}", samples=1)
    print(f"{unit.spec} = {found.target.item():.2f}, as in {Path(found.info.target.source).name}")
    print(f"{len(found)} of 1 samples are members")


if __name__ == "__main__":
    main()
