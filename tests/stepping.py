"""Stepwise samplers against the sampler that they are the steps of."""

import torch


def assert_steps_are_the_sampler(generator, latents, within=1e-5):
    """All steps lead to what `generate` gives; one left out, or a state left where it was, leads elsewhere."""
    sampler = generator.stepwise_sampler()
    last = len(sampler.noise_levels) - 1
    with torch.no_grad():
        expected = generator.generate(latents)
        states = sampler.begin(latents)
        far = sampler.predict(states, last)
        for step in range(last):
            before, states = states, sampler.advance(states, step, None)
        torch.testing.assert_close(sampler.predict(states, last), expected, rtol=0, atol=within)
        assert (sampler.predict(before, last) - expected).abs().max() > 3 * within
        assert (far - expected).abs().max() > 10 * within


def assert_encoding_leads_back(generator, latents, within):
    """The latents of samples, encoded, are those that they came from, within a share of their length."""
    with torch.no_grad():
        found = generator.stepwise_sampler().encode(generator.generate(latents))
    assert float((found - latents).norm() / latents.norm()) < within
    assert float((found - latents.flip(0)).norm() / latents.norm()) > 3 * within
