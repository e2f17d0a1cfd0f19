"""`auto`: the default solver. Needs no learning rate.

From a prior sample that is near the target already it takes the shortest step that zeroes the linearised residual,
clipped to a trust region that grows and shrinks with how well the linearisation held, and keeps the latent at a length
that is typical of the prior. Where progress ends, it goes on from another prior sample.

With few residuals the linearisation is their Jacobian, corrected after each step by the change that was seen (Broyden),
so that most steps cost a forward pass alone. With many, a Jacobian would cost more than it gains: then it is
quasi-Newton descent of the loss (L-BFGS) over latents of the start's own length.

Where the sampler can be split (`Generator.split_sampler`), far targets and many residuals are searched for among its
intermediate states: the tail of the sampler is cheap and hardly bent. The state that was found is re-encoded, nearly,
and the search goes on from the sample that its latent really leads to.

A sampler may be made coarse for most of the search: fewer of its steps, which cost less, bring the latent near; the
rest is done with all of them, and only that counts.

References:
    Nocedal and Wright (2006), "Numerical Optimization", chapters 4 (trust regions), 7 (L-BFGS) and 11 (nonlinear
    equations).
"""

from equidiff.builtin.solvers.auto.solver import Auto, build

__all__ = ["Auto", "build"]
