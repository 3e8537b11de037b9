"""What the sampling benchmark runs: one evaluation by every road, a whole picture, a large one, a training step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from measuring import measure_peak, stopwatch
from measuring.rounds import Timing, interleave
from sana_pair import NARROW, SANA_600M, Asked, Pair
from torch import Tensor

from linearsr.core.backbones.cuda_graphs import Evaluations
from linearsr.core.costs import flops, peak_bytes
from linearsr.core.models.compiling import compile_blocks
from linearsr.core.structures import GuidanceTokens

Call = Callable[[], Any]
Row = dict[str, Any]
STEPS = 20
FASTEST = "ours, compiled, graph"
DTYPE = torch.bfloat16
ROADS = {
    "ours": (False, False), "ours, compiled": (True, False), "ours, graph": (False, True), FASTEST: (True, True),
}  # fmt: skip
"""Whether blocks are compiled, and whether evaluations are CUDA graphs."""
STATIC = {"dynamic": False}
"""One size is compiled for itself."""
SANA_1600M = SANA_600M | {
    "num_attention_heads": 70, "num_cross_attention_heads": 20, "cross_attention_head_dim": 112, "cross_attention_dim": 2240,
}  # fmt: skip
DC_AE = {
    "latent_channels": 32, "attention_head_dim": 32, "scaling_factor": 0.41407,
    "encoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "decoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "encoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "decoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "encoder_layers_per_block": (2, 2, 2, 3, 3, 3), "decoder_layers_per_block": (3,) * 6,
    "encoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)), "decoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    "downsample_block_type": "Conv", "upsample_block_type": "interpolate",
    "decoder_norm_types": "rms_norm", "decoder_act_fns": "silu",
}  # fmt: skip
"""f32c32 as Sana uses it."""
SMALL_AE = DC_AE | {
    "latent_channels": 8, "attention_head_dim": 8, "encoder_block_types": ("ResBlock", "EfficientViTBlock"),
    "decoder_block_types": ("ResBlock", "EfficientViTBlock"), "encoder_block_out_channels": (16, 16),
    "decoder_block_out_channels": (16, 16), "encoder_layers_per_block": (1, 1), "decoder_layers_per_block": (1, 1),
    "encoder_qkv_multiscales": ((), (5,)), "decoder_qkv_multiscales": ((), (5,)),
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """config, depth: diffusers' keys and blocks; side: tokens of a picture; large: of a large one, or None; batch: pictures of
    a training step, or None."""

    name: str
    config: Mapping[str, Any]
    depth: int
    side: int
    large: int | None = None
    batch: int | None = None


Plan = tuple[tuple[Model, ...], Mapping[str, Any]]
"""Models, and the keys of the autoencoder."""
FULL = ((Model("0.6B", SANA_600M, 28, 32, 128, 32), Model("1.6B", SANA_1600M, 20, 32)), DC_AE)
TINY = ((Model("tiny", NARROW, 2, 8, 16, 2),), SMALL_AE)


def measure(plan: Plan, device: torch.device, rounds: int, budget: float) -> dict[str, Any]:
    """Plain data: rows, and why what failed did."""
    models, autoencoder = plan
    peak = measure_peak(device, [DTYPE], stopwatch(device)).flops[str(DTYPE).removeprefix("torch.")]
    rows: list[Row] = []
    failed: dict[str, str] = {}
    for model in models:
        with noted(f"{model.name}: the model", failed):
            pair = Pair(model.config, model.depth, DTYPE, device)
            for what, work in _parts(pair, model, autoencoder, rounds, budget).items():
                with noted(f"{model.name}: {what}", failed):
                    rows += [{"model": model.name, "what": what, **row} for row in work()]
    return {"device": device.type, "peak_flops": peak, "rows": rows, "failed": failed}


@contextmanager
def noted(name: str, failed: dict[str, str]) -> Iterator[None]:
    """What does not fit, or cannot be compiled, is noted; the others go on."""
    try:
        yield
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _parts(
    pair: Pair, model: Model, autoencoder: Mapping[str, Any], rounds: int, budget: float
) -> dict[str, Callable[[], list[Row]]]:
    def timed(calls: Mapping[str, Call]) -> dict[str, Timing]:
        return interleave(calls, stopwatch(pair.device), rounds=rounds, budget=budget)

    parts = {
        "an evaluation": lambda: _compared(timed(roads(pair, model.side)), "diffusers"),
        f"{STEPS} steps and decoding": lambda: _picture(pair, model.side, autoencoder, timed),
    }
    if model.large is not None:
        parts[f"an evaluation at {32 * model.large}²"] = lambda: _large(pair, model.large or 0, timed)
    if model.batch is not None:
        parts["a training step"] = lambda: _training(pair, model.side, model.batch or 1, timed)
    return parts


@torch.no_grad()
def roads(pair: Pair, side: int) -> dict[str, Call]:
    """Contenders: eager, compiled, and ours as CUDA graphs; the words are prepared."""
    asked = pair.ask(side)
    compiled = torch.compile(copy.deepcopy(pair.theirs), dynamic=False)
    calls = {"diffusers": _theirs(pair.theirs, asked), "diffusers, compiled": _theirs(compiled, asked)}
    for name, (compile_, graph) in ROADS.items():
        ours = copy.deepcopy(pair.ours)
        compile_blocks(ours, STATIC if compile_ else False)
        ours.recorded = Evaluations() if graph else None
        calls[name] = _ours(ours, asked)
    return calls


def _theirs(model: Any, asked: Asked) -> Call:
    step, mask = (asked.times * 1000).to(asked.z.dtype).expand(len(asked.z)), asked.guidance.mask.to(asked.z.dtype)

    def call() -> Tensor:
        return model(asked.z, asked.guidance.tokens, step, encoder_attention_mask=mask, return_dict=False)[0]

    return _no_grad(call)


def _ours(model: Any, asked: Asked) -> Call:
    """A step of sampling: times are known, on the host."""
    times = asked.times.cpu()
    prepared = model.prepare(None, asked.guidance, times)
    return _no_grad(lambda: model(asked.z, times.expand(len(asked.z)), None, None, prepared=prepared))


def _no_grad(call: Call) -> Call:
    def without() -> Any:
        with torch.no_grad():
            return call()

    return without


def _compared(timings: Mapping[str, Timing], peer: str) -> list[Row]:
    return [
        {"contender": name, **timing.figures(), "of_peer": timing.times_faster_than(timings[peer])}
        | (
            {"of_compiled": timing.times_faster_than(timings["diffusers, compiled"])}
            if "diffusers, compiled" in timings
            else {}
        )
        for name, timing in timings.items()
    ]


def _picture(pair: Pair, side: int, autoencoder: Mapping[str, Any], timed: Callable[..., dict[str, Timing]]) -> list[Row]:
    """Of steps by our fastest road, then the decoder."""
    from diffusers import AutoencoderDC

    decoder = AutoencoderDC(**autoencoder).to(pair.device, DTYPE).eval()
    asked, evaluate = pair.ask(side), roads(pair, side)[FASTEST]
    decode = _no_grad(lambda: decoder.decode(asked.z, return_dict=False))

    def whole() -> None:
        for _ in range(STEPS):
            evaluate()
        decode()

    timings = timed({"the decoder alone": decode, FASTEST: whole})
    return [{"contender": name, **timing.figures()} for name, timing in timings.items()]


def _large(pair: Pair, side: int, timed: Callable[..., dict[str, Timing]]) -> list[Row]:
    call = _ours(pair.ours, pair.ask(side))
    return [{"contender": "ours", **timed({"ours": call})["ours"].figures(), "peak_bytes": peak_bytes(call, pair.device)}]


def _training(pair: Pair, side: int, batch: int, timed: Callable[..., dict[str, Timing]]) -> list[Row]:
    """Forward and backward of a mean square, without an optimiser."""
    one = pair.ask(side, counted=300)
    guidance = GuidanceTokens(one.guidance.tokens.expand(batch, -1, -1), one.guidance.mask.expand(batch, -1))
    asked = replace(one, z=one.z.expand(batch, -1, -1, -1).contiguous(), guidance=guidance)
    times, mask = asked.times.expand(batch), guidance.mask.to(DTYPE)

    def theirs() -> None:
        pair.theirs.zero_grad()
        out = pair.theirs(asked.z, guidance.tokens, (times * 1000).to(DTYPE), encoder_attention_mask=mask, return_dict=False)[0]
        out.float().square().mean().backward()

    def ours() -> None:
        pair.ours.zero_grad()
        pair.ours(asked.z, times, None, guidance).float().square().mean().backward()

    calls = {"diffusers": theirs, "ours": ours}
    work, tokens = flops(ours), batch * side**2
    rows = _compared(timed(calls), "diffusers")
    return [
        row | {"flops": work, "tokens": tokens, "peak_bytes": peak_bytes(calls[row["contender"]], pair.device)} for row in rows
    ]
