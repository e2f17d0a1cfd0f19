"""The executor `ray`, with a cluster on this machine that starts and ends with the test."""

import os
import signal

import pytest

from equidiff.builtin.executors.descriptors import RayOptions
from equidiff.contracts import BuildContext
from equidiff.errors import UsageError
from equidiff.testing import check_executor

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.faults


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_ray_keeps_the_contract_in_silence(capfd):
    import ray

    from equidiff.builtin.executors.ray import build

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    executor = build(None, RayOptions(workers=2, cpus=0.5), BuildContext())
    try:
        # ray's own would end a run that is terminated without closing it
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
        assert executor.workers == 2
        both = [executor.submit(os.getenv, "OMP_NUM_THREADS") for _ in range(2)]
        assert {future.result(60) for future in both} == {"1"}
        check_executor(executor)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    assert not ray.is_initialized()
    assert capfd.readouterr() == ("", "")


def test_a_cluster_that_is_not_there(monkeypatch):
    import ray

    from equidiff.builtin.executors.ray import build

    def fail(**_):
        raise ConnectionError("Could not find any running Ray instance.\nmore")

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(UsageError, match="no connection to a ray cluster: Could not find any") as caught:
        build(None, RayOptions(address="auto"), BuildContext())
    assert caught.value.given == "auto"
