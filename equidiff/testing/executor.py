"""Checks of the contract of an executor."""

from __future__ import annotations

import os
from concurrent.futures import Future
from typing import Any

from equidiff.contracts import Executor
from equidiff.errors import WorkerLostError
from equidiff.testing.failure import require

CALLS = 3  # for each worker
LONGEST_S = 300.0


def check_executor(executor: Executor) -> None:
    """Check that an executor keeps its contract, and shut it down.

    Its calls must return what the function returns, and raise what it raises. Where its workers are other processes,
    one that dies must cost its own call only, which gets a `WorkerLostError`, and the next calls must find a worker.

    Args:
        executor: the executor to check.

    Raises:
        ContractError: the executor breaks its contract.
    """
    name = type(executor).__name__
    require(isinstance(executor, Executor), f"{name} is not an Executor", "a subclass of equidiff.contracts.Executor")
    workers = executor.workers
    whole = isinstance(workers, int) and not isinstance(workers, bool) and workers >= 1
    require(whole, f"{name}.workers is {workers!r}", "the number of calls at work at the same time")
    require(isinstance(executor.costly, bool), f"{name}.costly is {executor.costly!r}", "True or False")
    # functions that ship with Python: a worker has nothing to load for them
    with executor as entered:
        require(entered is executor, f"{name} as a context gives {entered!r}", "the executor itself")
        _check_results(executor, name)
        _check_error(executor, name)
        if executor.submit(os.getpid).result(LONGEST_S) != os.getpid():
            _check_death(executor, name)
        _check_results(executor, name)
    executor.shutdown()
    try:
        late: Future[Any] | None = executor.submit(pow, 2, 2)
    except Exception:
        late = None
    require(late is None, f"{name} takes calls after its shutdown", "an exception")


def _check_results(executor: Executor, name: str) -> None:
    futures = [executor.submit(pow, number, 2) for number in range(CALLS * executor.workers)]
    for future in futures:
        require(isinstance(future, Future), f"{name}.submit gives a {type(future).__name__}", "a future")
    values = [future.result(LONGEST_S) for future in futures]
    expected = [number**2 for number in range(len(values))]
    require(values == expected, f"{name} gives the results {values}", f"those of the function, {expected}")


def _check_error(executor: Executor, name: str) -> None:
    error = executor.submit(int, "on purpose").exception(LONGEST_S)
    same = isinstance(error, ValueError) and "on purpose" in str(error)
    require(same, f"{name} gives {error!r} for a call that raises", "the exception that the function raised")


def _check_death(executor: Executor, name: str) -> None:
    error = executor.submit(os._exit, 70).exception(LONGEST_S)
    lost = isinstance(error, WorkerLostError)
    require(lost, f"{name} gives {error!r} for a call whose worker died", "a WorkerLostError")
