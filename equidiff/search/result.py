"""Results of a search: the steps and the end of each sample, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from equidiff.contracts import Answer, Transitions

MEMBER, NOT_CONVERGED, FAILED = "member", "not_converged", "failed"
ROUNDING = 1e-5  # of a sum of losses


@dataclass
class Cost:
    """Passes through generator and objective for one sample.

    One evaluation is a forward and a backward pass; a backward pass costs about two forward ones, so a forward pass
    alone is a third of an evaluation, and a backward pass two thirds.
    """

    forwards: float = 0  # a share of a pass where a block shares it, or where the sampler makes fewer steps
    backwards: float = 0
    unshared: float = 0  # of the forward passes, those paid because its block has fewer than sixteen samples

    @property
    def evaluations(self) -> float:
        """The cost in evaluations."""
        return (self.forwards + 2 * self.backwards) / 3

    @property
    def charged(self) -> float:
        """Evaluations held against the budget, which must not depend on the size of the sample's block."""
        return self.evaluations - self.unshared / 3


@dataclass(frozen=True)
class StepRecord:
    """One iteration of one sample, as written to `steps.jsonl`."""

    index: int
    step: int
    evaluations: float
    loss: float


@dataclass(frozen=True)
class Result:
    """A finished sample.

    Attributes:
        index: of the sample in the run.
        status: "member", "not_converged" or "failed".
        steps: iterations made.
        cost: of these.
        answer: of the last step, one row, on the CPU; of the step nearest to the target where it did not converge;
            None where it failed before its first.
        wall_s: seconds between its start and its end, shared with the samples that ran beside it.
        error: the reason for a failure.
        transitions: of the law; None where it made none.
        banked: number in the bank of the sample that it is, or that its law began at; None for one that was searched.
    """

    index: int
    status: str
    steps: int
    cost: Cost
    answer: Answer | None
    wall_s: float
    error: str | None = None
    transitions: Transitions | None = None
    banked: int | None = None


def fault(answer: Answer | None) -> str | None:
    """The reason for which a sample that ended like this has failed; None where there is none."""
    if answer is None:
        return "the solver made no step"
    values = {
        "loss": answer.loss,
        "measurement": answer.measurements,
        "sample": answer.samples,
        "latent": answer.latents,
    }
    broken = next((f"the {name} is not finite" for name, value in values.items() if not value.isfinite().all()), None)
    parts = answer.loss_unfiltered if answer.loss_filtered is None else answer.loss_unfiltered + answer.loss_filtered
    if broken is None and bool((answer.loss < parts - ROUNDING * parts.abs()).any()):
        return "the penalty is negative, which would make a member of any sample"
    return broken
