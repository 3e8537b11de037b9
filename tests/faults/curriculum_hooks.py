"""Hooks that harm a curriculum. What they do is in the environment, so that the config is that of the unharmed run."""

import os
import signal
from pathlib import Path

from mmengine.hooks import Hook

from linearsr.core import atomic
from linearsr.core.engine.curriculum import running
from linearsr.core.engine.hooks import knee_files

HARM = "LINEARSR_TEST_HARM"
"""<stage>:<moment>, such as "experts:12" (before its step 12) or "pretrain:unrecorded"."""
KNEES = {"pretrain": 12, "experts": 8, "sft": 10}


class ScriptedMetric(Hook):
    """A validation metric that rises until its stage's knee and is flat from there, with a ripple."""

    priority = "HIGHEST"

    def after_val_epoch(self, runner, metrics=None):
        knee = KNEES[Path(runner.work_dir).name]
        metrics["psnr_y"] = 20 + 5 * min(runner.iter, knee) / knee + 0.001 * (runner.iter % 3)


class Harm(Hook):
    priority = "HIGHEST"

    def before_train(self, runner):
        stage, _, self.moment = os.environ.get(HARM, "").partition(":")
        if stage != Path(runner.work_dir).name:
            self.moment = ""
        if self.moment == "settling":
            knee_files.os.replace = die
        if self.moment == "recording":
            replace = os.replace

            def replace_or_die(source, target):
                if Path(target).name == "stage.json":
                    die()
                replace(source, target)

            atomic.os.replace = replace_or_die
        if self.moment == "recorded":
            running.write_report = die

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.moment == str(runner.iter + 1):
            die()

    def after_train(self, runner):
        if self.moment == "unrecorded":
            die()


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
