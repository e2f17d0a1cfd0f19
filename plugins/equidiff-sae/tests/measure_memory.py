"""Memory that one feature of a file takes, in MB; test_memory.py runs this in a process of its own.

python measure_memory.py FOLDER INDEX
"""

import sys
from pathlib import Path

import torch
from equidiff_sae import load_sae
from equidiff_sae.feature import Feature


def peak():
    """Peak memory of this process in MB; `resource` would also count the process that it was forked from."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


torch.set_num_threads(1)
small = torch.nn.Linear(768, 768)
small(
    torch.zeros(800, 768, requires_grad=True)
).sum().backward()  # what torch sets up at first use is not the feature's
before = peak()
feature = Feature(load_sae(sys.argv[1]), int(sys.argv[2]))
tokens = torch.randn(16, 50, 768, generator=torch.Generator().manual_seed(0)).requires_grad_()
reading = feature.read(tokens)
(reading.value + reading.deficit).sum().backward()
assert tokens.grad.isfinite().all()
sys.stdout.write(f"{peak() - before:.1f} {peak():.1f}")
