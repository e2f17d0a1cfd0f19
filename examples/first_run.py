"""Sample an invariant set in Python, inspect it, save it and load it again."""

import equidiff

found = equidiff.sample(generator="toy", objective="neuron:17", query=3, samples=4)

print(f"{len(found)} of {len(found.records)} samples are members")
print(f"target: {found.target.item():.3f} {found.info.target.unit}")
for record in found.members:
    print(f"sample {record.index}: {record.measurement[0]:.3f} after {record.evaluations:.1f} evaluations")

print(f"members when measured again: {found.contains(found.samples).sum()}")
print(f"members among their negatives: {found.contains(1 - found.samples).sum()}")

folder = found.save("first-run")
again = equidiff.InvariantSet.load(folder)
print(f"loaded again: {len(again)} members, samples of shape {tuple(again.samples.shape)}")
