"""Sample an invariant set in Python, look into it, keep it, read it again."""

import equidiff

found = equidiff.sample(generator="toy", objective="neuron:17", query=3, samples=4)

print(f"{len(found)} of {len(found.records)} samples are members")
print(f"target: {found.target.item():.3f} {found.info['target']['unit']}")
for record in found.members:
    print(f"sample {record.index}: {record.measurement[0]:.3f} after {record.evaluations:.1f} evaluations")

print(f"in the set, measured again: {found.contains(found.samples).sum()}")
print(f"of their negatives: {found.contains(1 - found.samples).sum()}")

folder = found.save("first-run")
again = equidiff.InvariantSet.load(folder)
print(f"read again: {len(again)} members, samples of shape {tuple(again.samples.shape)}")
