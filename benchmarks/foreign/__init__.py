"""Generators and networks that nobody here made, and that no default was chosen on, for the comparison of solvers.

The faces need the packages of `docs/how-to/faces.md`. The digits need `ddpm_mnist.safetensors`, which the environment
variable EQUIDIFF_DDPM names, and scikit-learn, whose digits train their classifier.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from equidiff.contracts import BuildContext, Generator, Objective
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from foreign.ddpm import load_digits_generator
from foreign.reader import Output, Reader, train_reader

WEIGHTS = "../shared/bench/ddpm_mnist.safetensors"
NETWORK = "model=tf_efficientnet_lite0"
FACES = {  # an output of an ImageNet network, and a unit in the middle of it
    "face": f"classifier:sunglasses,{NETWORK},output=logit",
    "face-unit": f"neuron:blocks.2.1.conv_pw.17,{NETWORK}",
}
DIGITS = {"digit": [3], "digits": list(range(10))}  # logits


def foreign_generator(name: str) -> Generator:
    """The generator of these names: faces or digits."""
    if name == "faces":
        return build(Plugins(), "generator", "faces", BuildContext()).component
    return load_digits_generator(Path(os.environ.get("EQUIDIFF_DDPM", WEIGHTS)))


def foreign_objective(name: str, context: BuildContext) -> Objective:
    """The objective of a case."""
    if name in FACES:
        return build(Plugins(), "objective", FACES[name], context).component
    return Output(_reader(), DIGITS[name])


@cache
def _reader() -> Reader:
    network, right = train_reader()
    print(f"a classifier of digits: {right:.1%} of those held out are read", flush=True)
    return network
