"""Whether Triton is installed; asked without importing it, which takes a second and is for CUDA tensors only."""

from importlib.util import find_spec

HAS_TRITON = find_spec("triton") is not None
