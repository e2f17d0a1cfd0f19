"""What Stable Diffusion XL is conditioned on: two text encoders, and the size of the picture."""

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
    """Text of both encoders, the second one's pooled embedding, and six numbers about the picture.

    The six are the size that it has, where it was cropped (nowhere), and the size that it is to have, as
    diffusers' pipeline gives them by default.

    Args:
        folder: has both tokenizers and text encoders.
        prompts: None, no prompt, is zeros where the index says `force_zeros_for_empty_prompt`, and else the empty one.
        size: height and width of the picture in pixels.
        context: gets the records of the weights.

    Raises:
        UsageError: a prompt is longer than a text encoder reads.
        WeightsError: a tokenizer or text encoder cannot be loaded, or UNet and text encoders do not fit.

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
    """Whether the UNet reads what these text encoders write; the refiner's, for one, does not."""
    config = folder.config("unet")
    wide = config.get("addition_time_embed_dim") or 0
    asked = (config.get("cross_attention_dim"), config.get("projection_class_embeddings_input_dim"))
    given = (text.shape[-1], added["text_embeds"].shape[-1] + added["time_ids"].shape[-1] * wide)
    if asked != given:
        raise folder.error(
            f"UNet and text encoders do not fit: it reads texts of width {asked[0]} and additions of width {asked[1]},"
            f" and gets {given[0]} and {given[1]}.",
            "networks that were trained together, and no refiner",
        )
