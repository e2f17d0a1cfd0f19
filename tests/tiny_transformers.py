"""Tiny networks of transformers with random weights, saved as their authors save theirs."""

import torch
import transformers
from transformers.utils import logging

SIDE = 32
SQUARE = {"height": SIDE, "width": SIDE}
SMALL = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": SIDE, "patch_size": 8,
}  # fmt: skip
TEXT = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50,
    "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
LABELS = {0: "tabby cat", 1: "dog, hound", 2: "bird"}
STAGES = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}
SHORTEST = {"shortest_edge": SIDE}


def _labelled(config, **arguments):
    return config(**arguments, id2label=LABELS, label2id={name: index for index, name in LABELS.items()})


def _make(name):
    t = transformers
    makers = {
        "vit": lambda: (t.ViTForImageClassification(_labelled(t.ViTConfig, **SMALL)), t.ViTImageProcessor(size=SQUARE)),
        "clip": lambda: (
            t.CLIPModel(t.CLIPConfig(text_config=TEXT, vision_config=SMALL, projection_dim=8)),
            t.CLIPImageProcessor(size=SHORTEST, crop_size=SQUARE),
        ),
        "siglip": lambda: (
            t.SiglipModel(t.SiglipConfig(text_config=TEXT, vision_config=SMALL)),
            t.SiglipImageProcessor(size=SQUARE),
        ),
        "beit": lambda: (
            t.BeitForImageClassification(t.BeitConfig(**SMALL)),
            t.BeitImageProcessor(size=SQUARE, crop_size=SQUARE),
        ),
        "dinov2": lambda: (
            t.Dinov2Model(t.Dinov2Config(**SMALL)),
            t.BitImageProcessor(size={"shortest_edge": 36}, crop_size=SQUARE),
        ),
        "dinov3": lambda: (
            t.DINOv3ViTModel(t.DINOv3ViTConfig(**SMALL, num_register_tokens=2)),
            t.DINOv3ViTImageProcessor(size=SQUARE),
        ),
        "convnext": lambda: (
            t.ConvNextForImageClassification(t.ConvNextConfig(**STAGES, image_size=SIDE)),
            t.ConvNextImageProcessor(size=SHORTEST, crop_pct=0.875),
        ),
        "resnet": lambda: (
            t.ResNetForImageClassification(_labelled(t.ResNetConfig, **STAGES, embedding_size=8, layer_type="basic")),
            t.ConvNextImageProcessor(size=SHORTEST),
        ),
        "mae": lambda: (t.ViTMAEModel(t.ViTMAEConfig(**SMALL)), t.ViTImageProcessor(size=SQUARE)),
        "videomae": lambda: (
            t.VideoMAEModel(t.VideoMAEConfig(**SMALL)),
            t.VideoMAEImageProcessor(size=SQUARE, crop_size=SQUARE),
        ),
        "bert": lambda: (t.BertModel(t.BertConfig(**TEXT)), t.ViTImageProcessor(size=SQUARE)),
    }  # fmt: skip
    return makers[name]()


def save_tiny(name, folder, **saving):
    """Save a tiny network with its image processor, and return both."""
    torch.manual_seed(0)
    logging.disable_progress_bar()
    module, processor = _make(name)
    for parameter in module.parameters():  # far from the small values of a fresh network, so that outputs differ
        if parameter.ndim > 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    module.eval().save_pretrained(folder, **saving)
    processor.save_pretrained(folder)
    return module, processor


@torch.no_grad()
def library_output(module, processor, samples):
    """Outputs that transformers itself gives to samples in [0, 1]: the logits, the embedding, or the last tokens."""
    pixels = processor(images=samples * 255, return_tensors="pt")["pixel_values"]
    if hasattr(module, "get_image_features"):
        return module.get_image_features(pixels).pooler_output
    output = module(pixels)
    return output.get("logits", output.get("last_hidden_state"))
