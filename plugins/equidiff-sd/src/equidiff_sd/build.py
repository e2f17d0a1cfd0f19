"""`sd:WHAT`: from a spec to a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel, UNet2DModel
from torch import Tensor

from equidiff.contracts import BuildContext, Generator
from equidiff.errors import UnsupportedError, UsageError
from equidiff_sd.find import find_model, find_tiny
from equidiff_sd.folder import PIXELS, Folder
from equidiff_sd.generator import Autoencoder, Denoiser, Diffusion
from equidiff_sd.load import encode_prompts, load_model
from equidiff_sd.sampler import Sampler

if TYPE_CHECKING:
    from equidiff_sd.plugin import SdOptions

STEPS = {"turbo": 1}  # where it is not the usual number
USUAL_STEPS = 20
TEXT_ONLY = ("prompt", "guidance", "size", "vae", "tiny")
# what a UNet may need beside state, time and text; none of the supported pipelines gives it
CONDITIONS = ("class_embed_type", "num_class_embeds", "addition_embed_type", "time_cond_proj_dim", "encoder_hid_dim")


def build(argument: str | None, options: SdOptions, context: BuildContext) -> Generator:
    """Build `sd`: find the folder, load its networks, encode the prompt.

    Raises:
        UsageError: options that contradict each other or the model.
        UnknownNameError: the argument is no name, no folder and no hub id.
        UnsupportedError: a network that needs more than state, time and text.
        WeightsError: files that cannot be had, are missing or damaged, or belong to another kind of pipeline.
    """
    _check_options(options)
    name = argument or "1.5"
    with_vae = options.vae == "full"
    folder = find_model(name, with_vae)
    kind = folder.require(with_vae)
    build_kind = _build_pixels if kind == PIXELS else _build_text
    return build_kind(folder, options, options.steps or STEPS.get(name, USUAL_STEPS), context)


def _check_options(options: SdOptions) -> None:
    if options.guidance > 1 and not options.prompt:
        raise UsageError(
            "Guidance needs a prompt to guide towards.",
            given=f"guidance={options.guidance:g} without a prompt",
            expected="a prompt, or no guidance",
            hint=f"--generator 'sd,prompt=a photo of a zebra,guidance={options.guidance:g}'",
        )
    if options.tiny and options.vae != "tiny":
        raise UsageError(
            "A tiny autoencoder is named, but not asked for.",
            given=f"tiny={options.tiny}",
            expected="vae=tiny beside it",
            hint=f"--generator sd,vae=tiny,tiny={options.tiny}",
        )


def _build_pixels(folder: Folder, options: SdOptions, steps: int, context: BuildContext) -> Diffusion:
    given = [option for option in TEXT_ONLY if option in options.model_fields_set]
    if given:
        raise UsageError(
            "This model is unconditional: it has no text, no autoencoder, and one size.",
            given=", ".join(f"{option}={getattr(options, option)}" for option in given),
            expected="a Stable Diffusion model, or none of these options",
        )
    channels, height, width = _check_unet(folder)
    sampler = _sampler(folder, options, steps, context, {})
    unet = load_model(folder, "unet", UNet2DModel, context).to(context.device)
    denoiser = Denoiser(unet, None, context.dtype)
    return Diffusion(denoiser, sampler, (channels, height, width), steps, None, options.checkpoint)


def _build_text(folder: Folder, options: SdOptions, steps: int, context: BuildContext) -> Diffusion:
    # the largest network comes last: what is wrong is said before it is loaded
    channels, height, width = _check_unet(folder)
    # StableDiffusionPipeline, too, sets this entry, which old configurations lack
    sampler = _sampler(folder, options, steps, context, {"steps_offset": 1})
    autoencoder = _load_autoencoder(folder, options, context)
    if autoencoder.latent_channels != channels:
        raise folder.error(
            f"UNet and autoencoder do not fit: {channels} channels and {autoencoder.latent_channels}.",
            "networks that were trained together",
        )
    if options.size is not None:
        height = width = _latent_side(options.size, autoencoder.factor)
    conditions = _conditions(folder, options, context)
    unet = load_model(folder, "unet", UNet2DConditionModel, context).to(context.device)
    denoiser = Denoiser(unet, conditions, context.dtype)
    return Diffusion(denoiser, sampler, (channels, height, width), steps, autoencoder, options.checkpoint)


def _check_unet(folder: Folder) -> tuple[int, int, int]:
    """Channels, height and width of what the UNet works on, from its configuration."""
    config = folder.read((folder.part("unet") / "config.json").relative_to(folder.path).as_posix())
    channels, out, size = (config.get(name) for name in ("in_channels", "out_channels", "sample_size"))
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    if not isinstance(channels, int) or not isinstance(height, int) or not isinstance(width, int):
        raise folder.error("The UNet's config.json does not say what it works on.", "in_channels and sample_size")
    asked = [name for name in CONDITIONS if config.get(name) is not None]
    if asked or channels != out:
        raise UnsupportedError(
            "This UNet needs, or makes, more than a plain denoiser.",
            given=", ".join(f"{name}={config[name]}" for name in asked) or f"{channels} channels in, {out} out",
            expected="a network of state, time and text that predicts one tensor of the state's shape",
        )
    return channels, height, width


def _sampler(folder: Folder, options: SdOptions, steps: int, context: BuildContext, changes: dict[str, Any]) -> Sampler:
    place = folder.part("scheduler").relative_to(folder.path)
    config = folder.read((place / "scheduler_config.json").as_posix()) | changes
    own = "euler" if config.get("_class_name") == "EulerDiscreteScheduler" else "ddim"
    sampler = Sampler(options.scheduler or own, config, context.device)
    sampler.plan(steps)  # refuses now what it would refuse in the middle of a run
    return sampler


def _conditions(folder: Folder, options: SdOptions, context: BuildContext) -> list[tuple[float, Tensor]]:
    prompt, guidance = options.prompt or "", options.guidance
    weighted = {prompt: 1.0} if guidance == 1 else {"": 1 - guidance, prompt: guidance}
    embeddings = encode_prompts(folder, list(weighted), context)
    return [(weight, text.to(context.device)) for weight, text in zip(weighted.values(), embeddings, strict=True)]


def _load_autoencoder(folder: Folder, options: SdOptions, context: BuildContext) -> Autoencoder:
    if options.vae == "tiny":
        model = load_model(find_tiny(options.tiny), "tiny autoencoder", AutoencoderTiny, context)
    else:
        tiny = folder.classes()["vae"] == "AutoencoderTiny"
        model = load_model(folder, "vae", AutoencoderTiny if tiny else AutoencoderKL, context)
    return Autoencoder(model.to(context.device))


def _latent_side(size: int, factor: int) -> int:
    if size % factor:
        raise UsageError(
            "The autoencoder makes no pictures of this size.",
            given=f"size={size}",
            expected=f"a multiple of {factor}",
            hint=f"size={max(1, size // factor) * factor}",
        )
    return size // factor
