"""Tokens that say what is in the picture."""

from linearsr.guidance.caption_guidance import CaptionGuidance
from linearsr.guidance.classifier_free import ClassifierFreeGuidance
from linearsr.guidance.clip_image import CLIPImageGuidance
from linearsr.guidance.dino_image import DINOGuidance
from linearsr.guidance.joined import JoinedGuidance
from linearsr.guidance.null import NullGuidance
from linearsr.guidance.prompt_guidance import PromptGuidance
from linearsr.guidance.tag_guidance import TagGuidance
from linearsr.guidance.taggers import CLIPZeroShotTagger, EfficientNetLiteTagger, FixedTags, RAMTagger
from linearsr.guidance.text_encoders import CLIPTextEncoder, GemmaTextEncoder, MiniLMTextEncoder, T5TextEncoder

__all__ = [
    "CLIPImageGuidance",
    "CLIPTextEncoder",
    "CLIPZeroShotTagger",
    "CaptionGuidance",
    "ClassifierFreeGuidance",
    "DINOGuidance",
    "EfficientNetLiteTagger",
    "FixedTags",
    "GemmaTextEncoder",
    "JoinedGuidance",
    "MiniLMTextEncoder",
    "NullGuidance",
    "PromptGuidance",
    "RAMTagger",
    "T5TextEncoder",
    "TagGuidance",
]
