"""Training, one iteration after the other, from wherever the run stands in its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from linearsr.core.engine.checkpoints import restore
from linearsr.core.engine.hooks import divergence_hook
from linearsr.core.engine.optimisation import Diverged
from linearsr.core.errors import ConfigError
from linearsr.core.registries import LOOPS


@LOOPS.register_module()
class TrainLoop(BaseLoop):
    """mmengine's IterBasedTrainLoop with a place in the data.

    An interrupted run goes on there without reading what it has seen already, and one that goes back to a checkpoint does
    not meet the same batch again.
    max_iters: iterations of the whole run, resumes included.
    val_interval: iterations between validations; there is one after the last iteration too. val_begin: the first at which
    there may be one.
    """

    def __init__(
        self, runner: Any, dataloader: DataLoader | dict, max_iters: int, val_begin: int = 1, val_interval: int = 1000
    ):
        super().__init__(runner, dataloader)
        for key, value in (("max_iters", max_iters), ("val_interval", val_interval)):
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"train_cfg.{key} is {value!r}; wanted a whole number ≥ 1")
        self.max_iters, self.val_begin, self.val_interval = max_iters, val_begin, val_interval
        self.iter = 0
        self.position = 0
        """Samples that all ranks have drawn together."""
        self.stop_training = False
        self._batches: Iterator[Any] | None = None

    @property
    def epoch(self) -> int:
        """0: runs are counted in iterations. mmengine's hooks ask for it."""
        return 0

    @property
    def max_epochs(self) -> int:
        return 1

    def run(self) -> Any:
        hook = self.runner.call_hook
        hook("before_train")
        hook("before_train_epoch")
        if self.iter > 0 and self.validates_after(self.iter):
            self.runner.val_loop.run()  # it may have been interrupted; if not, it says the same once more
        while self.iter < self.max_iters and not self.stop_training:
            forward = self.run_iter()
            if forward and not self.stop_training and self.validates_after(self.iter):
                self.runner.val_loop.run()
        hook("after_train_epoch")
        hook("after_train")
        return self.runner.model

    def run_iter(self) -> bool:
        """False if the run went back instead.

        Hooks may have a method `after_train_step(runner, data_batch, outputs)`, which mmengine does not know: before any hook
        learns of the step, and what it raises as Diverged is decided upon as if the step had.
        """
        runner = self.runner
        runner.model.train()
        batch = next(self.batches)
        runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=batch)
        self.position += self._samples_of_a_batch
        outputs = None
        try:
            outputs = runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper)
            runner.call_hook("after_train_step", data_batch=batch, outputs=outputs)
        except Diverged as event:
            judge = divergence_hook(runner)
            if not judge.handle(runner, event, batch):
                return False
        runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=batch, outputs=outputs)
        self.iter += 1
        return True

    def validates_after(self, iteration: int) -> bool:
        due = iteration >= self.val_begin and (iteration % self.val_interval == 0 or iteration == self.max_iters)
        return due and self.runner.val_loop is not None

    @property
    def batches(self) -> Iterator[Any]:
        """Begun on first use, at `position`."""
        if self._batches is None:
            self._batches = self._from_position()
        return self._batches

    def stand_at(self, iteration: int, position: int) -> None:
        """Where a checkpoint left off."""
        self.iter, self.position, self._batches = iteration, position, None

    def go_back(self, checkpoint: Path, lr_scale: float) -> None:
        """To a checkpoint of this run, with the config's learning rates × lr_scale; the data goes on from here.

        What was counted in the message hub since then is lost: note it afterwards.
        """
        batches, position = self._batches, self.position
        restore(self.runner, checkpoint, lr_scale)
        self._batches, self.position = batches, position

    @property
    def _samples_of_a_batch(self) -> int:
        return int(self.dataloader.batch_size) * self.runner.world_size

    def _from_position(self) -> Iterator[Any]:
        sampler, seen = self.dataloader.sampler, self.position // self._samples_of_a_batch
        if hasattr(sampler, "start_at"):
            sampler.start_at(self.position)
        elif self.position:
            self.runner.logger.warning(
                f"{type(sampler).__name__} cannot start in the middle: {seen} batches are read and thrown away; "
                "DrawSampler starts where the run left off"
            )
        batches = self._endless()
        for _ in range(0 if hasattr(sampler, "start_at") else seen):
            next(batches)
        return batches

    def _endless(self) -> Iterator[Any]:
        epoch = 0
        while True:
            if hasattr(self.dataloader.sampler, "set_epoch"):
                self.dataloader.sampler.set_epoch(epoch)
            yield from self.dataloader
            epoch += 1
