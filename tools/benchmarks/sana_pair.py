"""diffusers' Sana and our backbone with the same weights, and what both are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from measuring import Part, Work
from torch import Tensor, nn

from linearsr.core.registries import DENOISERS
from linearsr.core.structures import GuidanceTokens
from linearsr.core.weights import load_sana, sana_config

WORDS, COUNTED = 300, 120
"""Guidance tokens, and how many of them the mask lets through: Sana's prompts are padded to 300; ours leaves padding out."""
STEP = 512
"""Of 1000: a whole number, because the original's time is one."""
SEED = 0
KERNEL = 9
"""Weights of a depthwise 3×3 convolution, for each channel."""

SANA_600M = {
    "num_attention_heads": 36, "attention_head_dim": 32, "num_cross_attention_heads": 16, "cross_attention_head_dim": 72,
    "cross_attention_dim": 1152, "caption_channels": 2304, "in_channels": 32, "out_channels": 32,
}  # fmt: skip
NARROW = {
    "num_attention_heads": 2, "attention_head_dim": 32, "num_cross_attention_heads": 2, "cross_attention_head_dim": 32,
    "cross_attention_dim": 64, "caption_channels": 16, "in_channels": 8, "out_channels": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """z [1, C, h, w]; guidance tokens and mask; all in the models' dtype."""

    z: Tensor
    guidance: GuidanceTokens

    @property
    def times(self) -> Tensor:
        """Float64: 1000·t is the whole number again."""
        return torch.tensor([STEP / 1000], dtype=torch.float64, device=self.z.device)


class Pair:
    """config: diffusers' keys; depth: blocks. Weights are as diffusers draws them, cast to dtype."""

    def __init__(self, config: Mapping[str, Any], depth: int, dtype: torch.dtype, device: torch.device):
        from diffusers import SanaTransformer2DModel

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            theirs = SanaTransformer2DModel(**config, num_layers=depth)
        ours = DENOISERS.build(sana_config(dict(theirs.config)))
        load_sana(ours, theirs.state_dict())
        # torch's own `to`: diffusers' adds a warning about models that are cast after loading
        self.theirs, self.ours = (nn.Module.to(model, device, dtype).eval() for model in (theirs, ours))
        self.config, self.depth, self.dtype, self.device = config, depth, dtype, device

    def ask(self, side: int, counted: int = COUNTED) -> Asked:
        """side: rows and columns of tokens; counted: of the words."""
        draw = torch.Generator().manual_seed(SEED)
        z = torch.randn(1, self.config["in_channels"], side, side, generator=draw)
        words = torch.randn(1, WORDS, self.config["caption_channels"], generator=draw)
        mask = torch.arange(WORDS)[None] < counted
        return Asked(z.to(self.device, self.dtype), GuidanceTokens(words.to(self.dtype), mask).to(self.device))

    def calls(self, asked: Asked) -> dict[str, Callable[[], Tensor]]:
        """diffusers: a forward, which makes keys and values of the words each time; ours: a step of sampling, these and the
        tables of times being prepared; ours, first step: with `prepare`.

        On a GPU the step makes its tables itself: a time is found among them by reading it back, which no CUDA graph can hold.
        """
        mask, step = asked.guidance.mask.to(self.dtype), torch.tensor([STEP], device=self.device)
        times = asked.times
        known = times if self.device.type == "cpu" else None
        with torch.no_grad():
            prepared = self.ours.prepare(None, asked.guidance, known)

        def theirs() -> Tensor:
            return self.theirs(asked.z, asked.guidance.tokens, step, encoder_attention_mask=mask, return_dict=False)[0]

        def ours() -> Tensor:
            return self.ours(asked.z, times, None, None, prepared=prepared)

        def first() -> Tensor:
            fresh = self.ours.prepare(None, asked.guidance, known)
            return self.ours(asked.z, times, None, None, prepared=fresh)

        return {"diffusers": theirs, "ours": ours, "ours, first step": first}

    def modules(self) -> dict[tuple[str, ...], list[nn.Module]]:
        """Path of `parts` -> our modules."""
        blocks = list(self.ours.blocks)
        names = [".".join(part.path[1:]) for part in self.parts(1) if len(part.path) > 1]
        inside = {("block", *name.split(".")): [block.get_submodule(name) for block in blocks] for name in names}
        return {(): [self.ours], ("block",): blocks, **inside}

    def parts(self, tokens: int) -> list[Part]:
        """What each part of ours does in a prepared step for one picture and the words that are counted."""
        width = self.config["num_attention_heads"] * self.config["attention_head_dim"]
        head, hidden, channels = self.config["attention_head_dim"], int(2.5 * width), self.config["in_channels"]
        size, depth = self.dtype.itemsize, self.depth

        def product(into: int, out: int) -> Work:
            return Work(2 * tokens * into * out, (tokens * (into + out) + into * out) * size)

        def values(count: int) -> Work:
            return Work(0, count * size)

        core = Work(4 * tokens * width * (head + 1), 4 * tokens * width * size)
        words = Work(4 * tokens * COUNTED * width, 2 * (tokens + COUNTED) * width * size)
        depthwise = Work(2 * KERNEL * tokens * 2 * hidden, (2 * tokens + KERNEL) * 2 * hidden * size)
        of_a_block = {
            (): ("norms and residuals", values(13 * tokens * width)),  # two norms read and write, three sums read two
            ("attention",): ("attention core", core),
            ("attention", "qkv"): ("qkv", product(width, 3 * width)),
            ("attention", "proj"): ("projection", product(width, width)),
            ("cross_attention",): ("cross-attention", product(width, width) + words + product(width, width)),
            ("feed_forward",): ("SiLU and gate", values(7 * tokens * hidden)),  # 2·hidden in and out, then 2·hidden to hidden
            ("feed_forward", "expand"): ("expand", product(width, 2 * hidden)),
            ("feed_forward", "depthwise"): ("depthwise 3×3", depthwise),
            ("feed_forward", "contract"): ("contract", product(hidden, width)),
        }
        ends = Part((), "embedding and head", product(channels, width) + product(width, channels))
        blocks = [
            Part(("block", *path), name, Work(depth * work.flops, depth * work.bytes))
            for path, (name, work) in of_a_block.items()
        ]
        return [ends, *blocks]
