"""Triton kernels compiled for cards that need not be there: Triton brings its own assembler."""

from typing import Any

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel

OPTIONS = {"num_warps", "num_stages", "enable_fp_fusion"}
POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}
CARDS = (80, 90, 100, 120)
"""Compute capabilities, times ten: of an A100, an H100, a B200 and an RTX 5090."""
SHARED_BYTES = 99 * 1024
"""Of one program, at most, on the cards that have the least: compute capabilities 8.6, 8.9 and 12.0."""


def variants(quick: set[tuple[Any, ...]], *axes: tuple[Any, ...]) -> list[Any]:
    """One parameter set for each card and each entry of `axes`; `slow` where it is not among the quick."""
    sets = [(card, *axis) for card in CARDS for axis in axes]
    return [pytest.param(*one, marks=[] if one in quick else [pytest.mark.slow]) for one in sets]


def compile_for(card: int, kernel: Any, types: dict[str, str], constants: dict[str, Any]) -> CompiledKernel:
    """types: of arguments that are not 32-bit integers; constants: as at the kernel's launch.

    Finds what the interpreter lets pass: types that change in a loop, shapes unknown when compiling, more than a card has.
    """
    own = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = {name: "constexpr" if name in own else types.get(name, "i32") for name in kernel.arg_names}
    source = ASTSource(kernel, signature, {(kernel.arg_names.index(name),): value for name, value in own.items()})
    options = {name: value for name, value in constants.items() if name in OPTIONS}
    compiled = triton.compile(source, target=GPUTarget("cuda", card, 32), options=options)
    assert compiled.metadata.shared <= SHARED_BYTES
    return compiled
