"""Text of a one-file plugin with executors that carry out calls in this process, with accidents on the way."""

PLUGIN = """
from concurrent.futures import Future

from equidiff.plugin import Descriptor, Options, hookimpl
from pydantic import Field


class Accidents(Options):
    workers: int = Field(2, description="calls at the same time")
    lost: str = Field("", description="numbers of the calls whose worker dies when it is done, 1-3-7")
    deadly: int = Field(-1, description="a sample that ends every worker at once")
    interrupted: int = Field(0, description="number of the call during which the user types Ctrl-C")


@hookimpl
def equidiff_executors():
    return [Descriptor("accidents", "equidiff_file_accidents:build", "For a test.", options=Accidents)]


def build(argument, options, context):
    from equidiff.contracts import Executor
    from equidiff.errors import WorkerLostError

    class InProcess(Executor):
        workers = options.workers
        lost = set(filter(None, options.lost.split("-")))
        calls = 0
        ended = False

        def submit(self, function, /, *args):
            assert not self.ended
            self.calls += 1
            future = Future()
            future.set_running_or_notify_cancel()
            if self.calls == options.interrupted:
                function([(order, indices[:3]) for order, indices in args[0]])
                raise KeyboardInterrupt
            if any(options.deadly in indices for order, indices in args[0]):
                future.set_exception(WorkerLostError("The worker died."))
                return future
            try:
                result = function(*args)
            except Exception as error:
                future.set_exception(error)
                return future
            if str(self.calls) in self.lost:
                future.set_exception(WorkerLostError("The worker died."))
            else:
                future.set_result(result)
            return future

        def shutdown(self, *, wait=True, cancel_futures=False):
            self.ended = True

    return InProcess()
"""
