"""Names of what is in a picture."""

from linearsr.guidance.taggers.clip_zero_shot import CLIPZeroShotTagger
from linearsr.guidance.taggers.efficientnet_lite import EfficientNetLiteTagger
from linearsr.guidance.taggers.fixed import FixedTags
from linearsr.guidance.taggers.recognize_anything import RAMTagger

__all__ = ["CLIPZeroShotTagger", "EfficientNetLiteTagger", "FixedTags", "RAMTagger"]
