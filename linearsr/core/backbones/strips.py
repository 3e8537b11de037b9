"""A gated convolutional feed-forward over strips of rows, so that its wide hidden picture never exists as a whole.

H rows and W columns of tokens, D their width, h the width of a value and of its gate.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Weights(NamedTuple):
    """Of the three steps, all of one dtype. expand [2h, D] with bias; depthwise [2h, 1, 3, 3] with bias; contract [D, h]."""

    expand: Tensor
    expand_bias: Tensor
    depthwise: Tensor
    depthwise_bias: Tensor
    contract: Tensor


def feed_forward_in_strips(picture: Tensor, out: Tensor, weights: Weights, rows: int) -> None:
    """picture [H, W, D] -> out [H, W, D], both contiguous and of the weights' dtype; rows: of a strip. Records no gradients.

    The two hidden rows at the end of a strip are kept for the next one, whose convolution looks at them: nothing is computed
    twice. One hidden strip is reused throughout, for on a CPU fresh memory costs as much as the convolution.
    """
    height, width, dim = picture.shape
    channels = weights.expand.shape[0]
    rows = min(rows, height)
    hidden = picture.new_empty(rows + 2, width, channels)
    hidden[0] = 0  # above the picture
    gated = picture.new_empty(rows * width, channels // 2)
    ready = 0
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        below = min(stop + 1, height)
        new = hidden[ready - start + 1 : below - start + 1].view(-1, channels)
        torch.addmm(weights.expand_bias, picture[ready:below].view(-1, dim), weights.expand.t(), out=new)
        F.silu(new, inplace=True)
        hidden[below - start + 1 : stop - start + 2] = 0  # below the picture
        strip = hidden[None, : stop - start + 2].permute(0, 3, 1, 2)  # this order of steps keeps it known as channels-last
        mixed = F.conv2d(strip, weights.depthwise, weights.depthwise_bias, padding=(0, 1), groups=channels)
        value, gate = mixed.permute(0, 2, 3, 1).reshape(-1, channels).chunk(2, -1)
        product = torch.ops.aten.silu.out(gate, out=gated[: len(gate)]).mul_(value)
        torch.mm(product, weights.contract.t(), out=out[start:stop].view(-1, dim))
        if stop < height:
            hidden[:2] = hidden[stop - start : stop - start + 2].clone()
        ready = below
