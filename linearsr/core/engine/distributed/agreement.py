"""What goes wrong on one rank is everybody's business: nobody waits for a rank that will not come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import all_gather_object, get_world_size

from linearsr.core.errors import LinearSRError, RankError


@contextmanager
def together() -> Iterator[None]:
    """`with together(): …` for work that may fail on one rank alone, such as reading a file or making a folder.

    Every rank must come here, and none may talk to another inside. If it fails on any rank it fails on all: the failing
    ranks raise their own error, the others what the first of them says: a LinearSRError if it is the user's to mend, else a
    RankError. For one process it does nothing.
    """
    if get_world_size() == 1:
        yield
        return
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    said = None if failure is None else (isinstance(failure, LinearSRError), str(failure) or type(failure).__name__)
    everyone = all_gather_object(said)
    if failure is not None:
        raise failure
    for rank, other in enumerate(everyone):
        if other is not None:
            mendable, text = other
            raise (LinearSRError if mendable else RankError)(f"{text} (on rank {rank})")
