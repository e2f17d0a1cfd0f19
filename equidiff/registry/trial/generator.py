"""A trial of a generator."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from equidiff.contracts.sample_kind import SampleKind
from equidiff.registry.trial.inputs import makes_images, trial_latents
from equidiff.registry.trial.rows import try_rows
from equidiff.registry.trial.subject import Subject
from equidiff.registry.trial.value_range import PLAINLY_OUTSIDE, range_problem

DEAR_S = 1.0  # a generator whose sample takes longer is tried with this one sample only
OPTIONAL = {
    "network": "the name of a network, or None",
    "steps": "a number of sampler steps, or None",
    "kind": "Image(), Point(), Signal(rate=...), Table(...), or None",
}
SIGNATURE = "def generate(self, latents, steps=None):"


def try_generator(subject: Subject) -> list[str]:
    """Call a generator with one latent and with two.

    Returns:
        Sentences for the user, about samples that are plainly not in the range of their kind, as images in [0, 1].

    Raises:
        ContractBreachError: it breaks its contract.
    """
    for attribute in ("latent_shape", "sample_shape"):
        _check_shape(subject, attribute)
    for attribute, kind in (("network", str), ("steps", int), ("kind", SampleKind)):
        _check_optional(subject, attribute, kind)
    shape = tuple(subject.component.sample_shape)
    latents = trial_latents(subject.component, subject.device)

    def generate(rows: Tensor) -> Tensor:
        samples = subject.call("generate", rows, None, write=SIGNATURE)
        return subject.check_tensor(samples, (len(rows), *shape), subject.called("generate", rows))

    started = time.monotonic()
    with torch.no_grad():
        samples = generate(latents[:1])
    if time.monotonic() - started < DEAR_S:
        samples = try_rows(subject, "generate", generate, latents)
    problem = range_problem(samples) if makes_images(subject.component) else None
    if problem is None:
        return _far_outside(subject, samples)
    return [f"{subject.owner} makes images with {problem[0]}, not in [0, 1]; in its generate(), write: {problem[1]}"]


def _far_outside(subject: Subject, samples: Tensor) -> list[str]:
    """A sentence about samples of a kind with a range that are plainly not in it."""
    kind = subject.component.kind
    if kind is None or not kind.bounded or not kind.fits(samples.shape[1:]):
        return []
    outside = float(kind.excess(samples).square().mean().sqrt())
    if not outside > PLAINLY_OUTSIDE:
        return []
    return [
        f"{subject.owner} makes {kind.plural} far outside of their range, by {outside:.2g} (root mean square); scale "
        "them in its generate(), or give its kind other ranges if it has any"
    ]


def _check_shape(subject: Subject, attribute: str) -> None:
    value = getattr(subject.component, attribute, None)
    if isinstance(value, tuple) and value and all(isinstance(side, int) and side > 0 for side in value):
        return
    contract = "a tuple of whole numbers above 0, without the batch axis"
    example = {"latent_shape": "(16,)", "sample_shape": "(1, 28, 28)"}[attribute]
    if isinstance(value, list):
        example = str(tuple(value))
    raise subject.wrong(f"{subject.name}.{attribute}", repr(value), contract, f"self.{attribute} = {example}")


def _check_optional(subject: Subject, attribute: str, kind: type) -> None:
    value = getattr(subject.component, attribute)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return
    contract = OPTIONAL[attribute]
    raise subject.wrong(f"{subject.name}.{attribute}", repr(value), contract, f"self.{attribute} = None")
