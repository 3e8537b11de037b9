"""Triton kernels compiled for a card that need not be there: Triton brings its own assembler."""

from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

OPTIONS = {"num_warps", "num_stages", "enable_fp_fusion"}
HOPPER = 90


def machine_code(kernel: Any, types: dict[str, str], constants: dict[str, Any]) -> bytes:
    """The kernel for compute capability 9.0. types: of arguments that are not 32-bit integers; constants: as at its launch.

    Finds what the interpreter lets pass: types that change in a loop, shapes unknown when compiling, more than a card has.
    """
    own = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = {name: "constexpr" if name in own else types.get(name, "i32") for name in kernel.arg_names}
    source = ASTSource(kernel, signature, {(kernel.arg_names.index(name),): value for name, value in own.items()})
    options = {name: value for name, value in constants.items() if name in OPTIONS}
    return triton.compile(source, target=GPUTarget("cuda", HOPPER, 32), options=options).asm["cubin"]
