"""What describes the pictures of a data set is what the model was made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.data import Dataset

from linearsr.core.data.datasets import parts_of
from linearsr.core.data.describe import Describe
from linearsr.core.errors import ConfigError
from linearsr.core.registries import GUIDANCE


def check_described(dataset: Dataset[Any], guidance: Mapping[str, Any] | None, loader: str) -> None:
    """guidance: the config's model.guidance; loader: the key of the data set's dataloader.

    Raises ConfigError where a Describe is of another guidance, by identity: its options may be written otherwise, and what
    does not decide the tokens, such as a negative prompt, may differ. One without identity is not compared.
    """
    if guidance is None:
        return
    for part in parts_of(dataset):
        for step in part.transforms:
            if isinstance(step, Describe) and step.guidance != guidance:
                described, wanted = (getattr(GUIDANCE.build(own), "identity", None) for own in (step.guidance, guidance))
                if None not in (described, wanted) and described != wanted:
                    raise ConfigError(
                        f"{loader}: Describe.guidance of {part.name} is {described}, and model.guidance is {wanted}; change "
                        f"Describe.guidance in {loader}.dataset, or model.guidance, so that both are one"
                    )
