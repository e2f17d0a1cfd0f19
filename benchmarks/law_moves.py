"""Cost and reach of the transitions of `--law conditional` for latents with hundreds of dimensions.

    python benchmarks/law_moves.py

Every state of every chain is kept. The cosine between the latent before the first move and the one after so many says
how much of its start a chain remembers: 1 is all of it, and two latents drawn from the prior have about 0.
"""

import argparse
import time
from typing import final

import torch
from torch.nn.functional import cosine_similarity

import equidiff
from equidiff.builtin.laws.conditional import Conditional
from equidiff.contracts import Coroutine, Equation, Law, ResidualFunction, Step, Transitions


@final
class Traced(Law):
    """Another law, whose states are kept.

    Args:
        law: the law.
    """

    def __init__(self, law: Law) -> None:
        self._law = law
        self.chains: list[list[torch.Tensor]] = []

    def check(self, equation: Equation, dtype: str) -> None:
        """Refuse what the other law refuses."""
        self._law.check(equation, dtype)

    def sample(self, start: Step, residual: ResidualFunction) -> Coroutine[Transitions | None]:
        """Make the other law's transitions."""
        chain: list[torch.Tensor] = []
        self.chains.append(chain)
        coroutine, answer = self._law.sample(start, residual), None
        while True:
            try:
                item = coroutine.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(item, Step):
                chain.append(item.answer.latents.flatten())
            answer = yield item


def main() -> None:
    """Make one run without moves and one with them, and print what they cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator", default="toy")
    parser.add_argument("--objective", default="neuron:17")
    parser.add_argument("--query", type=int, default=3)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--moves", type=int, default=48)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    solved = run(arguments, "solve")
    law = Traced(Conditional(arguments.moves))
    moved = run(arguments, law)
    made, accepted = (sum(getattr(each, name) or 0 for each in moved.records) for name in ("moves", "accepted"))
    cost = [sum(each.evaluations for each in found.records) for found in (solved, moved)]
    print(f"accepted {accepted / made:.0%} of {made} moves; {(cost[1] - cost[0]) / made:.1f} evaluations a move")
    chains = torch.stack([torch.stack(chain) for chain in law.chains if len(chain) == arguments.moves + 1])
    print("moves  cosine with the start  distance from it / sqrt(d)")
    for count in [count for count in (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256) if count <= arguments.moves]:
        away = (chains[:, count] - chains[:, 0]).square().mean(dim=1).sqrt().mean()
        print(f"{count:5}  {cosine_similarity(chains[:, count], chains[:, 0]).mean():21.3f}  {away:26.3f}", flush=True)


def run(arguments: argparse.Namespace, law: str | Law) -> equidiff.InvariantSet:
    """Make a run under a law and print what it cost."""
    started = time.process_time()
    found = equidiff.sample(
        arguments.generator,
        arguments.objective,
        query=arguments.query,
        samples=arguments.samples,
        law=law,
        tolerance=1e-3,
        saved="float",
    )
    norms = [each.latent_norm for each in found.records if each.latent_norm is not None]
    print(
        f"{law if isinstance(law, str) else 'conditional':11}: {len(found)} of {arguments.samples} members, "
        f"{sum(each.evaluations for each in found.records) / arguments.samples:.1f} evaluations a sample, "
        f"{(time.process_time() - started) / arguments.samples:.1f} CPU seconds a sample, "
        f"|z|/sqrt(d) {min(norms):.2f} to {max(norms):.2f}",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
