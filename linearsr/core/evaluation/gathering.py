"""Results of several ranks to those of one data set, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

from linearsr.core.errors import DataError
from linearsr.core.evaluation.summary import PictureResult


def one_per_picture(shares: Sequence[Sequence[PictureResult]], size: int) -> list[PictureResult]:
    """shares: of each rank, in the order in which it restored its pictures; size: of the data set.

    Samplers deal the pictures out in turn and hand some out twice, so that ranks have equally many: a picture counts once,
    by its name, wherever its copies are. Raises DataError if fewer names than pictures are left: several pictures have one.
    """
    if len(shares) == 1:
        return list(shares[0])
    found: dict[tuple[str, str], PictureResult] = {}
    for result in chain.from_iterable(zip_longest(*shares)):
        if result is not None:
            found.setdefault((result["dataset"], result["name"]), result)
    if len(found) != size:
        raise DataError(
            f"{len(found)} pictures of different names were restored and the data set has {size}; over several ranks each "
            "picture needs a name of its own, and a sampler that hands out every picture"
        )
    return list(found.values())
