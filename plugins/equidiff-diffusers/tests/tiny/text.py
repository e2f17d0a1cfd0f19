"""Tokenizers of a few letters and text encoders of a few thousand weights, made without a network."""

from __future__ import annotations

import string
from typing import Any

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    GemmaTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

WIDTH = 16
TOKENS = 16
"""Longest text of the encoders whose positions are learned."""

_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant: {% endif %}"
)


def clip_words(**changes: Any) -> CLIPTokenizer:
    """CLIP's tokenizer with letters for words."""
    letters = string.ascii_lowercase
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=TOKENS, **changes)


def t5_words(length: int = TOKENS) -> T5Tokenizer:
    """T5's tokenizer with letters for words."""
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocabulary += [(letter, -3.0) for letter in string.ascii_lowercase]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=length)


def gemma_words(length: int = 512) -> GemmaTokenizer:
    """Gemma's tokenizer with letters for words."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.printable[:94]]
    return GemmaTokenizer(
        vocab={word: index for index, word in enumerate(words)}, merges=[], add_bos_token=True, model_max_length=length
    )


def qwen_words(**changes: Any) -> Qwen2Tokenizer:
    """Qwen's tokenizer with bytes for words, and a template for conversations."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *special]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], additional_special_tokens=special[1:], **changes)
    tokenizer.chat_template = _CHAT
    return tokenizer


def glm_words() -> PreTrainedTokenizerFast:
    """GLM's tokenizer, which begins each text with two words of its own, with letters for words."""
    special = ["<|endoftext|>", "[gMASK]", "<sop>"]
    words = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({word: index for index, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[gMASK] <sop> $A", special_tokens=[("[gMASK]", 1), ("<sop>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=special[0], eos_token=special[0], padding_side="left"
    )


def clip(tokenizer: CLIPTokenizer, kind: type[PreTrainedModel] = CLIPTextModel, **changes: Any) -> PreTrainedModel:
    """CLIP's text encoder, of two layers."""
    sizes = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    words = {"vocab_size": len(tokenizer), "max_position_embeddings": TOKENS}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return kind(CLIPTextConfig(**{**sizes, **words, **ends, "projection_dim": WIDTH, **changes}))


def t5(tokenizer: T5Tokenizer, **changes: Any) -> PreTrainedModel:
    """T5's encoder, of one layer."""
    sizes = {"d_model": WIDTH, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    return T5EncoderModel(T5Config(**{**sizes, "vocab_size": len(tokenizer), **changes}))


def decoder_only(kind: str, tokenizer: Any, layers: int = 2, **changes: Any) -> PreTrainedModel:
    """A language model of transformers that is used as an encoder; `kind` is the name of its class."""
    model_class = getattr(transformers, kind)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": layers, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": tokenizer.pad_token_id}
    config = model_class.config_class(
        **{**sizes, **heads, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 1024, **changes}
    )
    return model_class(config)


def with_eyes(kind: str, tokenizer: Any, layers: int = 2) -> PreTrainedModel:
    """A language model that also sees (Qwen2.5-VL, Qwen3-VL, Mistral 3), of which only the text is used."""
    model_class = getattr(transformers, kind)
    text = {
        "hidden_size": WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
    }
    seen = {"hidden_size": WIDTH, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH, "depth": 1}
    if kind.startswith("Mistral"):
        text = {**text, "model_type": "mistral", "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
        seen = {"model_type": "pixtral", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
        seen |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    if kind.startswith("Qwen3"):
        seen |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    return model_class(model_class.config_class(text_config=text, vision_config=seen))
