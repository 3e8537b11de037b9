"""From one dense model to a mixture of its copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from linearsr.core.weights import load_strict


def upcycle(experts: Iterable[nn.Module], dense: Mapping[str, Tensor], source: str = "the dense checkpoint") -> None:
    """Fills every expert with the same dense weights, so that the mixture equals the dense model (LinearSR, Tab. 5).

    dense:  the state dict of one denoiser like each of the experts, without a prefix
    source: where it comes from, for the message. Raises WeightsError if names or shapes do not fit.
    """
    for expert in experts:
        load_strict(expert, dense, source)
