"""A run that is about to diverge is stopped, or goes back, while every number is finite still; a healthy one is left alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from linearsr.core.engine import NEWEST, DivergenceHook, read_log, run_training
from linearsr.core.engine.checkpoints import read_checkpoint
from linearsr.core.engine.hooks.divergence_guard import DivergenceGuard
from linearsr.core.errors import ConfigError, DivergenceError
from linearsr.core.registries import HOOKS
from tests.core.engine.conftest import same_weights

HERE = "tests.core.engine.test_divergence_guard"
LAYER = "denoiser.blocks.0.attention"
OFF = {"loss": None, "gradient": None, "growth": None, "denominator": None, "state": None}
BACK = {"default_hooks.divergence": {"type": "RollBackOnDivergence"}}
AT = 15
"""The iteration before which a weight is harmed, counted from 1."""


class Harm(Hook):
    """Multiplies rows of a weight, once, before iteration AT."""

    def __init__(self, weight: str, by: float, start: int = 0, stop: int | None = None):
        self.weight, self.by, self.rows, self.done = weight, by, slice(start, stop), False

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx + 1 == AT and not self.done:
            runner.model.get_parameter(self.weight).data[self.rows] *= self.by
            self.done = True


class GoesOn(DivergenceHook):
    def decide(self, runner: Any, cause: Any) -> bool:
        return True


class Silent(nn.Module):
    """A third party's attention that says nothing of itself."""

    linear, permutation_equivariant, additive = True, True, False

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.value = nn.Linear(dim, dim)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        return x + self.value(x).mean(1, keepdim=True)


Train = Callable[..., Path]


@pytest.fixture
def train(config: Path, tmp_path: Path) -> Train:
    def train(
        name: str, guard: dict[str, Any] | None, harm: dict[str, Any] | None = None, resume: Any = None, **more: Any
    ) -> Path:
        """20 iterations with a checkpoint every 6 and readings every 4. more: options, with "__" for each dot."""
        options = {
            "optim_wrapper.type": "PrecisionOptimWrapper", "train_cfg.max_iters": 20, "train_cfg.val_interval": 100,
            "train_cfg.val_begin": 100, "default_hooks.checkpoint.interval": 6, "param_scheduler": None,
            "default_hooks.pictures": None, "log_processor.window_size": 1,
        }  # fmt: skip
        if guard is not None:
            options["default_hooks.guard"] = {"type": "DivergenceGuard", "window": 10, "warmup": 0, "interval": 4} | guard
        if harm is not None:
            options["custom_hooks"] = [{"type": f"{HERE}.Harm"} | harm]
        return run_training(config, tmp_path / name, resume, options | {key.replace("__", "."): v for key, v in more.items()})

    return train


def report(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "divergence.json").read_text())
    return found


SPIKE = {"weight": "denoiser.head.weight", "by": 1e4}
LONG_QUERIES = {"weight": f"{LAYER}.qkv.weight", "by": 30.0, "stop": 16}
LONG_KEYS = {"weight": f"{LAYER}.qkv.weight", "by": 30.0, "start": 16, "stop": 32}
SHORT = {"weight": f"{LAYER}.qkv.weight", "by": 1e-8, "stop": 32}
LARGE = {"weight": f"{LAYER}.qkv.weight", "by": 1e4, "start": 16}
HARMS = {
    "loss": (SPIKE, "loss range", None, AT, "the loss is"),
    "gradient": (SPIKE, "gradient range", None, AT, "the norm of the gradient is"),
    "growth": (LONG_QUERIES, "query-key growth", LAYER, 16, rf"\|W_q\| of {LAYER} is"),
    "keys": (LONG_KEYS, "query-key growth", LAYER, 16, rf"\|W_k\| of {LAYER} is"),
    "denominator": (SHORT, "denominator", LAYER, 16, f"the smallest denominator of {LAYER} is"),
    "state": (LARGE, "state", LAYER, 16, f"the largest entry of the state of {LAYER} is"),
}
"""Name of a sign -> harm, what is reported, of which layer, at which iteration, and how the message begins."""


@pytest.mark.parametrize("sign", HARMS)
def test_each_sign_alone_ends_the_run_before_anything_is_saved(train: Train, tmp_path: Path, sign: str) -> None:
    harm, what, layer, iteration, begins = HARMS[sign]
    option = "growth" if sign == "keys" else sign
    default = {name: value for name, value in OFF.items() if name != option}
    with pytest.raises(
        DivergenceError, match=rf"^{begins} .*DivergenceGuard\.{option}\)\. Nothing of iteration {iteration} was saved; resume"
    ):
        # Adam's steps have one size, and lengthen what is short at once
        train("run", default, harm, optim_wrapper__optimizer__lr=1e-12 if sign == "denominator" else 1e-3)
    folder = tmp_path / "run"
    assert sorted(path.name for path in folder.glob("*.pth")) == ["iter_12.pth", "iter_6.pth"]
    (entry,) = report(folder)
    assert (entry["iteration"], entry["what"], entry["layer"], entry["done"]) == (iteration, what, layer, "the run ended")
    assert (entry["figure"] < entry["limit"]) == (sign == "denominator")
    assert f"{entry['limit']:g}" in entry["text"]


def test_all_off_it_lets_the_same_happen(train: Train) -> None:
    folder = train("run", OFF, SPIKE)
    assert (folder / "iter_20.pth").is_file()
    assert not (folder / "divergence.json").exists()
    assert not {"qk_growth", "min_denominator", "max_state"} & {key for line in read_log(folder / "log.jsonl") for key in line}


def test_a_healthy_run_is_left_as_it_is_and_its_signs_are_logged(train: Train) -> None:
    watched, alone = train("watched", {}), train("alone", None)
    assert same_weights(watched / "iter_20.pth", alone / "iter_20.pth")
    assert not (watched / "divergence.json").exists()
    last = read_log(watched / "log.jsonl", "train")[-1]
    assert 0.9 < last["qk_growth"] < 1.1  # 20 steps of 1e-3
    assert last["min_denominator"] > 1e-6
    assert 0 < last["max_state"] < 100


def test_no_checkpoint_is_written_that_a_sign_speaks_against(train: Train, tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match="Nothing of iteration 18 was saved"):
        train("run", {"interval": 1000}, LARGE)
    assert not (tmp_path / "run" / "iter_18.pth").exists()


def test_a_run_goes_back_to_range_and_first_norms_of_its_checkpoint(train: Train) -> None:
    kept = {"default_hooks__checkpoint__max_keep_ckpts": -1}
    folder = train("run", {}, LONG_QUERIES, **BACK, **kept)
    alone = train("alone", {}, **kept)
    (entry,) = report(folder)
    assert (entry["iteration"], entry["done"]) == (16, "back to iteration 12")
    then, now = (read_checkpoint(run / "iter_12.pth") for run in (alone, folder))
    assert now["divergence_guard"] == then["divergence_guard"]
    assert len(now["divergence_guard"]["ranges"]["loss"]) == 10
    assert (now["meta"]["position"], then["meta"]["position"]) == (32, 24)
    last = read_checkpoint(folder / "iter_20.pth")
    assert last["divergence_guard"]["norms"] == then["divergence_guard"]["norms"]
    assert last["message_hub"]["runtime_info"]["rollbacks"] == 1
    assert read_log(folder / "log.jsonl", "train")[-1]["qk_growth"] < 1.1


def test_a_run_goes_back_to_its_knee(train: Train) -> None:
    knee = {"type": "KneeHook", "optimizer": True, "knee": {"type": "KneeDetector", "directions": {"psnr_y": 1}, "patience": 4}}
    options = {"default_hooks.divergence": {"type": "RollBackToKnee"}, "default_hooks.knee": knee}
    folder = train("run", {}, LARGE, **options, train_cfg__val_begin=1, train_cfg__val_interval=4)
    (entry,) = report(folder)
    state = json.loads((folder / "knee.json").read_text())["evaluations"]
    assert (entry["what"], entry["iteration"]) == ("query-key growth", 16)
    assert entry["done"] in {f"back to iteration {validated['step']}" for validated in state if validated["step"] < 16}
    assert len(read_checkpoint(folder / "iter_20.pth")["divergence_guard"]["ranges"]["loss"]) == 10


# dynamo asks every tensor for .grad and hides the warning itself, but only where warnings are no errors
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_signs_are_read_in_16_bits_and_of_compiled_blocks(train: Train, dtype: str) -> None:
    options = {"optim_wrapper__dtype": dtype, "model__compile_denoiser": {"backend": "eager"}, "train_cfg__max_iters": 4}
    watched, alone = train("watched", {}, **options), train("alone", None, **options)
    assert same_weights(watched / "iter_4.pth", alone / "iter_4.pth")
    assert read_log(watched / "log.jsonl", "train")[-1]["min_denominator"] > 0


def test_skipping_cannot_mend_it(train: Train, tmp_path: Path) -> None:
    skip = {"default_hooks.divergence": {"type": "SkipDivergedSteps"}}
    with pytest.raises(DivergenceError, match="Nothing of iteration 15 was saved; the step was taken before it showed"):
        train("run", {}, SPIKE, **skip)
    assert report(tmp_path / "run")[0]["done"] == "the run ended"


def test_a_decision_of_ones_own_may_let_the_run_go_on_with_all_its_hooks(train: Train) -> None:
    folder = train("run", {"growth": None}, LARGE, **{"default_hooks.divergence": {"type": f"{HERE}.GoesOn"}})
    assert [(entry["iteration"], entry["done"]) for entry in report(folder)] == [
        (iteration, "the run went on") for iteration in (16, 18, 20)
    ]
    assert [line["step"] for line in read_log(folder / "log.jsonl", "train")] == list(range(1, 21))
    assert (folder / "iter_18.pth").is_file()


def test_a_resumed_run_remembers_what_it_would_have_without_the_break(train: Train) -> None:
    whole = read_checkpoint(train("whole", {}) / "iter_20.pth")["divergence_guard"]
    folder = train("run", {}, train_cfg__max_iters=8)
    resumed = read_checkpoint(train("run", {}, resume=NEWEST) / "iter_20.pth")["divergence_guard"]
    assert resumed == whole
    assert whole["norms"].keys() == {LAYER}
    assert (folder / "iter_8.pth").is_file()


def test_growth_counts_from_the_first_iteration_over_a_resume(train: Train, tmp_path: Path) -> None:
    train("run", None, train_cfg__max_iters=12)
    path = tmp_path / "run" / "iter_12.pth"
    saved = torch.load(path, weights_only=True)
    saved["divergence_guard"] = {"norms": {LAYER: [1e-3, 1.0]}, "ranges": {}}
    torch.save(saved, path)
    with pytest.raises(DivergenceError, match=rf"\|W_q\| of {LAYER} is .* times what it was at the start"):
        train("run", {}, resume=NEWEST)


def test_the_first_iterations_are_no_range(train: Train) -> None:
    folder = train("run", {"warmup": 12}, SPIKE)
    known = read_checkpoint(folder / "iter_20.pth")["divergence_guard"]["ranges"]
    assert {name: len(values) for name, values in known.items()} == {"loss": 8, "gradient": 8}


def test_gradients_count_by_steps_and_alarms_come_in_the_middle_of_one(train: Train) -> None:
    two = {"optim_wrapper__accumulative_counts": 2}
    known = read_checkpoint(train("calm", {}, **two) / "iter_18.pth")["divergence_guard"]["ranges"]
    assert {name: len(values) for name, values in known.items()} == {"loss": 10, "gradient": 9}
    for kind in ("RollBackOnDivergence", f"{HERE}.GoesOn"):
        folder = train(kind, {"gradient": None}, SPIKE, **{"default_hooks.divergence": {"type": kind}}, **two)
        assert report(folder)[0]["iteration"] == AT
        assert read_checkpoint(folder / "iter_20.pth")["optimizer"]["state"][0]["step"] == 10


def test_an_attention_that_says_nothing_is_passed_over(train: Train) -> None:
    folder = train("run", {}, model__denoiser__attention={"_delete_": True, "type": f"{HERE}.Silent"})
    assert (folder / "iter_20.pth").is_file()
    assert "qk_growth" not in read_log(folder / "log.jsonl", "train")[-1]


def test_with_another_wrapper_the_loss_is_watched_and_the_run_ends(train: Train, tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match="Nothing of iteration 15 was saved"):
        train("run", {}, SPIKE, optim_wrapper__type="OptimWrapper")
    assert report(tmp_path / "run")[0]["what"] == "loss range"


def test_divergences_of_the_step_itself_are_reported_too_and_appended(train: Train, tmp_path: Path) -> None:
    nan = {"type": "tests.core.engine.optimisation.toys.NaNOnRank", "at": 3, "rank": 0}
    folder = tmp_path / "run"
    folder.mkdir()
    skip = {"default_hooks.divergence": {"type": "SkipDivergedSteps"}}
    train("run", None, custom_hooks=[nan], train_cfg__max_iters=6, **skip)
    with pytest.raises(DivergenceError):
        train("run", {}, LARGE, resume=NEWEST)
    first, second = report(folder)
    assert (first["iteration"], first["what"], first["figure"], first["done"]) == (3, "loss", None, "the step was skipped")
    assert "the data: hr of the picture" in first["text"]
    assert (second["iteration"], second["what"]) == (16, "query-key growth")


@pytest.mark.parametrize(
    ("option", "value"),
    [("loss", 0), ("gradient", True), ("growth", 1.0), ("denominator", -1e-12), ("state", float("nan")), ("window", 9),
     ("warmup", -1), ("interval", 0)],
)  # fmt: skip
def test_options_out_of_range_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"DivergenceGuard.{option} is {value!r}; wanted"):
        HOOKS.build({"type": DivergenceGuard.__name__, option: value})
