"""Triton kernels on the CPU: nothing of it is left behind, no environment variable either."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import pytest
import triton.language as tl
from triton.runtime.interpreter import InterpretedFunction, InterpreterBuilder, TensorHandle
from triton.runtime.jit import JITFunction

cast = InterpreterBuilder.cast_impl


@contextmanager
def interpreted(*modules: ModuleType) -> Iterator[None]:
    """Every kernel of these modules, and of Triton's own library, runs in Triton's interpreter.

    Triton decides that where a kernel is decorated: at import, of its own `tl.sum` too, and torch may have imported it long
    ago. So the kernels are exchanged where they are, and back. (Triton 3.3 does not clean up behind its own interpreter: with
    it, tests that compile kernels need a process of their own.)
    """
    # a card is silent where numpy warns: of exp's overflow in a sigmoid, of 0/0 in a row that is not stored
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        patch.setenv("TRITON_INTERPRET", "1")
        patch.setattr(InterpreterBuilder, "create_dot", _dot)
        patch.setattr(InterpreterBuilder, "cast_impl", _cast)
        for module in (tl, *modules):
            for name, function in list(vars(module).items()):
                if isinstance(function, JITFunction):
                    patch.setattr(module, name, Interpreted(function.fn))
        for module in modules:
            # a launch exchanges the builtins of the languages that the kernel's own module names, and puts them back
            patch.setattr(module, "core", tl.core, raising=False)
        yield


class Interpreted(InterpretedFunction):
    """A function called by a kernel runs in the language that the launch has exchanged. Triton exchanges it again for each
    call, which takes milliseconds, and does not put it back."""

    def __call__(self, *args, **kwargs):
        return self.rewrite()(*args, **kwargs)


def _dot(builder, a, b, total, input_precision, _):
    """The interpreter multiplies bfloat16 as the integers in which it keeps them."""
    left, right = (builder.cast_impl(x, tl.float32).data if x.dtype.scalar == tl.bfloat16 else x.data for x in (a, b))
    return TensorHandle(np.matmul(left, right, dtype=np.float32) + total.data, total.dtype.scalar)


def _cast(builder, x, dtype):
    """The interpreter cuts float32 to bfloat16; devices round to the nearest, to even where there are two."""
    if (x.dtype.scalar, dtype.scalar) != (tl.float32, tl.bfloat16):
        return cast(builder, x, dtype)
    bits = np.ascontiguousarray(x.data).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16
    return TensorHandle(np.where(np.isnan(x.data), 0x7FC0, rounded).astype(np.uint16), tl.bfloat16)
