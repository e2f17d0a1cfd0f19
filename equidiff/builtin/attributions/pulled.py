"""The gradient pulled through the generator: J J^T grad f."""

from __future__ import annotations

import warnings
from typing import final

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from equidiff.contracts import Attribution, BuildContext, Generator, ScalarTarget
from equidiff.errors import InexactInverseError, UnsupportedError, first_line
from equidiff.registry.descriptors import Options
from equidiff.types import Attributions, Latents, Samples


def build(argument: str | None, options: Options, context: BuildContext) -> Pulled:
    """Build `pulled`.

    Raises:
        UnsupportedError: there is no generator to pull the gradient through.
    """
    if context.generator is None:
        raise UnsupportedError("This method pulls gradients through a generator.", expected="a run with a generator")
    return Pulled(context.generator)


@final
class Pulled(Attribution):
    """The gradient, carried to the latent and back: how a sample moves when its latent follows the measurement.

    A gradient in pixels also weighs changes that no sample makes, and pixels that the network only subtracts. With the
    Jacobian J of the generator at the sample's latent, `J^T grad f` is the gradient with respect to the latent, and J
    times that is the sample's first-order change. For a generator `mu + L z` it is the covariance of the samples times
    the gradient: where the network is linear, the covariance of each pixel with the measurement.

    Args:
        generator: of the run.

    References:
        Haufe et al. (2014), "On the interpretation of weight vectors of linear models in multivariate neuroimaging".
            https://doi.org/10.1016/j.neuroimage.2013.10.067
    """

    local = True

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def attribute(self, scalar: ScalarTarget, samples: Samples) -> Attributions:
        """Explain samples whose latents are not known: the generator inverts them."""
        try:
            with torch.no_grad():
                latents = self._generator.invert(samples)
        except InexactInverseError as error:
            latents = error.latents
            warnings.warn(
                "the generator finds latents of some samples only roughly, so their maps are rough", stacklevel=2
            )
        except UnsupportedError as error:
            raise UnsupportedError(
                f"Gradients are pulled through the latent of a sample, and the query's is not known. {error.problem}",
                expected="a generator that inverts samples, or a run with --query prior or --target",
            ) from error
        return self.attribute_at(scalar, samples, latents)

    def attribute_at(self, scalar: ScalarTarget, samples: Samples, latents: Latents) -> Attributions:
        with torch.enable_grad():
            rows = samples.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(scalar(rows).sum(), rows)
            return pull(self._generator, latents, gradient).to(samples)


def pull(generator: Generator, latents: Latents, gradient: Tensor) -> Tensor:
    """J J^T times a gradient, with the generator's Jacobian J at each latent: one vjp and one jvp.

    Args:
        generator: whose Jacobian it is; all of its operations must have second derivatives.
        latents: `[batch, *latent_shape]`.
        gradient: with respect to the samples, `[batch, *sample_shape]`.

    Raises:
        UnsupportedError: an operation of the generator has no second derivative.
    """
    latents = latents.detach().clone().requires_grad_()
    try:
        # the fused kernels of attention have no second derivative
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            samples = generator.generate(latents)
            weights = gradient.detach().to(samples).requires_grad_()
            # linear in `weights`: its derivative by them, along itself, is J J^T times the gradient
            (pulled,) = torch.autograd.grad(samples, latents, weights, create_graph=True)
            (pushed,) = torch.autograd.grad(pulled, weights, pulled.detach())
    except (RuntimeError, NotImplementedError) as error:
        if not any(word in str(error) for word in ("derivative", "differentiate")):
            raise
        raise UnsupportedError(
            f"The gradient cannot be pulled through this generator: {first_line(error)}",
            given=type(generator).__name__,
            expected="operations that have second derivatives",
        ) from error
    return pushed.detach()
