"""Gemma-2 as Sana uses it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from linearsr.core.registries import TEXT_ENCODERS
from linearsr.guidance.text_encoders.architecture import Architecture
from linearsr.guidance.text_encoders.base import FrozenTextEncoder, Reading, cut_to


@TEXT_ENCODERS.register_module()
class GemmaTextEncoder(FrozenTextEncoder):
    """Gemma-2, the decoder's last hidden states after its last norm. Width 2304 for gemma-2-2b.

    Sana (arXiv 2410.10629, §3.1) lets the model read an instruction and the text as one, and keeps the first token and the
    last `max_tokens` − 1 of what was padded to instruction + max_tokens − 2: so the instruction acts through attention, and of
    itself only its last token is kept. Padding lies to the right of a causal model and behind the mask; here it is left out,
    which changes no token. Texts are stripped and made lower-case, as diffusers' SanaPipeline does.

    instruction: what stands before every text, as one string; Sana's "complex human instruction", whose lines are joined by
                 newlines and which ends in "User Prompt: ". None, the default: no instruction, as for Sana's negative prompts
    max_tokens:  300 by default. The other options are those of FrozenTextEncoder
    """

    architecture = Architecture(
        "Gemma2Model",
        ("gemma2",),
        usual_tokens=300,
        attention="eager",  # caps its logits, as Gemma-2 was trained; fused attention cannot
    )

    def __init__(
        self,
        folder: str | os.PathLike[str],
        tokenizer_folder: str | os.PathLike[str] | None = None,
        instruction: str | None = None,
        max_tokens: int | None = None,
        dtype: str = "float32",
        device: str | None = "cpu",
        unload_after_use: bool = False,
    ):
        super().__init__(folder, tokenizer_folder, max_tokens, dtype, device, unload_after_use)
        self.instruction = instruction or ""

    def _options(self) -> Mapping[str, object]:
        return {**super()._options(), "instruction": self.instruction}

    def _read(self, tokenizer: Any, text: str) -> Reading:
        text = text.lower().strip()
        if not self.instruction:
            return super()._read(tokenizer, text)
        most = len(tokenizer(self.instruction, verbose=False)["input_ids"]) + self.max_tokens - 2
        ids, cut = cut_to(tokenizer, self.instruction + text, most)
        return Reading(ids, [0, *range(most - self.max_tokens + 1, len(ids))], cut)
