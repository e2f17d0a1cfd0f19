"""Optimizers that call a function, turned into solvers that yield requests.

An optimizer with a line search calls its objective from deep inside; a solver yields requests. So the optimizer runs in
a thread that sleeps whenever the solver does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from torch import Tensor

from equidiff.contracts import Coroutine, GradientAnswer, ResidualFunction, Step

Ask = Callable[[Tensor], GradientAnswer]


class _Ended(BaseException):
    """Ends the optimizer's thread; no Exception, so that no optimizer catches it."""


def drive(
    optimize: Callable[[Ask], None], residual: ResidualFunction, numbers: itertools.count[int]
) -> Coroutine[bool]:
    """Run an optimizer until a latent is within tolerance (True) or it returns (False).

    Args:
        optimize: is given a function that answers with loss and gradient at latents `[1, *latent_shape]`.
        residual: c(z).
        numbers: of the steps; a step is an evaluation, and stands at the best latent so far.
    """
    asked: SimpleQueue[Tensor | BaseException | None] = SimpleQueue()
    answered: SimpleQueue[GradientAnswer | None] = SimpleQueue()

    def ask(latents: Tensor) -> GradientAnswer:
        asked.put(latents)
        answer = answered.get()
        if answer is None:
            raise _Ended
        return answer

    def work() -> None:
        try:
            optimize(ask)
        except _Ended:
            return
        except BaseException as error:  # told in the solver's own thread
            asked.put(error)
        else:
            asked.put(None)

    thread = Thread(target=work, daemon=True)
    thread.start()
    best: GradientAnswer | None = None
    try:
        while (item := asked.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            answer = yield from residual.gradient(item)
            if best is None or answer.loss.item() < best.loss.item():
                best = answer
            yield Step(next(numbers), best)
            if best.loss.item() < residual.tolerance:
                return True
            answered.put(answer)
        return False
    finally:
        answered.put(None)
        thread.join()
