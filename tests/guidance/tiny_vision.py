"""CLIP and DINOv2 in small: random weights in the layout of the published folders."""

import json
from pathlib import Path

import torch

LAYERS = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def write_clip(folder: Path, *, both_towers: bool = True) -> Path:
    """clip-vit-large-patch14: a CLIPModel; or the picture's tower alone, as a CLIPVisionModel. 32 pixels, 4 × 4 patches."""
    from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel

    vision = {**LAYERS, "image_size": 32, "patch_size": 8, "projection_dim": 8}
    text = {**LAYERS, "vocab_size": 40, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        both = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
        model = CLIPModel(both) if both_towers else CLIPVisionModel(CLIPVisionConfig(**vision))
    _louder(model).save_pretrained(folder)
    _write_preprocessor(folder, "CLIPImageProcessor", CLIP_MEAN, CLIP_STD)
    return folder


def write_dino(folder: Path, *, registers: int = 0, shards: bool = False) -> Path:
    """dinov2-base, or dinov2-with-registers-base. Patches of 14, positions for 4 × 4 of them."""
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = (
            Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=registers, **sizes))
            if registers
            else Dinov2Model(Dinov2Config(**sizes))
        )
    _louder(model).save_pretrained(folder, max_shard_size="20KB" if shards else "1GB")
    _write_preprocessor(folder, "BitImageProcessor", IMAGENET_MEAN, IMAGENET_STD)
    return folder


def _louder(model):
    """As drawn, weights of 0.02 make all pictures nearly alike."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return model


def _write_preprocessor(folder: Path, kind: str, mean: tuple, std: tuple) -> None:
    told = {"image_processor_type": kind, "image_mean": list(mean), "image_std": list(std)}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
