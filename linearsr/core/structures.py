"""Values that travel between rooms. Frozen: whoever wants another value makes another object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from linearsr.core.errors import ShapeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Grid = tuple[int, int]
"""Rows and columns of a picture, in tokens where nothing else is said."""
Margin = tuple[int, int, int, int]
"""Rows above and below, columns left and right of a tile: tokens of its neighbours, there to be looked at."""


@dataclass(frozen=True)
class SRBatch:
    """A batch of pictures on one device.

    lr:    low resolution, float [B, 3, h, w] in 0..1
    hr:    high resolution, float [B, 3, s·h, s·w] in 0..1, or None where there is no ground truth
    seeds: one whole number per picture; all noise that a picture gets is drawn from its own seed
    """

    lr: Tensor
    seeds: tuple[int, ...]
    hr: Tensor | None = None

    def __post_init__(self) -> None:
        if self.lr.ndim != 4 or self.lr.shape[1] != 3 or 0 in self.lr.shape or not self.lr.is_floating_point():
            raise ShapeError(f"lr is {self.lr.dtype} {list(self.lr.shape)}; wanted a float [B, 3, h, w] with B, h, w ≥ 1")
        if len(self.seeds) != len(self.lr):
            raise ShapeError(f"{len(self.seeds)} seeds for a batch of {len(self.lr)} pictures; wanted one each")
        if self.hr is not None and (self.hr.shape[:2] != self.lr.shape[:2]):
            raise ShapeError(f"hr is {list(self.hr.shape)} and lr {list(self.lr.shape)}; batch and channels must agree")


@dataclass(frozen=True)
class GuidanceTokens:
    """What is in the picture, as tokens for cross-attention.

    tokens: [B, L, D], any float dtype
    mask:   bool [B, L], True where a token counts; a picture whose row is all False gets exactly 0 from cross-attention
    """

    tokens: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or self.mask.shape != self.tokens.shape[:2]:
            raise ShapeError(
                f"guidance tokens are {list(self.tokens.shape)} with a mask of {list(self.mask.shape)}; "
                "wanted [B, L, D] and [B, L]"
            )
        if str(self.mask.dtype) != "torch.bool":
            raise ShapeError(f"the guidance mask is {self.mask.dtype}; wanted torch.bool, True where a token counts")

    @staticmethod
    def of(given: Any) -> GuidanceTokens:
        """What a guidance gave: any object with `tokens` and `mask`, for those that do not import this class."""
        return given if isinstance(given, GuidanceTokens) else GuidanceTokens(given.tokens, given.mask)

    @property
    def width(self) -> int:
        return self.tokens.shape[-1]

    def to(self, device: torch.device | str) -> GuidanceTokens:
        return GuidanceTokens(self.tokens.to(device), self.mask.to(device))


@dataclass(frozen=True)
class Tag:
    """One thing that is in a picture. score: 0..1, how sure the tagger is; 1 for what a person has written."""

    name: str
    score: float = 1.0

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a tag without a name")


@dataclass(frozen=True)
class Start:
    """What a stage of training begins with: a file, or a checkpoint of an earlier stage, "pretrain@knee".

    file:   path of weights, or None
    stage:  name of an earlier stage, or None
    point:  "knee", "last" or "best", of that stage
    metric: whose best, "psnr_y"; for "best" alone
    """

    file: str | None = None
    stage: str | None = None
    point: str | None = None
    metric: str | None = None

    def __post_init__(self) -> None:
        of_a_stage = self.point in ("knee", "last", "best") and (self.metric is not None) is (self.point == "best")
        if (self.file is None) is not (self.stage is not None and of_a_stage):
            raise ValueError(f"{self!r} is no start: wanted a file, or a stage with 'knee', 'last', or 'best' of a metric")

    def __str__(self) -> str:
        if self.file is not None:
            return self.file
        return f"{self.stage}@{self.point}" + ("" if self.metric is None else f":{self.metric}")
