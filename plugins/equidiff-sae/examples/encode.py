"""Features of the shipped autoencoder that a garment activates."""

import equidiff_sae
from equidiff_sae.tower import load_tower
from equidiff_sae.vision import Vision

from equidiff.builtin.generators.fashion import load_fashion_flow
from equidiff.contracts import BuildContext

sae = equidiff_sae.load_sae("fashion-sae")
vit = Vision(load_tower(sae.config.model, None, BuildContext()), sae.config.hook)
bag = load_fashion_flow(BuildContext(), steps=None, recompute=False).queries()[3]

activations = vit.read(vit.network.prepare_image(bag))[:, vit.prefix :]
features = sae.encode(activations)[0]
strongest = features.mean(dim=0).argsort(descending=True)[:5]
print("on in the bag:", strongest.tolist())
error = (sae.decode(features[None], activations) - activations).square().mean()
print(f"mean squared error {error:.4f} of {activations.var():.4f}")
