"""Conditioning of Stable Diffusion 1.x and 2.x: text embeddings of prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from equidiff.contracts import BuildContext
from equidiff.errors import UsageError, first_line
from equidiff_sd.folder import Folder
from equidiff_sd.load import load_model

# keyword arguments of a UNet beside state and time, each tensor [1, ...]
Conditioning = Mapping[str, "Tensor | Mapping[str, Tensor]"]


def condition(
    folder: Folder, prompts: Sequence[str | None], size: tuple[int, int], context: BuildContext
) -> list[Conditioning]:
    """Conditioning of Stable Diffusion 1.x and 2.x: the text embedding of each prompt, `[1, tokens, width]`.

    Args:
        folder: has tokenizer and text encoder.
        prompts: None, a missing prompt, counts as an empty one.
        size: size of the image, which these models ignore.
        context: receives the record of the weights.

    Raises:
        UsageError: a prompt is longer than the text encoder reads.
        WeightsError: tokenizer or text encoder cannot be loaded.
    """
    from transformers import CLIPTextModel

    read = run_text_encoder(folder, "", CLIPTextModel, [prompt or "" for prompt in prompts], context)
    return [{"encoder_hidden_states": output[0].to(context.device)} for output in read]


def run_text_encoder(
    folder: Folder, number: str, model_class: Any, prompts: Sequence[str], context: BuildContext
) -> list[Any]:
    """Run a text encoder on each prompt, including its hidden states, and free it afterwards.

    Args:
        folder: has tokenizer and text encoder.
        number: end of their names: "" or "_2".
        model_class: class of transformers.
        prompts: texts.
        context: receives the record of the weights.

    Raises:
        UsageError: a prompt is longer than the text encoder reads.
        WeightsError: tokenizer or text encoder cannot be loaded.
    """
    from transformers import CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder.part(f"tokenizer{number}"), local_files_only=True)
    except Exception as error:  # the library raises whatever its readers raise
        raise folder.error(f"The tokenizer{number} cannot be loaded: {first_line(error)}") from error
    encoder = load_model(folder, f"text_encoder{number}", model_class, context).eval()
    most = encoder.config.max_position_embeddings
    rows = [tokenizer(prompt, padding="max_length", max_length=most, return_tensors="pt") for prompt in prompts]
    for prompt, row in zip(prompts, rows, strict=True):
        if row.input_ids.shape[1] > most:
            raise UsageError(
                "The prompt is longer than the text encoder reads.",
                given=f"{row.input_ids.shape[1]} tokens: {prompt}",
                expected=f"at most {most} tokens",
            )
    masked = getattr(encoder.config, "use_attention_mask", False)
    with torch.no_grad():
        return [
            encoder(row.input_ids, attention_mask=row.attention_mask if masked else None, output_hidden_states=True)
            for row in rows
        ]
