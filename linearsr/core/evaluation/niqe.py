"""NIQE: how far the statistics of a picture's blocks lie from those of natural pictures. Needs no ground truth.

Mittal, Soundararajan, Bovik, "Making a completely blind image quality analyzer" (2013), as its MATLAB release and BasicSR
compute it: rounded Y, blocks of 96×96 at full and 48×48 at half size, 18 features each. Lower is more natural.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from linearsr.core.errors import WeightsError
from linearsr.core.evaluation.block_statistics import block_features
from linearsr.core.evaluation.color import rgb_to_y
from linearsr.core.evaluation.fidelity import crop
from linearsr.core.resampling import resize_bicubic

BLOCK: Final = 96
SHAPES: Final = {"mu_pris_param": (1, 36), "cov_pris_param": (36, 36), "gaussian_window": (7, 7)}


@dataclass(frozen=True)
class NIQEParameters:
    """Mean [36] and covariance [36, 36] of the features of natural pictures, window [7, 7] of the local mean; float64."""

    mean: Tensor
    covariance: Tensor
    window: Tensor

    @classmethod
    def load(cls, path: str | Path) -> NIQEParameters:
        """From BasicSR's `niqe_pris_params.npz`. Raises WeightsError, which names the path, where it is missing or another."""
        try:
            with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                found = {name: torch.from_numpy(file[name].astype(np.float64)) for name in SHAPES}
        except FileNotFoundError as error:
            raise WeightsError(f"{path}: no such file; set niqe_params to the path of niqe_pris_params.npz") from error
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, TypeError) as error:  # TypeError: an .npy without keys
            raise WeightsError(f"{path} is not an npz file with {', '.join(SHAPES)}: {error}") from error
        for name, shape in SHAPES.items():
            if tuple(found[name].shape) != shape:
                raise WeightsError(f"{path}: {name} is {list(found[name].shape)}; wanted {list(shape)}")
        return cls(found["mu_pris_param"][0], found["cov_pris_param"], found["gaussian_window"])


def niqe(image_01: Tensor, parameters: NIQEParameters, *, crop_border: int) -> float | None:
    """image_01 [3, H, W]. Rows and columns beyond the last whole block are left out.

    None where fewer than two blocks of 96×96 can be used, because the picture is too small or too flat: their covariance is
    then undefined. NaN where the picture holds NaN or Inf. Raises ShapeError for another shape.
    """
    if min(image_01.shape[-2:]) <= 2 * crop_border:
        return None
    luma = crop(rgb_to_y(image_01).cpu(), crop_border)
    if not luma.isfinite().all():
        return math.nan
    rows, columns = (side // BLOCK for side in luma.shape)
    if rows * columns < 2:
        return None
    full = luma[: rows * BLOCK, : columns * BLOCK].round()
    scales = [(full, BLOCK), (_half(full), BLOCK // 2)]
    features = torch.cat([block_features(_normalised(y, parameters.window), side) for y, side in scales], dim=1)
    usable = features[features.isfinite().all(dim=1)]
    if len(usable) < 2:
        return None
    distance = parameters.mean - features.nanmean(dim=0)
    pooled = (parameters.covariance + torch.cov(usable.T)) / 2
    return (distance @ torch.linalg.pinv(pooled) @ distance).sqrt().item()


def _normalised(luma: Tensor, window: Tensor) -> Tensor:
    """[H, W]: each pixel less the mean around it, over the deviation around it plus 1."""
    kernel, reach = window[None, None], window.shape[-1] // 2
    padded = F.pad(luma[None, None], [reach] * 4, mode="replicate")
    mean = F.conv2d(padded, kernel)
    deviation = (F.conv2d(padded**2, kernel) - mean**2).abs().sqrt()
    return ((luma - mean) / (deviation + 1))[0, 0]


def _half(luma: Tensor) -> Tensor:
    """[H, W] -> [H/2, W/2], H and W even, as MATLAB's `imresize`: borders mirrored where ours renormalises the weights."""
    reach = 4  # of the widened cubic; even, so that the output grid stays where it is
    for dim in (0, 1):
        ends = luma.narrow(dim, 0, reach).flip(dim), luma.narrow(dim, luma.shape[dim] - reach, reach).flip(dim)
        luma = torch.cat([ends[0], luma, ends[1]], dim=dim)
    half = resize_bicubic(luma[None, None], (luma.shape[0] // 2, luma.shape[1] // 2))[0, 0]
    return half[reach // 2 : -(reach // 2), reach // 2 : -(reach // 2)]
