"""Which picture comes next, and the seed of what is drawn for it."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import torch
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from linearsr.core.errors import ConfigError, DataError
from linearsr.core.randomness import generator, mix_seed
from linearsr.core.registries import DATA_SAMPLERS


class DrawIndex(int):
    """A dataset index with the seed of this draw; anything that takes an index takes it. Travels to data workers."""

    seed: int

    def __new__(cls, index: int, seed: int) -> DrawIndex:
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __getnewargs__(self) -> tuple[int, int]:  # type: ignore[override]
        return int(self), self.seed


@DATA_SAMPLERS.register_module()
class DrawSampler(Sampler[DrawIndex]):
    """An endless stream of draws: epoch after epoch in a new order, each draw with a seed of its own.

    Draw p of the stream is the same whatever the number of ranks or workers: rank r of R serves p = r, r+R, …
    dataset: supplied by the runner. seed: as the runner's `randomness.seed`, which supplies it.
    """

    def __init__(self, dataset: Sized, seed: int | None = None):
        if seed is None:
            raise ConfigError(
                "DrawSampler needs one seed for all ranks; set randomness=dict(seed=0) without diff_rank_seed in the config"
            )
        if len(dataset) == 0:
            raise DataError("the training dataset is empty; DrawSampler has nothing to draw from")
        self.length = len(dataset)
        self.seed = seed
        self.start = 0
        self.rank, self.world_size = get_dist_info()

    def start_at(self, position: int) -> None:
        """The next iterator's first draw, of all ranks together: a resumed run reads nothing that it has seen."""
        self.start = position

    def __iter__(self) -> Iterator[DrawIndex]:
        position, epoch, order = self.start + self.rank, -1, []
        while True:
            if position // self.length != epoch:
                epoch = position // self.length
                order = torch.randperm(self.length, generator=generator(mix_seed(self.seed, epoch, 0))).tolist()
            yield DrawIndex(order[position % self.length], mix_seed(self.seed, position, 1))
            position += self.world_size

    def __len__(self) -> int:
        """Draws of one epoch on this rank."""
        return -(-(self.length - self.rank) // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """The stream runs across epochs by itself; torch's samplers have this method, so mmengine calls it."""
