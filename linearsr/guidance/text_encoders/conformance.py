"""Does a text encoder keep its contract? `check_text_encoder(mine).require()` raises with the laws broken."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport
from linearsr.core.protocols import TextEncoder
from linearsr.core.structures import GuidanceTokens

TEXTS = ("a cat", "", "a red brick wall behind two bicycles, photograph", "dog", "sky, tree, water")
"""Of several lengths, the empty one among them."""
STRANGE = ("   ", "\n\t", "猫と犬", "кошка", "قطة", "👩‍👩‍👧", "e\u0301", "\x00", "�", "a" * 300, "[PAD] </s> <eos>")
"""Blanks, other scripts, joined emoji, a combining accent, a zero byte, one long word, other models' marks."""
LONG_WORDS = 10_000
MANY_TAGS = 5_000


def check_text_encoder(encoder: TextEncoder, texts: Sequence[str] = TEXTS) -> ConformanceReport:
    """Shapes, masks, determinism, independence of the other texts bit for bit, unusual texts, nothing to train.

    texts: at least two different ones, that the encoder tells apart
    """
    report = ConformanceReport(type(encoder).__name__)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a text that was cut
        for law, test in LAWS.items():
            report.hold(law, partial(test, encoder, list(texts)))
    return report


def words_of(given: GuidanceTokens) -> list[Tensor]:
    """Each text's own tokens [L_i, D]; what the mask hides is padding and may differ."""
    return [tokens[mask] for tokens, mask in zip(given.tokens, given.mask, strict=True)]


def _require_equal(what: str, got: Sequence[Tensor], want: Sequence[Tensor]) -> None:
    for number, (mine, theirs) in enumerate(zip(got, want, strict=True)):
        if mine.shape != theirs.shape:
            raise AssertionError(f"{what}: text {number} has {len(mine)} tokens, wanted {len(theirs)}")
        if not torch.equal(mine, theirs):
            worst = (mine.double() - theirs.double()).abs().max().item()
            raise AssertionError(f"{what}: text {number} differs by up to {worst:.2e}, wanted the same bits")


def _declared(encoder: TextEncoder, texts: Sequence[str]) -> str:
    before = encoder.identity
    if isinstance(encoder.width, bool) or not isinstance(encoder.width, int) or encoder.width < 1:
        raise AssertionError(f"width is {encoder.width!r}; wanted a whole number ≥ 1")
    encoder(texts)
    if not isinstance(before, str) or not before.strip() or encoder.identity != before:
        raise AssertionError(f"identity was {before!r}, is {encoder.identity!r} after a call; wanted the same text")
    return before


def _shapes(encoder: TextEncoder, texts: Sequence[str]) -> str:
    given, single = encoder(texts), encoder(texts[:1])
    if given.tokens.shape[::2] != (len(texts), encoder.width) or not given.tokens.is_floating_point():
        raise AssertionError(
            f"tokens are {given.tokens.dtype} {list(given.tokens.shape)}; wanted float [{len(texts)}, L, {encoder.width}]"
        )
    if single.tokens.dtype != given.tokens.dtype or given.mask.device != given.tokens.device:
        raise AssertionError(f"{single.tokens.dtype} for one text, {given.tokens.dtype} for {len(texts)}; wanted one type")
    if not bool(given.tokens.isfinite().all()):
        raise AssertionError("tokens are not finite, behind the mask or before it; 0 × NaN is NaN in cross-attention")
    return f"{given.tokens.dtype} {list(given.tokens.shape)}"


def _masks(encoder: TextEncoder, texts: Sequence[str]) -> str:
    mask = encoder(texts).mask
    lengths = mask.sum(1)
    prefix = torch.arange(mask.shape[1], device=mask.device) < lengths[:, None]
    if not torch.equal(mask, prefix):
        raise AssertionError("a mask has True behind False; wanted each text's tokens first and padding behind them")
    if int(lengths.min()) < 1 or int(lengths.max()) != mask.shape[1]:
        raise AssertionError(f"texts have {lengths.tolist()} tokens and L is {mask.shape[1]}; wanted ≥ 1 each, L the longest")
    return f"{lengths.tolist()} tokens"


def _same(encoder: TextEncoder, texts: Sequence[str]) -> None:
    _require_equal("again", words_of(encoder(texts)), words_of(encoder(texts)))


def _alone(encoder: TextEncoder, texts: Sequence[str]) -> None:
    _require_equal("alone", [words_of(encoder([text]))[0] for text in texts], words_of(encoder(texts)))


def _reordered(encoder: TextEncoder, texts: Sequence[str]) -> None:
    want = words_of(encoder(texts))
    _require_equal("reversed", words_of(encoder(texts[::-1])), want[::-1])
    _require_equal("twice", words_of(encoder([*texts, *texts])), [*want, *want])


def _told_apart(encoder: TextEncoder, texts: Sequence[str]) -> None:
    words = words_of(encoder(texts))
    for i, text in enumerate(texts):
        for j in range(i):
            if texts[j] != text and words[i].shape == words[j].shape and torch.equal(words[i], words[j]):
                raise AssertionError(f"{texts[j]!r} and {text!r} get the same tokens")


def _empty(encoder: TextEncoder, _: Sequence[str]) -> str:
    return _answered(encoder, [""])


def _strange(encoder: TextEncoder, _: Sequence[str]) -> str:
    return _answered(encoder, STRANGE)


def _long(encoder: TextEncoder, _: Sequence[str]) -> str:
    return _answered(encoder, ["word " * LONG_WORDS, ", ".join(f"tag {number}" for number in range(MANY_TAGS))])


def _answered(encoder: TextEncoder, texts: Sequence[str]) -> str:
    given = encoder(list(texts))
    if len(given.tokens) != len(texts) or not bool(given.mask.any(1).all()) or not bool(given.tokens.isfinite().all()):
        raise AssertionError(
            f"{len(texts)} texts gave {list(given.tokens.shape)}, {given.mask.sum(1).tolist()} tokens, "
            f"finite: {bool(given.tokens.isfinite().all())}"
        )
    return f"{given.mask.sum(1).tolist()} tokens"


def _frozen(encoder: TextEncoder, texts: Sequence[str]) -> None:
    with torch.enable_grad():
        tokens = encoder(texts).tokens
    if tokens.requires_grad:
        raise AssertionError("tokens require a gradient; wanted a frozen encoder that runs under torch.no_grad()")
    if tokens.is_inference():
        raise AssertionError("tokens are of inference mode, which autograd refuses; wanted torch.no_grad()")


def _under_autocast(encoder: TextEncoder, texts: Sequence[str]) -> None:
    plain = encoder(texts)
    with torch.autocast(plain.tokens.device.type, torch.bfloat16):
        cast = encoder(texts)
    if cast.tokens.dtype != plain.tokens.dtype:
        raise AssertionError(f"{cast.tokens.dtype} under autocast, {plain.tokens.dtype} without")
    _require_equal("under autocast", words_of(cast), words_of(plain))


def _random_state(encoder: TextEncoder, texts: Sequence[str]) -> None:
    before = torch.get_rng_state()
    encoder(texts)
    if not torch.equal(torch.get_rng_state(), before):
        raise AssertionError("torch's global generator moved; draw from a torch.Generator of your own")


LAWS: dict[str, Callable[[TextEncoder, Sequence[str]], str | None]] = {
    "width is a whole number and identity a text that stays": _declared,
    "tokens are finite floats [B, L, width] of one type": _shapes,
    "the mask covers each text's first tokens, at least one, and L is the longest": _masks,
    "the same texts get the same tokens, bit for bit": _same,
    "a text's tokens do not depend on the others, bit for bit": _alone,
    "texts in another order, or given twice, get the same tokens": _reordered,
    "different texts get different tokens": _told_apart,
    "an empty text has a token": _empty,
    "unusual texts are answered": _strange,
    "texts of any length are answered": _long,
    "tokens need no gradient": _frozen,
    "autocast around it changes nothing": _under_autocast,
    "the global random state is left alone": _random_state,
}
