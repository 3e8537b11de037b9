"""What collapse.py trains: one long run, and short fine-tunings that each differ from it in one respect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

METRICS = {"psnr_y": 1, "ssim_y": 1}
"""Of validation, at one step; all of them decide about the knee."""
LEARNING_RATE = 4e-3
"""The quickstart's peak, here kept to the end and used by every fine-tuning: it provoked a collapse in a first trial."""
LOW = LEARNING_RATE / 10
DECAY = 1.0
"""Shrinks a weight by a third in 100 steps at LEARNING_RATE; the recipe's 0.01 shrinks it by 0.4 %, too little to be seen."""
LONG_DECAY = 0.1
"""Of the second long run: ten times the recipe's, so that some thousand steps show it."""
AVERAGING = 0.05
"""Momentum of a fine-tuning's average of weights, 0.01 in the recipe: after 60 steps the start counts 5 % in it, not 55."""

FLOAT16_SUMS = "float16_sums.Float16Sums"
"""Found by its dotted path: this folder is on the path of a script that lies in it."""
_FLOAT16 = f"model.denoiser.attention.type={FLOAT16_SUMS}"
BARE, PUBLISHED, LARGE = "bare float16 sums", "float32 state", "bare, 2209 tokens"
CONDITIONS: dict[str, tuple[str, ...]] = {
    BARE: (_FLOAT16,),
    PUBLISHED: (),
    LARGE: (_FLOAT16, "train_dataloader.batch_size=2", "train_dataloader.dataset.pipeline.1.size=188"),
    "float16 sums / N": (_FLOAT16, "model.denoiser.attention.divided=True"),
    "bare, qk-norm": (_FLOAT16, "model.denoiser.attention.qk_norm=True"),
    f"bare, decay {DECAY:g}": (_FLOAT16, f"optim_wrapper.optimizer.weight_decay={DECAY}"),
    f"bare, lr {LOW:g}": (_FLOAT16, f"optim_wrapper.optimizer.lr={LOW}"),
    "bare, lr 0": (_FLOAT16, "optim_wrapper.optimizer.lr=0.0"),
}
"""Name -> options on top of a fine-tuning's own. The first provokes, the second is the published maths, the third has half as
many crops of 47×47 tokens, the most that all bundled photos have; the others each take away one supposed cause."""
STARTS = ("late", "knee", "best", "middle", "early")
"""late: the last evaluation; best: that of the highest first metric, which may be one of the others; middle: halfway from the
knee to the end; early: at half the knee's step."""
EVERYWHERE = (BARE, PUBLISHED, LARGE)
"""Conditions that are tried from every start; the others from ELSEWHERE alone, where there is something to be cancelled."""
ELSEWHERE = ("late",)


@dataclass(frozen=True)
class Plan:
    """steps: of the long run; decay_steps: of a second one, with LONG_DECAY; every: steps between their evaluations, each with
    a checkpoint; tuning_steps: of a fine-tuning; seeds: of the fine-tunings' data; the long runs' is 0."""

    steps: int
    decay_steps: int
    every: int
    tuning_steps: int
    seeds: tuple[int, ...]
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    starts: tuple[str, ...] = STARTS

    def pairs(self, steps: Mapping[str, int]) -> list[tuple[str, str]]:
        """(condition, start) of the fine-tunings, in their order. steps: start -> its step; a checkpoint is tried once."""
        named = {steps[start]: start for start in reversed(self.starts)}
        starts = [start for start in self.starts if named[steps[start]] == start]
        pairs = product(self.conditions, starts)
        return [(condition, start) for condition, start in pairs if condition in EVERYWHERE or start in ELSEWHERE]

    def long_options(self) -> list[str]:
        """Constant learning rate after the warm-up, and no decay, so that |W_q| and |W_k| may grow."""
        return self._long_options(self.steps, 0.05, 0.0)

    def decayed_options(self) -> list[str]:
        """The same warm-up in iterations, and LONG_DECAY."""
        return self._long_options(self.decay_steps, round(0.05 * self.steps), LONG_DECAY)

    def _long_options(self, steps: int, warm: float, decay: float) -> list[str]:
        """warm: the end of the warm-up, as a schedule has it."""
        warm_up = f"[{{'type':'LinearLR','start_factor':0.01,'by_epoch':False,'begin':0,'end':{warm}}}]"
        return [
            f"train_cfg.max_iters={steps}",
            f"train_cfg.val_interval={self.every}",
            f"default_hooks.checkpoint.interval={self.every}",
            "default_hooks.checkpoint.max_keep_ckpts=-1",
            *_SHARED,
            f"param_scheduler={warm_up}",
            f"optim_wrapper.optimizer.weight_decay={decay}",
            "randomness.seed=0",
        ]

    def model_options(self, condition: str) -> list[str]:
        """Those of a fine-tuning that say what its model is."""
        return [option for option in CONDITIONS[condition] if option.startswith("model.")]

    def tuning_options(self, condition: str, start: Path, seed: int) -> list[str]:
        """A fresh optimiser at a constant learning rate. start: a file of weights."""
        return [
            f"load_from={start}",
            f"train_cfg.max_iters={self.tuning_steps}",
            f"train_cfg.val_interval={self.tuning_steps}",
            "default_hooks.checkpoint.interval=5",
            "default_hooks.checkpoint.max_keep_ckpts=1",
            f"default_hooks.averaging.momentum={AVERAGING}",
            *_SHARED,
            "param_scheduler=[]",
            f"optim_wrapper.optimizer.lr={LEARNING_RATE}",
            "optim_wrapper.optimizer.weight_decay=0.0",
            f"randomness.seed={seed}",
            *CONDITIONS[condition],
        ]


_SHARED = (
    "default_hooks.logger.interval=1",
    "default_hooks.pictures.pictures=1",
    f"val_evaluator.metrics={list(METRICS)}".replace("'", '"').replace(" ", ""),
)
