"""Restored pictures to files and lines of the manifest, while the model is at the next ones."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from mmengine.hooks import Hook

from linearsr.core.data.images import write_image
from linearsr.core.digests import sha256_of
from linearsr.core.engine.restoring.manifest import Entry, Journal
from linearsr.core.engine.restoring.places import place_of
from linearsr.core.engine.restoring.progress import Progress
from linearsr.core.errors import DataError

WRITERS: Final = 2
"""Threads. A PNG of 4096² takes seconds to compress, for which Pillow lets go of Python's lock."""
WAITING: Final = 4
"""Pictures that may wait to be written, before the model waits: 200 MB each at 4096²."""


class KeepPictures(Hook):
    """Writes `OUT/<name>.png`, then its line. A picture that cannot be written as one, such as NaN, is a failed one.

    sources: absolute paths of the LR pictures, by name. Raises DataError where a file cannot be written, as on a full disk.
    """

    priority = "LOW"

    def __init__(self, out: Path, sources: Mapping[str, str], journal: Journal, num_steps: int, progress: Progress):
        self.out, self.sources, self.journal = out, sources, journal
        self.num_steps, self.progress = num_steps, progress
        self.pool = ThreadPoolExecutor(WRITERS)
        self.waiting: deque[Future[None]] = deque()
        self.one_at_a_time = threading.Lock()

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for sample, seed, sha256 in zip(outputs, data_batch["seeds"], data_batch["source_sha256"], strict=True):
            while len(self.waiting) >= WAITING:
                self.waiting.popleft().result()
            self.waiting.append(self.pool.submit(self._keep, sample, seed, sha256))

    def after_lost_picture(self, runner: Any, name: str, source_sha256: str | None, reason: str) -> None:
        self._fail(name, source_sha256, reason)

    def after_test(self, runner: Any) -> None:
        while self.waiting:
            self.waiting.popleft().result()

    def close(self) -> None:
        """Also after an error: what is being written is finished, what waits is given up."""
        self.pool.shutdown(cancel_futures=True)

    def _keep(self, sample: Mapping[str, Any], seed: int, sha256: str | None) -> None:
        name, place = sample["name"], place_of(sample["name"])
        try:
            write_image(self.out / place, sample["sr"])
            output_sha256 = sha256_of(self.out / place)
        except OSError as error:
            raise DataError(
                f"{self.out / place} could not be written: {error.strerror or error}; what was done before is whole: free "
                "some space or mend its permissions, and start again to go on"
            ) from error
        except DataError as error:
            self._fail(name, sha256, str(error))
            return
        self._note(
            Entry(
                name,
                "done",
                self.sources[name],
                sha256,
                self.num_steps,
                lr_size=list(sample["lr"].shape[-2:]),
                output=place,
                output_size=list(sample["sr"].shape[-2:]),
                output_sha256=output_sha256,
                seed=seed,
                seconds=round(sample["seconds"], 4),
            )
        )

    def _fail(self, name: str, sha256: str | None, reason: str) -> None:
        """What an earlier content of the file became is not there any more: it would pass for this one's."""
        (self.out / place_of(name)).unlink(missing_ok=True)
        self._note(Entry(name, "failed", self.sources[name], sha256, self.num_steps, reason=reason))

    def _note(self, entry: Entry) -> None:
        with self.one_at_a_time:
            self.journal.add(entry)
            self.progress.settled(entry)
