"""CLIP as a tagger: which of these names fits the picture?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.registries import TAGGERS
from linearsr.core.values import require_count, require_positive
from linearsr.guidance.packages import require_package
from linearsr.guidance.taggers.clip_folder import CLIPFolder, clip_folder
from linearsr.guidance.taggers.names import told_name
from linearsr.guidance.taggers.network import Classifier, NetworkTagger
from linearsr.guidance.taggers.pictures import mean_over_views
from linearsr.guidance.taggers.selection import Selection
from linearsr.guidance.taggers.vocabulary import read_vocabulary

TEXTS = 64
"""Prompts that are encoded at once, when the network is loaded."""


@TAGGERS.register_module()
class CLIPZeroShotTagger(NetworkTagger):
    """Radford et al. 2021, §3.1: cosines between the picture and one prompt per name, times the logit scale.

    folder:      as transformers saves a CLIPModel and its tokenizer; nothing is downloaded
    vocabulary:  names, or a text file with one a line (`read_vocabulary`)
    template:    the prompt; {} is the name
    neutral:     None: scores are a softmax over the vocabulary, as in the paper, and sum to 1. A text such as "a photo": each
                 name is weighed against that text alone, a sigmoid of the difference of their logits, so that scores do not
                 depend on what else the vocabulary holds (our choice)
    logit_scale: factor of the cosines; None: the trained one
    grid:        as in EfficientNetLiteTagger
    threshold, max_tags, order, drop_synonyms: see Selection; device, dtype: see NetworkTagger. Cosines are float32
    Raises MissingExtraError, WeightsError, DataError or ConfigError.
    """

    def __init__(
        self,
        folder: str,
        vocabulary: str | Sequence[str],
        template: str = "a photo of a {}.",
        neutral: str | None = None,
        logit_scale: float | None = None,
        grid: int = 1,
        threshold: float | Sequence[float] = 0.1,
        max_tags: int | None = 5,
        order: str = "score",
        drop_synonyms: bool = True,
        device: str | None = None,
        dtype: str = "float32",
    ):
        require_package(type(self).__name__, "transformers", "transformers")
        if not isinstance(template, str) or "{}" not in template:
            raise ConfigError(f"tagger.template is {template!r}; wanted a text with {{}} where the name goes")
        self.folder = clip_folder(type(self).__name__, folder, "tagger.folder")
        self.vocabulary = read_vocabulary(vocabulary)
        self.template = template
        self.neutral = neutral
        self.logit_scale = None if logit_scale is None else require_positive(logit_scale, "tagger.logit_scale")
        self.grid = require_count(grid, "tagger.grid")
        told: dict[str, Any] = {"template": template, "neutral": neutral, "logit_scale": self.logit_scale, "grid": self.grid}
        told["vocabulary"] = self.vocabulary
        selection = Selection(threshold, max_tags, order, drop_synonyms)
        super().__init__(selection, told, self.folder.files, device, dtype)

    def load(self) -> Classifier:
        model, tokenizer = _load(type(self).__name__, self.folder)
        model = _own_memory(model.float().eval().requires_grad_(False)).to(self.device or "cpu")
        prompts = [self.template.replace("{}", told_name(name)) for name in self.vocabulary]
        prompts += [] if self.neutral is None else [self.neutral]
        scale = model.logit_scale.exp().item() if self.logit_scale is None else self.logit_scale
        return Classifier(ImageTower(model, scale * _directions(model, tokenizer, prompts)), self.vocabulary)

    def scores(self, module: Any, picture: Tensor) -> Tensor:
        mean, std = (picture.new_tensor(values)[:, None, None] for values in (self.folder.mean, self.folder.std))
        weigh = softmax_scores if self.neutral is None else against_last
        return mean_over_views(
            picture, module.side, self.grid, lambda view: weigh(module(((view - mean) / std).to(self.dtype))[0])
        )


class ImageTower(nn.Module):
    """What is left of CLIP once the prompts are encoded.

    scaled_texts: float32 [T, D], directions of the prompts times the logit scale; stays float32 in any dtype
    """

    def __init__(self, model: Any, scaled_texts: Tensor):
        super().__init__()
        self.vision = model.vision_model
        self.projection = model.visual_projection
        self.side = model.config.vision_config.image_size
        self.scaled_texts = scaled_texts

    def forward(self, view: Tensor) -> Tensor:
        """Normalised pictures [B, 3, side, side] -> logits float32 [B, T]."""
        features = self.projection(self.vision(pixel_values=view).pooler_output).float()
        return F.normalize(features, dim=-1) @ self.scaled_texts.to(features.device).T


def softmax_scores(logits: Tensor) -> Tensor:
    """[C] -> [C], which sum to 1."""
    return logits.softmax(0)


def against_last(logits: Tensor) -> Tensor:
    """[C + 1] -> [C]: each against the last one alone, what a softmax over the two would give it."""
    return (logits[:-1] - logits[-1]).sigmoid()


def _load(who: str, folder: CLIPFolder) -> tuple[Any, Any]:
    """Model and tokenizer. transformers fills what the file lacks with random numbers, and only logs it: here an error."""
    from transformers import AutoTokenizer, CLIPModel

    from linearsr.guidance.text_encoders.loading import quiet

    place = str(folder.path)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
            found: Any = CLIPModel.from_pretrained(place, local_files_only=True, use_safetensors=True, output_loading_info=True)
    except Exception as cause:  # whatever safetensors, tokenizers or transformers raise for a damaged or foreign folder
        said = (str(cause).strip().splitlines() or [""])[0]
        raise WeightsError(
            f"{who}: {folder.path.absolute()} holds no CLIPModel that loads: {type(cause).__name__}: {said}; nothing was "
            "downloaded; wanted the files of one model, as they were published; change tagger.folder"
        ) from cause
    model, report = found
    if lacking := sorted(report["missing_keys"]):
        raise WeightsError(
            f"{who}: {folder.files[1]} lacks {len(lacking)} weights of a CLIPModel, {lacking[0]} among them; nothing was "
            "downloaded; wanted the files of one whole model; change tagger.folder"
        )
    return model, tokenizer


def _own_memory(model: Any) -> Any:
    """As loaded, weights are the mapped file: sums round by where they lie in it, and change with it if it is overwritten."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model


@torch.no_grad()
def _directions(model: Any, tokenizer: Any, prompts: Sequence[str]) -> Tensor:
    """Unit vectors of the prompts, float32 [T, D] on the CPU. Longer ones than the network's context are cut."""
    length = model.config.text_config.max_position_embeddings
    found = []
    for start in range(0, len(prompts), TEXTS):
        texts = list(prompts[start : start + TEXTS])
        ids = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        pooled = model.text_model(ids["input_ids"].to(model.device), ids["attention_mask"].to(model.device)).pooler_output
        found.append(F.normalize(model.text_projection(pooled), dim=-1).cpu())
    return torch.cat(found)
