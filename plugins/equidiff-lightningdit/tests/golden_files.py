"""Golden tensors, made by the published code from small random networks; some ship, all lie beside the project."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

HERE = Path(__file__).parent / "golden"
MORE = Path(__file__).parents[4] / "shared/reference/lightningdit/golden"
HEADS = {"dit_B1_plain_dit": 3}  # its keys do not tell


def golden_names(prefix):
    found = {path.stem for folder in (HERE, MORE) if folder.is_dir() for path in folder.glob(f"{prefix}*.safetensors")}
    return sorted(name.removesuffix("_encoder").removesuffix("_decoder") for name in found if "_decoder" not in name)


def load_golden(name):
    """All tensors of a file; shipped ones come first, so that the test is the same everywhere."""
    folder = HERE if (HERE / f"{name}.safetensors").exists() else MORE
    return load_file(folder / f"{name}.safetensors")


def golden_config(name):
    folder = HERE if (HERE / f"{name}.safetensors").exists() else MORE
    with safe_open(folder / f"{name}.safetensors", "pt") as file:
        return json.loads(file.metadata()["config"])


def state_dict_of(*tensors):
    prefix = "state_dict."
    return {key.removeprefix(prefix): v for part in tensors for key, v in part.items() if key.startswith(prefix)}


def read_json(name):
    return json.loads((HERE / f"{name}.json").read_text())


def write_folder(folder, transformer="dit_A_released_flags", *, layout="ema"):
    """A tiny model's three files in a published layout: a transformer of 8x8 latents, an autoencoder for them."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from equidiff_lightningdit.autoencoder import published_weights

    folder.mkdir(parents=True, exist_ok=True)
    weights = state_dict_of(load_golden(transformer))
    wrapped = {
        "ema": {"ema": weights, "model": {f"module.{key}": value for key, value in weights.items()}, "config": {}},
        "model": {"model": {f"module.module.{key}": value for key, value in weights.items()}},
        "bare": weights,
    }[layout]
    torch.save(wrapped, folder / "transformer.pt")
    torch.manual_seed(0)
    channels = weights["x_embedder.proj.weight"].shape[1]
    autoencoder = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
        block_out_channels=[32, 32],
        layers_per_block=1,
        latent_channels=channels,
        scaling_factor=1.0,
    )
    extra = {"loss.logvar": torch.zeros(1), "foundation_model.x": torch.zeros(2), "linear_proj.weight": torch.zeros(2)}
    torch.save({"state_dict": published_weights(autoencoder) | extra}, folder / "autoencoder.pt")
    ones = torch.ones(1, channels, 1, 1)
    torch.save({"mean": 0.1 * ones, "std": 1.5 * ones}, folder / "latents_stats.pt")
    return folder
