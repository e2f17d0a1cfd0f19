"""Streams of random numbers: each its own, and the same ones for ever."""

from itertools import product

import pytest
import torch

from equidiff.numerics.attributions import seed_of
from equidiff.numerics.random import Stream, open_stream, prior_latents, prior_samples

CANDIDATES = (Stream.BLOCK_CANDIDATES, Stream.SAMPLE_CANDIDATES)


class Halves:
    """A generator of points."""

    latent_shape = sample_shape = (3,)

    def generate(self, latents, steps=None):
        return latents / 2


def small_keys():
    """The keys of all purposes whose numbers are small; candidates are at least one."""
    for purpose in Stream:
        count, _ = purpose.value
        ranges = [range(6)] * count
        if purpose in CANDIDATES:
            ranges[-1] = range(1, 6)
        for seed, *numbers in product(range(4), *ranges):
            yield purpose, purpose.key(seed, *numbers)


def test_all_streams_are_pairwise_distinct():
    keys = [key for _, key in small_keys()]
    assert len(keys) == len(set(keys)) > 1000
    seeds = {open_stream(*key).initial_seed() for key in keys}
    assert len(seeds) == len(keys)


def test_without_candidates_two_purposes_would_coincide():
    """The one thing that keeps them apart is that nobody asks for no candidates."""
    assert Stream.SAMPLE_CANDIDATES.key(7, 5, 0, 0) == Stream.CONTROL.key(7, 5)


@pytest.mark.parametrize(
    ("purpose", "numbers", "key"),
    [
        (Stream.SAMPLE, (5,), (7, 5)),
        (Stream.BLOCK_CANDIDATES, (5, 1, 3), (7, 5, 1, 3, 1)),
        (Stream.SAMPLE_CANDIDATES, (5, 1, 3), (7, 5, 1, 3, 2)),
        (Stream.CONTROL, (5,), (7, 5, 0, 0, 2)),
        (Stream.REFERENCE, (5,), (7, 5, 0, 0, 3)),
        (Stream.SELECTION, (5,), (7, 5, 0, 0, 4)),
        (Stream.SHOWN, (5,), (7, 5, 0, 0, 5)),
    ],
)
def test_keys_stay_as_they_are(purpose, numbers, key):
    """Every number that was ever printed depends on them."""
    assert purpose.key(7, *numbers) == key
    assert torch.equal(torch.randn(4, generator=purpose.open(7, *numbers)), torch.randn(4, generator=open_stream(*key)))
    with pytest.raises(ValueError, match=f"{purpose.name} counts by {len(numbers)} numbers"):
        purpose.key(7, *numbers, 1)


def test_a_stream_is_the_same_for_ever():
    assert open_stream(7, 5).initial_seed() == 4346648539189822640
    # short keys are padded with zeros, keys of five numbers and more are not
    assert (
        open_stream(7, 5).initial_seed()
        == open_stream(7, 5, 0, 0).initial_seed()
        != open_stream(7, 5, 0, 0, 0).initial_seed()
    )


def test_a_method_has_other_seeds_than_samples():
    """Their keys are the same, but a method's seed is another part of what the key gives."""
    seeds = {seed_of(7, number) for number in range(-1, 50)}
    assert len(seeds) == 51
    assert not seeds & {Stream.SAMPLE.open(7, index).initial_seed() for index in range(51)}


def test_prior_latents_depend_on_purpose_seed_and_index_alone():
    few, many = (prior_latents(Halves(), count, 7, Stream.CONTROL) for count in (3, 9))
    assert torch.equal(few, many[:3])
    assert not torch.equal(few, prior_latents(Halves(), 3, 8, Stream.CONTROL))
    assert not torch.equal(few, prior_latents(Halves(), 3, 7, Stream.REFERENCE))


def test_prior_samples_are_the_generators_own():
    samples = prior_samples(Halves(), 10, 7, "cpu")
    latents = torch.randn(10, 3, generator=torch.Generator().manual_seed(7))
    assert torch.equal(samples, latents / 2)
