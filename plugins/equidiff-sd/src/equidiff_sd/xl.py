"""Conditioning of Stable Diffusion XL: two text encoders, and the size of the image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equidiff.contracts import BuildContext
from equidiff_sd.folder import INDEX, Folder
from equidiff_sd.text import Conditioning, run_text_encoder

PENULTIMATE = -2  # of the hidden states: the last layer is not used


def condition(
    folder: Folder, prompts: Sequence[str | None], size: tuple[int, int], context: BuildContext
) -> list[Conditioning]:
    """Conditioning of SDXL: text of both encoders, the second one's pooled embedding, and six numbers about the image.

    The six numbers are its original size, the offset of its crop (zero) and its target size, with the defaults of
    diffusers' pipeline.

    Args:
        folder: has both tokenizers and text encoders.
        prompts: None, a missing prompt, gives zeros if the index says `force_zeros_for_empty_prompt`, and otherwise
            counts as an empty one.
        size: height and width of the image in pixels.
        context: receives the records of the weights.

    Raises:
        UsageError: a prompt is longer than a text encoder reads.
        WeightsError: a tokenizer or text encoder cannot be loaded, or UNet and text encoders do not match.

    References:
        Podell et al. (2023), "SDXL: Improving latent diffusion models for high-resolution image synthesis", sec. 2.
            https://arxiv.org/abs/2307.01952
    """
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    texts = [prompt or "" for prompt in prompts]
    first = run_text_encoder(folder, "", CLIPTextModel, texts, context)
    second = run_text_encoder(folder, "_2", CLIPTextModelWithProjection, texts, context)
    zeros = folder.read(INDEX).get("force_zeros_for_empty_prompt", True)
    times = torch.tensor([[*size, 0, 0, *size]], dtype=torch.float32, device=context.device)
    conditionings: list[Conditioning] = []
    for prompt, one, two in zip(prompts, first, second, strict=True):
        text = torch.cat([one.hidden_states[PENULTIMATE], two.hidden_states[PENULTIMATE]], dim=-1)
        kept = 0.0 if prompt is None and zeros else 1.0
        added = {"text_embeds": kept * two.text_embeds.to(context.device), "time_ids": times}
        conditionings.append({"encoder_hidden_states": kept * text.to(context.device), "added_cond_kwargs": added})
        _check(folder, text, added)
    return conditionings


def _check(folder: Folder, text: Tensor, added: dict[str, Tensor]) -> None:
    """Check that UNet and text encoders match; the refiner's, for example, do not."""
    config = folder.config("unet")
    width = config.get("addition_time_embed_dim") or 0
    needed = (config.get("cross_attention_dim"), config.get("projection_class_embeddings_input_dim"))
    given = (text.shape[-1], added["text_embeds"].shape[-1] + added["time_ids"].shape[-1] * width)
    if needed != given:
        raise folder.error(
            f"UNet and text encoders do not match: the UNet reads texts of width {needed[0]} and additions of width "
            f"{needed[1]}, and gets {given[0]} and {given[1]}.",
            "networks that were trained together, and no refiner",
        )
