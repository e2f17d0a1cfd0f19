"""`sd:WHAT`: from a spec to a generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel, UNet2DModel

from equidiff.contracts import BuildContext, Generator
from equidiff.errors import UnsupportedError, UsageError
from equidiff_sd import text, xl
from equidiff_sd.find import find_model, find_tiny
from equidiff_sd.folder import PIXELS, TEXT, XL, Folder
from equidiff_sd.generator import Autoencoder, Denoiser, Diffusion
from equidiff_sd.load import load_model
from equidiff_sd.sampler import Sampler, check_schedule
from equidiff_sd.text import Conditioning

if TYPE_CHECKING:
    from equidiff_sd.plugin import SdOptions

STEPS = {"turbo": 1, "sdxl-turbo": 1}
DEFAULT_STEPS = 20  # of all other models
TEXT_ONLY = ("prompt", "guidance", "size", "vae", "tiny")
EULER = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")  # the second one is run without its noise
# inputs that a UNet may need beside state, time and text; only SDXL has one of them
ADDITION = "addition_embed_type"
CONDITIONS = ("class_embed_type", "num_class_embeds", ADDITION, "time_cond_proj_dim", "encoder_hid_dim")


@dataclass(frozen=True)
class Family:
    """Properties that distinguish the families of text-to-image models.

    Attributes:
        condition: maps folder, prompts, size of the image and context to the UNet's conditioning.
        addition: the UNet's `addition_embed_type`.
        tiny: hub id of the tiny autoencoder.
        schedule: entries that the family's pipeline sets in the scheduler's configuration.
    """

    condition: Callable[..., list[Conditioning]]
    addition: str | None
    tiny: str
    schedule: dict[str, Any]


FAMILIES = {
    TEXT: Family(text.condition, None, "madebyollin/taesd", {"steps_offset": 1}),  # old configurations lack it
    XL: Family(xl.condition, "text_time", "madebyollin/taesdxl", {}),
}


def build(argument: str | None, options: SdOptions, context: BuildContext) -> Generator:
    """Build `sd`: find the folder, load its networks, encode the prompt.

    Raises:
        UsageError: options contradict each other or the model.
        UnknownNameError: the argument is neither a known name, a folder nor a hub id.
        UnsupportedError: a network needs more than state, time and text, or the schedule is of another family.
        WeightsError: files cannot be downloaded, are missing or damaged, or belong to another kind of pipeline.
    """
    _check_options(options)
    name = argument or "1.5"
    with_vae = options.vae == "full"
    folder = find_model(name, with_vae)
    kind = folder.require(with_vae)
    steps = options.steps or STEPS.get(name, DEFAULT_STEPS)
    if kind == PIXELS:
        return _build_pixels(folder, options, steps, context)
    return _build_text(folder, FAMILIES[kind], options, steps, context)


def _check_options(options: SdOptions) -> None:
    if options.guidance > 1 and not options.prompt:
        raise UsageError(
            "Guidance needs a prompt.",
            given=f"guidance={options.guidance:g} without a prompt",
            expected="a prompt, or no guidance",
            hint=f"--generator 'sd,prompt=a photo of a zebra,guidance={options.guidance:g}'",
        )
    if options.tiny and options.vae != "tiny":
        raise UsageError(
            "A tiny autoencoder is named, but vae=tiny is not set.",
            given=f"tiny={options.tiny}",
            expected="vae=tiny as well",
            hint=f"--generator sd,vae=tiny,tiny={options.tiny}",
        )


def _build_pixels(folder: Folder, options: SdOptions, steps: int, context: BuildContext) -> Diffusion:
    given = [option for option in TEXT_ONLY if option in options.model_fields_set]
    if given:
        raise UsageError(
            "This model is unconditional: it has no prompt, no autoencoder and only one size.",
            given=", ".join(f"{option}={getattr(options, option)}" for option in given),
            expected="a Stable Diffusion model, or none of these options",
        )
    channels, height, width = _check_unet(folder, None)
    sampler = _sampler(folder, options, steps, context, {})
    unet = load_model(folder, "unet", UNet2DModel, context).to(context.device)
    denoiser = Denoiser(unet, dtype=context.dtype)
    return Diffusion(denoiser, sampler, (channels, height, width), steps, None, options.checkpoint)


def _build_text(folder: Folder, family: Family, options: SdOptions, steps: int, context: BuildContext) -> Diffusion:
    # the largest network comes last, so that errors are reported before it is loaded
    channels, height, width = _check_unet(folder, family.addition)
    sampler = _sampler(folder, options, steps, context, family.schedule)
    autoencoder = _load_autoencoder(folder, options.tiny or family.tiny, options, context)
    if autoencoder.latent_channels != channels:
        raise folder.error(
            f"UNet and autoencoder do not match: {channels} and {autoencoder.latent_channels} channels.",
            "networks that were trained together",
        )
    if options.size is not None:
        height = width = _latent_side(options.size, autoencoder.factor)
    image = (height * autoencoder.factor, width * autoencoder.factor)
    conditions = _conditions(folder, family, image, options, context)
    unet = load_model(folder, "unet", UNet2DConditionModel, context).to(context.device)
    denoiser = Denoiser(unet, conditions, context.dtype)
    return Diffusion(denoiser, sampler, (channels, height, width), steps, autoencoder, options.checkpoint)


def _check_unet(folder: Folder, addition: str | None) -> tuple[int, int, int]:
    """Channels, height and width of the UNet's states, from its configuration."""
    config = folder.config("unet")
    channels, out, size = (config.get(name) for name in ("in_channels", "out_channels", "sample_size"))
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    if not isinstance(channels, int) or not isinstance(height, int) or not isinstance(width, int):
        raise folder.error(
            "The UNet's config.json does not state the shape of its input.", "in_channels and sample_size"
        )
    needed = [name for name in CONDITIONS if config.get(name) != (addition if name == ADDITION else None)]
    if needed or channels != out:
        raise UnsupportedError(
            "This UNet needs inputs that this kind of pipeline does not have.",
            given=", ".join(f"{name}={config.get(name)}" for name in needed) or f"{channels} channels in, {out} out",
            expected="a network of state, time and text that predicts one tensor of the state's shape"
            + (f", with {ADDITION}={addition}" if addition else ""),
        )
    return channels, height, width


def _sampler(folder: Folder, options: SdOptions, steps: int, context: BuildContext, changes: dict[str, Any]) -> Sampler:
    config = folder.config("scheduler", "scheduler_config.json") | changes
    check_schedule(config, folder.elsewhere())
    own = "euler" if config.get("_class_name") in EULER else "ddim"
    sampler = Sampler(options.scheduler or own, config, context.device)
    sampler.plan(steps)  # raises now the errors that it would raise in the middle of a run
    return sampler


def _conditions(
    folder: Folder, family: Family, size: tuple[int, int], options: SdOptions, context: BuildContext
) -> list[tuple[float, Conditioning]]:
    prompt, guidance = options.prompt, options.guidance
    weighted = {prompt: 1.0} if guidance == 1 else {None: 1 - guidance, prompt: guidance}
    return list(zip(weighted.values(), family.condition(folder, list(weighted), size, context), strict=True))


def _load_autoencoder(folder: Folder, tiny: str, options: SdOptions, context: BuildContext) -> Autoencoder:
    if options.vae == "tiny":
        model = load_model(find_tiny(tiny), "tiny autoencoder", AutoencoderTiny, context)
    else:
        shipped = folder.classes()["vae"] == "AutoencoderTiny"
        model = load_model(folder, "vae", AutoencoderTiny if shipped else AutoencoderKL, context)
    if getattr(model.config, "latents_mean", None) is not None:
        raise UnsupportedError(
            "Autoencoders whose latents are shifted by a mean are not supported.",
            given=f"latents_mean={model.config.latents_mean}",
            expected="latents that are scaled by a single number",
        )
    return Autoencoder(model.to(context.device))


def _latent_side(size: int, factor: int) -> int:
    if size % factor:
        raise UsageError(
            "The autoencoder makes no images of this size.",
            given=f"size={size}",
            expected=f"a multiple of {factor}",
            hint=f"size={max(1, size // factor) * factor}",
        )
    return size // factor
