"""Small transformers of the plain layout of DiT, and a slow, independent computation of what they answer."""

import math

import torch
from torch.nn import functional as F

WIDTH, HEADS, DEPTH, PATCH, SIDE, CHANNELS, CLASSES = 48, 3, 2, 2, 8, 4, 10


def official_weights(*, variances=True, projectors=False, auxiliary=False):
    """Random weights under the names and shapes that SiT's and DiT's code writes."""
    random = torch.Generator().manual_seed(7)

    def tensor(*shape):
        return torch.randn(*shape, generator=random) / math.sqrt(shape[-1] if len(shape) == 2 else 8 * WIDTH)

    shapes = {
        "pos_embed": (1, (SIDE // PATCH) ** 2, WIDTH),
        "x_embedder.proj.weight": (WIDTH, CHANNELS, PATCH, PATCH),
        "x_embedder.proj.bias": (WIDTH,),
        "y_embedder.embedding_table.weight": (CLASSES + 1, WIDTH),
    }
    linear = {"t_embedder.mlp.0": (256, WIDTH), "t_embedder.mlp.2": (WIDTH, WIDTH)}
    if auxiliary:
        linear["r_embedder.mlp.0"], linear["r_embedder.mlp.2"] = (256, WIDTH), (WIDTH, WIDTH)
    for block in (f"blocks.{i}" for i in range(DEPTH)):
        linear[f"{block}.attn.qkv"], linear[f"{block}.attn.proj"] = (WIDTH, 3 * WIDTH), (WIDTH, WIDTH)
        linear[f"{block}.mlp.fc1"], linear[f"{block}.mlp.fc2"] = (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)
        linear[f"{block}.adaLN_modulation.1"] = (WIDTH, 6 * WIDTH)
    linear["final_layer.linear"] = (WIDTH, PATCH**2 * CHANNELS * (2 if variances else 1))
    linear["final_layer.adaLN_modulation.1"] = (WIDTH, 2 * WIDTH)
    if projectors:
        linear["projectors.0.0"], linear["projectors.0.2"], linear["projectors.0.4"] = (WIDTH, 64), (64, 64), (64, 24)
    for name, (inputs, outputs) in linear.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)
    return {name: tensor(*shape) for name, shape in shapes.items()}


def predicted(w, state, time, labels, end=None):
    """The network's output as its paper describes it, one head and one patch at a time; FACM's with an `end`."""

    def linear(name, x):
        return x @ w[f"{name}.weight"].T.double() + w[f"{name}.bias"].double()

    def modulated(x, shift, scale):
        normed = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-6).sqrt()
        return normed * (1 + scale[:, None]) + shift[:, None]

    frequencies = torch.tensor([10_000 ** (-k / 128) for k in range(128)], dtype=torch.float64)

    def embedded(name, time):
        code = torch.cat([(time * frequencies).cos(), (time * frequencies).sin()])[None]
        return linear(f"{name}.mlp.2", F.silu(linear(f"{name}.mlp.0", code)))

    condition = embedded("t_embedder", time) + w["y_embedder.embedding_table.weight"].double()[labels]
    condition = F.silu(condition if end is None else condition + embedded("r_embedder", end))
    grid = SIDE // PATCH
    patches = [
        torch.einsum("bcij,dcij->bd", state[:, :, PATCH * r : PATCH * r + PATCH, PATCH * c : PATCH * c + PATCH],
                     w["x_embedder.proj.weight"].double())
        for r in range(grid) for c in range(grid)
    ]  # fmt: skip
    x = torch.stack(patches, dim=1) + w["x_embedder.proj.bias"].double() + w["pos_embed"].double()
    for i in range(DEPTH):
        name = f"blocks.{i}"
        shift1, scale1, gate1, shift2, scale2, gate2 = linear(f"{name}.adaLN_modulation.1", condition).chunk(6, 1)
        q, k, v = linear(f"{name}.attn.qkv", modulated(x, shift1, scale1)).chunk(3, -1)
        size = WIDTH // HEADS
        heads = [
            (a @ b.transpose(1, 2) / math.sqrt(size)).softmax(-1) @ c
            for a, b, c in zip(q.split(size, -1), k.split(size, -1), v.split(size, -1), strict=True)
        ]
        x = x + gate1[:, None] * linear(f"{name}.attn.proj", torch.cat(heads, -1))
        inner = F.gelu(linear(f"{name}.mlp.fc1", modulated(x, shift2, scale2)), approximate="tanh")
        x = x + gate2[:, None] * linear(f"{name}.mlp.fc2", inner)
    shift, scale = linear("final_layer.adaLN_modulation.1", condition).chunk(2, 1)
    out = linear("final_layer.linear", modulated(x, shift, scale))
    image = torch.zeros(len(state), CHANNELS, SIDE, SIDE, dtype=torch.float64)
    channels = out.shape[-1] // PATCH**2
    for n, token in enumerate(out.unbind(1)):
        row, column = divmod(n, grid)
        values = token.view(-1, PATCH, PATCH, channels)[..., :CHANNELS]
        rows, columns = slice(PATCH * row, PATCH * row + PATCH), slice(PATCH * column, PATCH * column + PATCH)
        image[:, :, rows, columns] = values.permute(0, 3, 1, 2)
    return image
