"""The executor `ray`: actors of a ray cluster."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, final

from equidiff.builtin.executors.descriptors import RayOptions
from equidiff.builtin.executors.pool import Pool
from equidiff.builtin.executors.worker import Caller
from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, PluginError, UsageError, WorkerLostError, first_line

# read by ray when it is imported: nothing is sent to its makers, and it says nothing about GPUs that nobody asked for
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"  # after which ray ends a process whose cluster has no head any more
QUICK_S = 2.0  # for an answer of the head


class _Worker:
    """One actor, and its successors where it dies."""

    def __init__(self, ray: Any, make: Callable[[], Any]) -> None:
        self._ray, self._make = ray, make
        self.actor = make()

    def submit(self, function: Callable[..., Any], args: Sequence[Any]) -> Future[Any]:
        call: Future[Any] = Future()
        # not ray's own future: its callbacks run in the thread that all actors need
        threading.Thread(target=self._wait, args=(self.actor.call.remote(function, args), call), daemon=True).start()
        return call

    def _wait(self, reference: Any, call: Future[Any]) -> None:
        try:
            call.set_result(self._ray.get(reference))
        except BaseException as error:  # of the function, or of ray
            call.set_exception(error)

    def cancel(self, call: Future[Any]) -> bool:
        self._ray.kill(self.actor)
        return True

    def explain(self, error: BaseException) -> BaseException:
        if isinstance(error, self._ray.exceptions.RayTaskError):
            return error.cause if isinstance(error.cause, Exception) else EquiDiffError(first_line(error))
        if isinstance(error, self._ray.exceptions.RayError):
            self._ray.kill(self.actor)  # it may only be out of reach
            self.actor = self._make()
            return _unequipped(error) or WorkerLostError(f"A ray worker ended: {_reason(error)}")
        return error


@final
class Ray(Pool):
    """Actors of a ray cluster, of which each holds its share of the resources.

    Args:
        ray: the module, connected to the cluster.
        workers: number of actors.
        cpus: CPU cores of each.
        gpus: GPUs of each.
    """

    def __init__(self, ray: Any, workers: int, cpus: float, gpus: float) -> None:
        self._ray = ray
        actor = ray.remote(num_cpus=cpus, num_gpus=gpus)(Caller)
        self._actors = [_Worker(ray, actor.remote) for _ in range(workers)]
        self._stop = threading.Event()
        super().__init__(self._actors)
        threading.Thread(target=self._watch, args=(ray.get_runtime_context().gcs_address,), daemon=True).start()

    def _watch(self, head: str) -> None:
        """End all calls when the head of the cluster is gone, before ray ends this process for that."""
        patience = float(os.environ.get(PATIENCE, 60.0)) / 2
        heard = time.monotonic()
        while not self._stop.wait(min(1.0, patience / 4)):
            if _answers(head) and self._has_nodes():
                heard = time.monotonic()
            elif time.monotonic() - heard > patience:
                self._stop.set()
                self.fail(_gone(head))

    def _has_nodes(self) -> bool:
        """True where the head says so in time: ray itself waits for an answer until it ends this process."""
        alive: list[bool] = []
        asking = threading.Thread(target=lambda: alive.extend(node["Alive"] for node in self._ray.nodes()), daemon=True)
        asking.start()
        asking.join(QUICK_S)
        return any(alive)

    def end_workers(self) -> None:
        if self._stop.is_set():  # nobody is there who could end them; they end by themselves
            return
        self._stop.set()
        for each in self._actors:
            self._ray.kill(each.actor)
        self._ray.shutdown()  # a cluster that this process started ends with it


def build(argument: str | None, options: RayOptions, context: BuildContext) -> Ray:
    """Connect to a cluster, or start one on this machine."""
    ray = _import_ray()
    _hush(ray, context.verbose)
    gpus = options.gpus if options.gpus is not None else float(context.device.startswith("cuda"))
    try:
        _connect(ray, options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"There is no connection to a ray cluster: {first_line(error)}",
            given=options.address or "a cluster on this machine",
            expected="auto, where `ray start` was called on this machine, or the address of a cluster: HOST:6379",
            hint="RAY_AUTH_MODE=token, if the cluster asks for one; or --executor ray, to start a cluster here",
        ) from error
    workers = options.workers or _room(ray.cluster_resources(), options.cpus, gpus)
    if workers < 1:
        ray.shutdown()
        raise UsageError(
            "The ray cluster has no room for a worker.",
            given=f"cpus={options.cpus:g}, gpus={gpus:g}",
            expected=f"no more than it has: {ray.cluster_resources()}",
        )
    return Ray(ray, workers, options.cpus, gpus)


def _answers(address: str) -> bool:
    """True where a server takes connections."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=QUICK_S).close()
    except OSError:
        return False
    return True


def _gone(head: str) -> PluginError:
    return PluginError(
        "The head of the ray cluster has ended.",
        given=head,
        expected="a head that runs until the run has ended",
        hint="start the cluster again, and continue the run with --resume",
    )


def _import_ray() -> Any:
    os.environ |= {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import ray
        except ImportError as error:
            raise PluginError(
                "The executor ray needs a package that is missing.",
                given=error.name,
                hint="pip install 'equidiff[ray]'",
            ) from error
    return ray


def _hush(ray: Any, verbose: bool) -> None:
    """Keep the terminal free of what ray logs, or let it come on stderr: results are on stdout."""
    logging.getLogger("ray").setLevel(logging.INFO if verbose else logging.CRITICAL + 1)
    worker = ray._private.worker
    show = worker.print_to_stdstream

    def show_on_stderr(data: dict[str, Any], **others: Any) -> None:
        if verbose:
            show({**data, "is_err": True}, **others)

    worker.print_to_stdstream = show_on_stderr


def _connect(ray: Any, options: RayOptions) -> None:
    how: dict[str, Any] = {"logging_level": logging.getLogger("ray").level, "configure_logging": False}
    if options.address is not None:
        how["address"] = options.address
    else:
        cores = options.workers * options.cpus if options.workers else os.cpu_count() or 1
        how |= {"num_cpus": max(1, math.ceil(cores)), "include_dashboard": False}
    with _kept_handlers():
        ray.init(**how)


@contextmanager
def _kept_handlers() -> Iterator[None]:
    """Put signal handlers back: ray's own end the process, and a run is closed and kept where it is terminated."""
    if threading.current_thread() is not threading.main_thread():  # where ray leaves them alone
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _room(resources: dict[str, float], cpus: float, gpus: float) -> int:
    """Number of workers that fit into a cluster."""
    needs = {"CPU": cpus, "GPU": gpus}
    return int(min(resources.get(name, 0.0) // need for name, need in needs.items() if need))


def _reason(error: BaseException) -> str:
    """The line of a long message that says how an actor died."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    return next((line for line in lines if "unexpectedly" in line or "died because" in line), lines[0] if lines else "")


def _unequipped(error: BaseException) -> PluginError | None:
    """The error for nodes on which a package is missing; None where something else is wrong."""
    if "No module named" not in str(error):
        return None
    (line, *_) = [line.strip() for line in str(error).split("\n") if "No module named" in line]
    return PluginError(
        "A node of the ray cluster lacks a package.",
        given=line,
        expected="the same EquiDiff and the same plugins on every node",
        hint="pip install equidiff==VERSION, on each",
    )
