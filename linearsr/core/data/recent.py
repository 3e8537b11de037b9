"""What has been used last, kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from linearsr.core.data.token_sights import Tokens


class Recent:
    """Tokens by key; those that were used longest ago go when all take more than `limit` bytes."""

    def __init__(self, limit: int):
        self.limit, self.held = limit, 0
        self._kept: OrderedDict[Hashable, Tokens] = OrderedDict()

    def get(self, key: Hashable) -> Tokens | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: Hashable, tokens: Tokens) -> None:
        """key: one that `get` did not find."""
        self._kept[key] = tokens
        self.held += _size(tokens)
        while self.held > self.limit:
            self.held -= _size(self._kept.popitem(last=False)[1])


def _size(tokens: Tokens) -> int:
    return sum(tensor.nbytes for tensor in tokens)
