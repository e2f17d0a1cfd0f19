"""The predictor of a network that has a head for classes."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.contracts import Predictor
from equidiff.networks.network import Network
from equidiff.types import Samples


def predictor_of(network: Network, names: tuple[str, ...] | None = None) -> Predictor | None:
    """The predictor of a network, or None where its outputs are not known to be classes.

    An embedding, as of CLIP, has the shape of logits, so outputs without names count as classes only where the caller
    says so by giving names.

    Args:
        network: the network; it is run once on a grey sample.
        names: a name for each class; the network's own when absent.
    """
    names = names or network.classes
    if names is None:
        return None
    with torch.no_grad():
        output = network.logits(network.probe(1))
    outputs = output.shape[1] if isinstance(output, Tensor) and output.ndim == 2 else 0
    if outputs != len(names) and (outputs, len(names)) != (1, 2):
        return None
    return Predictor(network.name, names, lambda samples: to_probabilities(network.logits(network.prepare(samples))))


def to_probabilities(logits: Tensor) -> Samples:
    """Probabilities of all classes, `[batch, classes]`; a single logit is that of the second of two classes."""
    if logits.shape[1] == 1:
        return torch.cat([-logits, logits], dim=1).sigmoid()
    return logits.softmax(dim=1)
