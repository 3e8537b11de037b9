"""Weights in and out of files, and from Sana."""

from linearsr.core.weights.files import load_strict, read_state_dict, write_safetensors
from linearsr.core.weights.foreign import read_pickled
from linearsr.core.weights.sana import IncompleteWeights, SanaReport, load_sana, sana_config
from linearsr.core.weights.sana_conversion import convert_sana
from linearsr.core.weights.widen import widen_input

__all__ = [
    "IncompleteWeights",
    "SanaReport",
    "convert_sana",
    "load_sana",
    "load_strict",
    "read_pickled",
    "read_state_dict",
    "sana_config",
    "widen_input",
    "write_safetensors",
]
