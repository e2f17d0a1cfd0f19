"""Train the sparse autoencoder that `sae:INDEX` uses with the generator `toy:fashion`.

    python training/train_sae.py --minutes 10

Its inputs are the patches of the training images in the residual stream after the third of four blocks of the
transformer from `training/train_vit.py`. The loss is the reconstruction error and an L1 penalty, with decoder rows of
length one; dead features are reset to tokens that are reconstructed badly. The weights are written in Prisma's layout.
Features are sorted by how much their mean over the patches, which `sae:INDEX` measures, varies from image to image.

References:
    Bricken et al. (2023), "Towards Monosemanticity". https://transformer-circuits.pub/2023/monosemantic-features
"""

import argparse
import json
import time
from collections import OrderedDict
from pathlib import Path

import fashion_mnist
import torch
from equidiff_sae import load_sae
from equidiff_sae.tower import load_tower
from equidiff_sae.vision import Vision
from torch import Tensor, nn

from equidiff.contracts import BuildContext

OUT = Path(__file__).parents[1] / "plugins/equidiff-sae/src/equidiff_sae/weights/fashion-sae"
LAYER, SITE = 2, "hook_resid_post"
EXPANSION = 16
BATCH = 2048
IMAGES = 20_000  # of the training split: 980,000 patches
RESAMPLED = (0.2, 0.35, 0.5)  # shares of the time at which dead features are reset
EPSILON = 1e-5


def main() -> None:
    """Train and write the autoencoder, and print its figures on the test images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--l1", type=float, default=2.5, help="weight of the penalty")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    vision = Vision(load_tower("fashion-vit", None, BuildContext()), f"blocks.{LAYER}.{SITE}")
    tokens = normalised(collect(vision, fashion_mnist.load("train")[0][:IMAGES]).flatten(0, 1))
    weights = train(tokens, 60 * arguments.minutes, arguments.l1)
    test = collect(vision, fashion_mnist.load("test")[0])
    save(weights, arguments, test)
    report(arguments.out, test)


@torch.no_grad()
def collect(vision: Vision, images: Tensor) -> Tensor:
    """Activations at all patches, `[images, patches, width]`."""
    read = (vision.read(vision.network.prepare(batch))[:, vision.prefix :] for batch in images.split(500))
    return torch.cat(list(read))


def normalised(tokens: Tensor) -> Tensor:
    """Tokens after Prisma's "layer_norm": less their mean, divided by their standard deviation."""
    centred = tokens - tokens.mean(dim=-1, keepdim=True)
    return centred / (centred.std(dim=-1, keepdim=True) + EPSILON)


class Weights(nn.Module):
    """Four tensors of a standard autoencoder, under Prisma's names."""

    def __init__(self, tokens: Tensor, features: int) -> None:
        super().__init__()
        width = tokens.shape[1]
        decoder = nn.functional.normalize(torch.randn(features, width), dim=1)
        self.W_enc = nn.Parameter(0.1 * decoder.T.clone())
        self.b_enc = nn.Parameter(torch.zeros(features))
        self.W_dec = nn.Parameter(decoder)
        self.b_dec = nn.Parameter(tokens[:100_000].mean(dim=0))

    def encode(self, tokens: Tensor) -> Tensor:
        """Features of normalised tokens."""
        return ((tokens - self.b_dec) @ self.W_enc + self.b_enc).relu()


def train(tokens: Tensor, seconds: float, penalty: float) -> Weights:
    """Train with Adam; the penalty rises at first, the learning rate falls towards the end of the time given."""
    weights = Weights(tokens, EXPANSION * tokens.shape[1])
    optimizer = torch.optim.Adam(weights.parameters(), lr=2e-3, betas=(0.9, 0.999))
    fired = torch.zeros(len(weights.b_enc))
    start, step, resampled, done = time.monotonic(), 0, 0, 0.0
    while done < 1:
        for batch in torch.randperm(len(tokens)).split(BATCH):
            done = (time.monotonic() - start) / seconds
            if done >= 1:
                break
            optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, 5 * (1 - done) + 1e-2)
            target = tokens[batch]
            features = weights.encode(target)
            error = (features @ weights.W_dec + weights.b_dec - target).square().sum(dim=1)
            sparsity = features.sum(dim=1).mean()
            loss = error.mean() + penalty * min(1.0, 10 * done) * sparsity
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                weights.W_dec.copy_(nn.functional.normalize(weights.W_dec, dim=1))
                fired += (features > 0).float().sum(dim=0)
                if step % 200 == 0:
                    explained = 1 - error.mean() / (target - target.mean(dim=0)).square().sum(dim=1).mean()
                    l0, dead = (features > 0).sum(dim=1).float().mean(), (fired == 0).sum()
                    print(f"{done:5.0%}  step {step}  EV {explained:.3f}  L0 {l0:.1f}  dead {dead}", flush=True)
                if resampled < len(RESAMPLED) and done > RESAMPLED[resampled]:
                    resample(weights, optimizer, fired, target, error)
                    resampled += 1
                    fired.zero_()
            step += 1
    return weights


def resample(weights: Weights, optimizer: torch.optim.Adam, fired: Tensor, tokens: Tensor, error: Tensor) -> None:
    """Reset features that never fired to tokens that are reconstructed badly, and clear their momentum."""
    dead = (fired == 0).nonzero()[:, 0]
    if len(dead) == 0:
        return
    chosen = torch.multinomial(error, len(dead), replacement=True)
    directions = nn.functional.normalize(tokens[chosen] - weights.b_dec, dim=1)
    length = weights.W_enc.norm(dim=0)[fired > 0].mean()
    weights.W_dec[dead], weights.W_enc[:, dead], weights.b_enc[dead] = directions, 0.2 * length * directions.T, 0.0
    for name, rows in (("W_dec", (dead,)), ("W_enc", (slice(None), dead)), ("b_enc", (dead,))):
        for moment in ("exp_avg", "exp_avg_sq"):
            optimizer.state[getattr(weights, name)][moment][rows] = 0


@torch.no_grad()
def save(weights: Weights, arguments: argparse.Namespace, test: Tensor) -> None:
    """Write weights.pt, with the features in order, and config.json."""
    spread = torch.cat([weights.encode(normalised(images)).mean(dim=1) for images in test.split(100)]).std(dim=0)
    order = spread.argsort(descending=True)
    tensors = OrderedDict(
        W_enc=weights.W_enc[:, order].contiguous(),
        b_enc=weights.b_enc[order].contiguous(),
        W_dec=weights.W_dec[order].contiguous(),
        b_dec=weights.b_dec.detach().clone(),
    )
    width = len(tensors["b_dec"])
    config = {
        "architecture": "standard", "is_transcoder": False, "activation_fn_str": "relu", "activation_fn_kwargs": {},
        "normalize_activations": "layer_norm", "d_in": width, "expansion_factor": EXPANSION, "hook_point_layer": LAYER,
        "layer_subtype": SITE, "hook_point_head_index": None, "cls_token_only": False, "use_patches_only": True,
        "context_size": test.shape[1], "model_name": "fashion-vit", "image_size": 28, "_device": "cpu",
        "_dtype": "float32", "l1_coefficient": arguments.l1, "lr": 2e-3, "train_batch_size": BATCH,
        "seed": arguments.seed, "dataset_name": "fashion-mnist",
    }  # fmt: skip
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, arguments.out / "weights.pt")
    (arguments.out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


@torch.no_grad()
def report(folder: Path, test: Tensor) -> None:
    """Print the figures of the written autoencoder on test images, and write them beside the weights."""
    autoencoder = load_sae(folder)
    error, firings = 0.0, torch.zeros(autoencoder.config.d_sae)
    for images in test.split(100):
        features = autoencoder.encode(images)
        error += (autoencoder.decode(features, images) - images).double().square().sum().item()
        firings += (features > 0).flatten(0, 1).float().sum(dim=0)
    flat = test.flatten(0, 1)
    explained = 1 - error / (flat - flat.mean(dim=0)).double().square().sum().item()
    l0 = firings.sum().item() / len(flat)
    dead = int((firings == 0).sum())
    print(f"explained variance {explained:.4f}  L0 {l0:.2f}  dead {dead} of {len(firings)}")
    facts = {"hook": autoencoder.config.hook, "tokens": autoencoder.config.tokens, "d_sae": len(firings)}
    facts |= {"explained_variance": round(explained, 4), "l0": round(l0, 2), "dead": dead, "features": []}
    (folder / "features.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
