"""Weights in and out: files, and the names of pretrained Sana."""

from linearsr.core.weights.files import load_strict, read_state_dict, write_safetensors

__all__ = ["load_strict", "read_state_dict", "write_safetensors"]
