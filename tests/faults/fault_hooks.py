"""Hooks that a run under test is given: they write its losses down, draw from the global generators, and do it harm."""

import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook

from linearsr.core import atomic
from linearsr.core.engine import runner as engine_runner
from linearsr.core.engine.checkpoints import files
from linearsr.core.engine.hooks import checkpoint as checkpoint_hook


class LossLog(Hook):
    """Every loss to its last bit, with the seeds of what it was made of: `losses.<rank>.txt`."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with open(Path(runner.work_dir) / f"losses.{get_rank()}.txt", "a") as file:
            file.write(f"{runner.iter + 1} {outputs['loss'].item().hex()} {' '.join(map(str, data_batch['seeds']))}\n")


class NoiseFromEveryGenerator(Hook):
    """A step that draws from torch's, numpy's and Python's global generators, as third parties' parts do."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        data_batch["lr"] += 0.01 * torch.randn_like(data_batch["lr"])
        data_batch["lr"] += 0.01 * float(np.random.rand()) + 0.01 * random.random()  # noqa: NPY002


class KillAt(Hook):
    """Sends `signal` to this process (or to its whole group) at iteration `at`, before its step. rank: of whom."""

    def __init__(self, at, name="SIGKILL", group=False, rank=0):
        self.at, self.number, self.group, self.rank = at, signal.Signals[name], group, rank

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.at and get_rank() == self.rank:
            if self.group:  # from outside, as a scheduler or a terminal does
                send = f"import os; os.killpg({os.getpgrp()}, {int(self.number)})"
                subprocess.run([sys.executable, "-c", send], start_new_session=True, check=True)
            else:
                os.kill(os.getpid(), self.number)


class KillInValidation(Hook):
    def __init__(self, name="SIGTERM"):
        self.number = signal.Signals[name]

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == 1:
            os.kill(os.getpid(), self.number)


class KillInWrite(Hook):
    """kill -9 while iteration `at` is being saved. moment: "half", "unflushed", "unnamed", "unnoted" or "unretired"."""

    priority = "HIGHEST"

    def __init__(self, at, moment):
        self.at, self.moment = at, moment

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 != self.at:
            return
        if self.moment == "half":
            files.torch.save = half_then_die
        elif self.moment == "unflushed":
            atomic.os.fsync = die
        elif self.moment == "unnamed":
            atomic.os.replace = die
        elif self.moment == "unnoted":
            engine_runner.note_newest = die
        else:
            checkpoint_hook.retire = die


class FullDisk(Hook):
    """No file may grow past `limit` bytes from iteration `at` on."""

    def __init__(self, at, limit):
        self.at, self.limit = at, limit

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, resource.RLIM_INFINITY))


class KillWorker(Hook):
    def __init__(self, at):
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.at:
            import multiprocessing

            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


class NaNAt(Hook):
    """Not a number in what the model sees of iteration `at`. once: only the first time that the run comes by."""

    def __init__(self, at, once=False):
        self.at, self.once = at, once

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.at:
            data_batch["hr"][0, 0, 0, 0] = float("nan")
            if self.once:
                self.at = None


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def half_then_die(content, file):
    import io

    whole = io.BytesIO()
    torch.serialization.save(content, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()
    die()
