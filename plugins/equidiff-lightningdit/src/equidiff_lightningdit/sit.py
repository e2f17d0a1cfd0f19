"""`sit`: flows of latents with DiT's transformer, as SiT and REPA trained them, decoded by Stable Diffusion's VAE.

SiT's time is LightningDiT's: 0 is noise, 1 is data, and the network predicts `data - noise`. REPA's runs the other way,
and its network predicts `noise - data`. Both draw labels and variances alike; the variances are dropped.

References:
    Ma et al. (2024), "SiT: exploring flow and diffusion-based generative models with scalable interpolant
        transformers". https://arxiv.org/abs/2401.08740
    Yu et al. (2025), "Representation alignment for generation: training diffusion transformers is easier than you
        think". https://arxiv.org/abs/2410.06940
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from equidiff.contracts import BuildContext, Generator, Weights
from equidiff.errors import UnknownNameError, UsageError, WeightsError, first_line
from equidiff.networks.checkpoints import hash_weights, read_weights
from equidiff.networks.hub import find_snapshot
from equidiff_lightningdit.build import check_guidance, from_parts
from equidiff_lightningdit.checkpoints import LatentStats, build_transformer, check_role, read_checkpoint
from equidiff_lightningdit.clocks import FORWARD, REVERSED
from equidiff_lightningdit.layouts import check_flow, is_repa, without_projectors
from equidiff_lightningdit.parts import SUFFIXES, TRANSFORMER, Parts, check_channels
from equidiff_lightningdit.sampler import intervals

if TYPE_CHECKING:
    from equidiff_lightningdit.plugin import SitOptions

STEPS = 50
VAE = "stabilityai/sd-vae-ft-ema"
VAE_CONFIG = "config.json"
VAE_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
SITES = "SiT-XL-2-256x256.pt is linked in https://github.com/willisma/SiT, REPA's in https://github.com/sihyun-yu/REPA"


def build(argument: str | None, options: SitOptions, context: BuildContext) -> Generator:
    """Build `sit`.

    Raises:
        UsageError: there is no argument, guidance is set without a class, or the method cannot take this many steps.
        UnknownNameError: there is no such file or class.
        WeightsError: a file is missing or damaged, or is not what it should be.
    """
    check_guidance(f"sit:{argument or 'PATH'}", options)
    steps = options.steps or STEPS
    intervals(options.method, steps)
    parts, repa = load_parts(argument, options)
    reversed_time = repa if options.time is None else options.time == "repa"
    return from_parts(parts, steps, options, context, clock=REVERSED if reversed_time else FORWARD)


def load_parts(argument: str | None, options: SitOptions) -> tuple[Parts, bool]:
    """Find, read and check transformer and autoencoder; True if the transformer is REPA's."""
    path = _transformer_file(argument)
    content = read_checkpoint(path)
    check_role(content, path, TRANSFORMER)
    transformer = build_transformer(without_projectors(content), path, options.heads)
    check_flow(transformer, path)
    folder = _autoencoder_folder(path, options.autoencoder)
    autoencoder, record = _load_autoencoder(folder)
    ones = torch.ones(1, autoencoder.config["latent_channels"], 1, 1)
    multiplier = options.multiplier or autoencoder.config["scaling_factor"]
    stats = LatentStats((autoencoder.config["shift_factor"] or 0.0) * ones, ones, multiplier)
    parts = Parts(transformer, autoencoder, stats, (hash_weights(path), record))
    check_channels(parts)
    return parts, is_repa(content)


def _transformer_file(argument: str | None) -> Path:
    """The transformer's file: the argument itself, or the only file of weights in that folder."""
    if argument is None:
        raise UsageError(
            "The generator sit needs a file.",
            given="sit",
            expected=f"the path of a checkpoint of SiT or REPA. {SITES}",
            hint="--generator sit:SiT-XL-2-256x256.pt",
        )
    path = Path(argument).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise UnknownNameError("There is no such file or folder.", given=argument, expected=f"a checkpoint. {SITES}")
    files = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES and each.name not in VAE_WEIGHTS)
    if len(files) != 1:
        raise WeightsError(
            "The folder does not hold one checkpoint.",
            given=f"{path}, with {', '.join(file.name for file in files) or 'no weights'}",
            expected=f"one file that ends in {', '.join(SUFFIXES)}, and the autoencoder in a folder vae",
            hint="--generator sit:FILE,autoencoder=FOLDER",
        )
    return files[0]


def _autoencoder_folder(transformer: Path, given: str | None) -> Path:
    """The autoencoder's folder: the one given, the one beside the transformer, or that of the hub."""
    folders = [transformer.parent / "vae", transformer.parent]
    if given is not None:
        folders = [Path(given).expanduser() / "vae", Path(given).expanduser()]
    for folder in folders:
        if (folder / VAE_CONFIG).is_file() and _weights_in(folder):
            return folder
    if given is not None:
        raise WeightsError(
            "This folder holds no autoencoder.",
            given=given,
            expected=f"an AutoencoderKL of diffusers: {VAE_CONFIG} and {' or '.join(VAE_WEIGHTS)}",
            hint=f"hf download {VAE} --local-dir vae",
        )
    return find_snapshot(
        VAE,
        lambda there: [VAE_CONFIG, *[name for name in VAE_WEIGHTS if name in there][:1]],
        lambda folder: (folder / VAE_CONFIG).is_file() and _weights_in(folder) is not None,
        f"hf download {VAE} --local-dir vae   # on a machine with internet access\n"
        f"--generator sit:{transformer},autoencoder=vae",
    )


def _weights_in(folder: Path) -> Path | None:
    return next((folder / name for name in VAE_WEIGHTS if (folder / name).is_file()), None)


def _load_autoencoder(folder: Path) -> tuple[AutoencoderKL, Weights]:
    file = _weights_in(folder)
    assert file is not None  # the folder was chosen for it
    read_weights(file)  # refuses code, and what is damaged
    try:
        model, info = AutoencoderKL.from_pretrained(
            folder, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True,
            use_safetensors=file.suffix == ".safetensors",
        )  # fmt: skip
        wrong = [*info["missing_keys"], *info["unexpected_keys"]]
    except Exception as error:  # the library raises what its readers raise
        raise _not_an_autoencoder(folder, first_line(error)) from error
    if wrong:
        raise _not_an_autoencoder(folder, f"tensors that do not fit, such as {wrong[0]}")
    return model.float().eval().requires_grad_(False), hash_weights(file)


def _not_an_autoencoder(folder: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"The autoencoder cannot be loaded: {reason}",
        given=folder,
        expected="an AutoencoderKL of diffusers",
        hint=f"hf download {VAE} --local-dir vae",
    )
