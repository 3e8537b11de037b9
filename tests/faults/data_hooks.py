"""Harm to the data of a run while it runs."""

from pathlib import Path

from mmengine.hooks import Hook


class CutFile(Hook):
    """Leaves the first `share` of a file before iteration `at`."""

    def __init__(self, path: str, at: int, share: float = 0.1):
        self.path, self.at, self.share = Path(path), at, share

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.at:
            self.path.write_bytes(self.path.read_bytes()[: int(self.share * self.path.stat().st_size)])
