"""Taggers' networks in small: random weights in the real file layouts, and a package `ram` with the real one's interface."""

import json
from pathlib import Path

import torch

TAGS = ("man", "sports car", "sport car", "tabby, tabby cat", "cat", "horse_cart", "water", "building", "tower", "sky")
THRESHOLDS = (0.2, 0.54, 0.43, 0.25, 0.24, 0.51, 0.2, 0.6, 0.5, 0.5)
"""Among the scores of the random weights."""

RAM_PACKAGE = '''
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")  # as the real one does
DATA = Path(__file__).resolve().parents[1] / "data"


class Head(nn.Module):
    """Query2Label: each class asks the picture's tokens."""

    def __init__(self):
        super().__init__()
        self.query = nn.Linear(8, 8)

    def forward(self, encoder_embeds, encoder_hidden_states, encoder_attention_mask, return_dict, mode):
        assert mode == "tagging"
        assert encoder_attention_mask.shape == encoder_hidden_states.shape[:2]
        weights = (self.query(encoder_embeds) @ encoder_hidden_states.transpose(1, 2)).softmax(-1)
        return (encoder_embeds + weights @ encoder_hidden_states,)


class RAM(nn.Module):
    def __init__(self, image_size, vit, text_encoder_type):
        super().__init__()
        assert (image_size, vit) == (384, "swin_l")
        assert Path(text_encoder_type, "vocab.txt").is_file()
        self.visual_encoder = nn.Sequential(nn.Conv2d(3, 6, 32, stride=32), nn.Flatten(2))
        self.visual_encoder.register_buffer("relative_position_index", torch.arange(4))
        self.image_proj = nn.Linear(6, 8)
        self.wordvec_proj = nn.Linear(4, 8)
        self.tag_list = np.array((DATA / "ram_tag_list.txt").read_text().splitlines())
        self.label_embed = nn.Parameter(torch.zeros(len(self.tag_list), 4))
        self.tagging_head = Head()
        self.fc = nn.Linear(8, 1)
        self.text_decoder = nn.Linear(2, 2)
        print("/encoder/layer/0/output/dense is tied")
        self.class_threshold = torch.tensor([float(x) for x in (DATA / "ram_tag_list_threshold.txt").read_text().split()])

    def generate_tag(self, image, threshold=0.68, tag_input=None):  # its threshold changes nothing, as upstream
        assert image.shape[1:] == (3, 384, 384)
        labels = torch.relu(self.wordvec_proj(self.label_embed))[None].repeat(len(image), 1, 1)
        tokens = self.image_proj(self.visual_encoder(image).transpose(1, 2))
        mask = torch.ones(tokens.shape[:2], dtype=torch.long)
        found = self.tagging_head(labels, tokens, mask, return_dict=False, mode="tagging")
        told = torch.sigmoid(self.fc(found[0]).squeeze(-1)) > self.class_threshold
        return [" | ".join(self.tag_list[row.numpy()]) for row in told]


def ram(pretrained="", **kwargs):
    assert pretrained == ""
    return RAM(**kwargs)
'''


def write_ram(site: Path, folder: Path) -> dict[str, str]:
    """The package in `site`, weights and tokenizer in `folder` -> options of RAMTagger."""
    (site / "ram" / "models").mkdir(parents=True)
    (site / "ram" / "data").mkdir()
    (site / "ram" / "__init__.py").write_text("")
    (site / "ram" / "models" / "__init__.py").write_text("from .ram import ram\n")
    (site / "ram" / "models" / "ram.py").write_text(RAM_PACKAGE)
    (site / "ram" / "data" / "ram_tag_list.txt").write_text("\n".join(TAGS) + "\n")
    (site / "ram" / "data" / "ram_tag_list_threshold.txt").write_text("\n".join(map(str, THRESHOLDS)) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    torch.save({"model": ram_state()}, folder / "ram.pth")
    return {"weights": str(folder / "ram.pth"), "tokenizer": str(folder)}


def ram_state() -> dict[str, torch.Tensor]:
    """Names and shapes as in the package above, with the names that the published file has."""
    draw = torch.Generator().manual_seed(0)
    shapes = {
        "visual_encoder.0.weight": (6, 3, 32, 32), "visual_encoder.0.bias": (6,), "image_proj.weight": (8, 6),
        "image_proj.bias": (8,), "wordvec_proj.weight": (8, 4), "wordvec_proj.bias": (8,), "label_embed": (len(TAGS), 4),
        "vision_multi.query.weight": (8, 8), "vision_multi.query.bias": (8,), "fc.weight": (1, 8), "fc.bias": (1,),
    }  # fmt: skip
    state = {name: torch.randn(*shape, generator=draw) for name, shape in shapes.items()}
    state["visual_encoder.0.weight"] *= 0.05  # 3072 inputs
    state["fc.weight"] *= 0.1  # so that scores lie on both sides of the thresholds
    return state | {"visual_encoder.relative_position_index": torch.zeros(9)}


def write_clip(folder: Path) -> Path:
    """A CLIPModel of two narrow layers and a tokenizer of letters, as transformers saves them."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")).save_pretrained(folder)
    layers = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    config = CLIPConfig(
        text_config={
            **layers, "vocab_size": len(words), "max_position_embeddings": 40, "projection_dim": 12,
            "bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1,
        },
        vision_config={**layers, "image_size": 32, "patch_size": 8, "projection_dim": 12},
        projection_dim=12,
    )  # fmt: skip
    torch.manual_seed(0)
    model = CLIPModel(config)
    with torch.no_grad():  # as drawn, weights of 0.02 make all prompts alike
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    model.save_pretrained(folder)
    return folder
