"""Texts of several lengths as one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from linearsr.core.structures import GuidanceTokens


def pad_tokens(encoded: Sequence[Tensor]) -> GuidanceTokens:
    """B tensors [L_i, D] of one dtype and device -> tokens [B, max L_i, D] with exact zeros behind the mask."""
    lengths = torch.tensor([len(tokens) for tokens in encoded])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return GuidanceTokens(torch.nn.utils.rnn.pad_sequence(list(encoded), batch_first=True), mask.to(encoded[0].device))
