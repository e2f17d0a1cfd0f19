"""Passes that do not fit into memory are done again in halves; the members stay the same."""

import errno
from pathlib import Path

import pytest
import torch
from analytic import Curved, linear_problem
from running import assert_one_error, read_lines, read_run, run_cli
from torch import Tensor

from equidiff.builtin.solvers.auto import Auto
from equidiff.contracts import Answer, Value
from equidiff.devices import is_out_of_memory
from equidiff.search.batching import BatchReduced, Passes
from equidiff.search.engine import Result, solve

pytestmark = pytest.mark.faults

CPU = "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
ERRORS = {
    "accelerator": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError(CPU),
    "python": MemoryError(),
    "onednn": RuntimeError("could not create a primitive"),
}

PLUGIN = """
import torch
from equidiff.contracts import Generator
from equidiff.plugin import Descriptor, hookimpl

class Narrow(Generator):
    latent_shape = sample_shape = (2,)
    network = "circles"

    def __init__(self, most, passes):
        self.most, self.passes = most, passes

    def generate(self, latents, steps=None):
        self.passes -= 1
        if len(latents) > (self.most if self.passes >= 0 else 0):
            raise ERROR
        return 0.6 * latents

def build(argument, options, context):
    most, _, passes = argument.partition("/")
    return Narrow(int(most), int(passes or 10**9))

@hookimpl
def equidiff_generators():
    return [Descriptor("narrow", f"{__name__}:build", "Fits few rows.", argument="ROWS[/PASSES]")]
"""


class Narrow(Curved):
    """Raises where there are more rows than fit."""

    def __init__(self, size: int, most: int, error: Exception) -> None:
        super().__init__(size)
        self.most, self.error, self.rows = most, error, []

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        self.rows.append(len(latents))
        if len(latents) > self.most:
            raise self.error
        return super().generate(latents)


def solved(problem, batch):
    events = list(solve(problem, Auto(), range(10), seed=3, batch=batch, budget=64, tolerance=0.01))
    results = {event.index: event for event in events if isinstance(event, Result)}
    return [results[index] for index in range(10)], [event for event in events if isinstance(event, BatchReduced)]


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("most", [1, 3, 5])
def test_the_same_members_in_smaller_passes(kind, most):
    narrow = Narrow(12, most, ERRORS[kind])
    found, reduced = solved(linear_problem(generator=narrow), 16)
    expected, untroubled = solved(linear_problem(), most)
    assert untroubled == []
    assert [result.status for result in found] == ["member"] * 10
    for one, other in zip(found, expected, strict=True):
        assert one.steps == other.steps
        torch.testing.assert_close(one.answer.samples, other.answer.samples, atol=1e-4, rtol=0)
    assert all(event.batch == event.rows // 2 for event in reduced)
    assert reduced[-1].batch <= most < reduced[-1].rows
    # what failed once is never tried again
    assert [rows for rows in narrow.rows if rows > most] == [event.rows for event in reduced]


def test_a_failed_pass_alone_is_done_again():
    asked = []

    class Small:
        """An equation of which four rows fit."""

        def value(self, latents: Tensor, steps: int | None) -> Answer:
            asked.append(latents[:, 0].tolist())
            if len(latents) > 4:
                raise ERRORS["cpu"]
            return Answer(latents, latents, latents, latents, latents[:, 0], latents[:, 0], None, latents[:, 0])

    passes = Passes(8)
    answer, failures = passes.compute(Value(torch.arange(12.0)[:, None]), Small())
    assert asked == [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert answer.loss.tolist() == list(range(12))
    assert failures == {}
    assert passes.news == [BatchReduced(8, 4)]
    assert passes.batch == 4


def test_wide_passes_have_sixteen_rows_and_the_same_memory():
    asked = []

    class Small:
        """An equation of which ten rows fit."""

        def value(self, latents: Tensor, steps: int | None) -> Answer:
            asked.append(len(latents))
            if len(latents) > 10:
                raise ERRORS["cpu"]
            return Answer(latents, latents, latents, latents, latents[:, 0], latents[:, 0], None, latents[:, 0])

    passes = Passes(32, 4)
    assert passes.wide is passes.wide  # what it learns of a time limit is kept
    assert (passes.rows, passes.wide.rows, passes.wide.wide.rows) == (4, 16, 16)
    answer, _ = passes.wide.compute(Value(torch.arange(32.0)[:, None]), Small())
    assert answer.loss.tolist() == list(range(32))
    assert asked == [16, 8, 8, 8, 8]
    assert passes.news == [BatchReduced(16, 8)]
    assert (passes.batch, passes.rows, passes.wide.rows) == (8, 4, 8)
    passes.compute(Value(torch.arange(5.0)[:, None]), Small())
    assert asked[5:] == [4, 4]
    assert Passes(32).wide.rows == 32  # where passes have as many rows as there are
    assert Passes(2, 4).wide.rows == 2


@pytest.mark.parametrize("kind", ERRORS)
def test_one_row_that_does_not_fit_is_an_error(kind):
    with pytest.raises(type(ERRORS[kind])):
        solved(linear_problem(generator=Narrow(12, 0, ERRORS[kind])), 4)


def test_another_error_is_not_taken_for_want_of_memory():
    narrow = Narrow(12, 3, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        solved(linear_problem(generator=narrow), 16)
    assert set(narrow.rows) == {16}  # a pass, its rows one by one, and prior samples
    assert not is_out_of_memory(ValueError("out of memory"))
    assert all(map(is_out_of_memory, ERRORS.values()))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.",
        "MKL FFT error: Intel oneMKL DFTI ERROR: Not enough memory to allocate",
        "MPS backend out of memory (MPS allocated: 17.20 GB, other allocations: 704.00 KB, max allowed: 18.13 GB).",
        "Invalid buffer size: 19.45 GB",
        "could not create a memory object",
        "std::bad_alloc",
        "unable to mmap 8 bytes from file </x>: Cannot allocate memory (12)",
    ],
)
def test_texts_of_want_of_memory(text):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(ValueError(text))


def test_what_onednn_cannot_do_is_no_want_of_memory():
    assert not is_out_of_memory(
        RuntimeError("could not create a primitive descriptor for the convolution forward propagation primitive")
    )
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))


@pytest.fixture
def narrow(tmp_path, monkeypatch):
    """Runs the command line with a generator that raises this error."""
    monkeypatch.chdir(tmp_path)

    def run(error, most, *args):
        path = Path(f"narrow_{len(list(tmp_path.glob('*.py')))}.py")
        path.write_text(PLUGIN.replace("ERROR", error))
        what = ("-g", f"narrow:{most}", "-o", "classifier:inner", "--target", "0.7", "--plugin", path)
        return run_cli("run", *what, *args)

    return run


OUT_OF_MEMORY = (
    'torch.OutOfMemoryError("CUDA out of memory.")',
    """RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")""",
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_run_goes_on_in_smaller_passes_and_says_so(narrow, error):
    args = ("-n", "8", "--batch", "8", "--out")
    outcome = narrow(error, 2, *args, "halved")
    assert outcome.code == 0, outcome.stderr
    notes = [line for line in outcome.stderr.splitlines() if "Out of memory" in line]
    # the first pass has rows to spare for others of another kind, so only its end is known beforehand
    assert notes[-1] == "Out of memory with 4 samples in one pass: continuing with 2. Use --batch 2 to start there."
    assert len(notes) == len(set(notes)) == 2
    expected = narrow(error, 10**6, "-n", "8", "--batch", "2", "--out", "small")
    assert "Out of memory" not in expected.stderr
    pairs = [read_lines(path / "members.jsonl") for path in (outcome.path, expected.path)]
    one, other = ({line["index"]: line for line in lines} for lines in pairs)
    assert sorted(one) == sorted(other) == list(range(8))
    for index in one:
        assert one[index]["measurement"] == pytest.approx(other[index]["measurement"], abs=1e-4)
    assert read_run(outcome.path)["status"] == "complete"


def test_the_note_is_yellow(narrow, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    stderr = narrow(OUT_OF_MEMORY[1], 2, "-n", "4", "--batch", "4").stderr
    assert "\x1b[33mOut of memory with 4 samples" in stderr


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_not_even_one_sample_fits(narrow, error):
    outcome = narrow(error, 0, "-n", "4", "--out", "run")
    assert_one_error(outcome, 1, "Not even one sample fits", "memory", "checkpoint", "equidiff doctor -g narrow:0")
    assert not Path("run").exists()


def test_what_was_finished_is_kept_when_memory_runs_out(narrow):
    outcome = narrow(OUT_OF_MEMORY[0], "8/174", "-n", "20", "--batch", "1", "--out", "run")
    assert_one_error(outcome, 1, "Not even one sample fits")
    info = read_run(Path("run"))
    assert info["status"] == "failed"
    finished = len(read_lines(Path("run/members.jsonl")))
    assert 0 < finished < 20
    assert info["counts"]["members"] == finished


def test_another_error_of_a_run_is_no_want_of_memory(narrow):
    outcome = narrow('RuntimeError("wrong size")', 2, "-n", "4", "--out", "run")
    assert outcome.code == 1
    assert outcome.stderr.count("error: ") == 1
    assert "RuntimeError: wrong size" in outcome.stderr
    assert "memory" not in outcome.stderr
    assert not Path("run").exists()
