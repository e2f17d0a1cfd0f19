"""Write the twenty query images: the first two test images of each class, in the order below, twice over.

python training/make_queries.py
"""

from pathlib import Path

import fashion_mnist

from equidiff.images.convert import save_png

# trouser, pullover, dress, bag, coat, sandal, shirt, sneaker, t-shirt, ankle boot
ORDER = (1, 2, 3, 8, 4, 5, 6, 7, 0, 9)
OUT = Path(__file__).parents[1] / "equidiff" / "queries" / "fashion"


def query_positions() -> list[int]:
    """Indices of the queries in the test split, in the order of their file names."""
    labels = fashion_mnist.load("test")[1]
    firsts = [(labels == label).nonzero()[:2, 0].tolist() for label in ORDER]
    return [first[copy] for copy in range(2) for first in firsts]


if __name__ == "__main__":
    images = fashion_mnist.load("test")[0]
    OUT.mkdir(parents=True, exist_ok=True)
    for index, position in enumerate(query_positions()):
        save_png(OUT / f"{index:02d}.png", images[position])
