"""tools/benchmarks/collapse.py: float16's sums overflow where they should and nowhere else, and its runs make a report."""

import importlib
import json
import statistics
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention import ReLULinearAttention
from linearsr.attention.reference import relu_linear_attention_dense
from linearsr.core.config import load_config, parse_options
from linearsr.core.engine import read_log
from linearsr.core.registries import MODELS
from linearsr.core.weights import read_state_dict
from linearsr.schedules.knee_point.log import Evaluation
from tests.strategies import normal, seeds
from tests.tools.conftest import ROOT, Run

FLOAT16_STEP = 2**-11
"""Half a unit in the last place of float16, relative; a rounding's largest error."""


@pytest.fixture(scope="module")
def sums(script_folder: None) -> ModuleType:
    return importlib.import_module("float16_sums")


@pytest.fixture(scope="module")
def runs(script_folder: None) -> ModuleType:
    return importlib.import_module("collapse_runs")


@pytest.fixture(scope="module")
def plan(script_folder: None) -> ModuleType:
    return importlib.import_module("collapse_plan")


@given(seeds, st.integers(1, 200), st.booleans())
def test_in_range_the_sums_differ_from_the_reference_by_rounding_alone(
    sums: ModuleType, seed: int, tokens: int, divided: bool
) -> None:
    q, k, v = normal(seed, 3, 1, 2, tokens, 32, dtype=torch.float32)
    found = sums.float16_sums_attention(q, k, v, divided=divided)
    # S, n and two products with φ(q) are rounded, and a numerator is a mean of v times its denominator: four steps of max|v|
    assert (found - relu_linear_attention_dense(q, k, v)).abs().max() <= 4 * FLOAT16_STEP * v.abs().max()


@given(seeds)
def test_whole_numbers_that_float16_holds_give_the_reference(sums: ModuleType, seed: int) -> None:
    """Sums of so few so small numbers are exact in float16."""
    draw = torch.Generator().manual_seed(seed)
    q, k, v = torch.randint(0, 3, (3, 1, 1, 8, 4), generator=draw).float()
    torch.testing.assert_close(
        sums.float16_sums_attention(q, k, v, divided=False), relu_linear_attention_dense(q, k, v), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(("scale", "tokens"), [(16, 64), (8, 256), (4, 1024), (2, 4096), (1, 16384)])
def test_bare_sums_overflow_at_these_scales_and_divided_ones_do_not(sums: ModuleType, scale: int, tokens: int) -> None:
    q, k, v = normal(0, 3, 1, 1, tokens, 32, dtype=torch.float32)
    v = 1 + v.abs()  # so that the numerators overflow, too; else a quotient of them by infinity is 0
    bare, half = (sums.float16_sums_attention(size * q, size * k, v, divided=False) for size in (scale, scale / 4))
    assert not bare.isfinite().all()
    assert half.isfinite().all()
    assert sums.float16_sums_attention(scale * q, scale * k, v, divided=True).isfinite().all()


def test_the_gradient_passes_the_rounding_and_validation_does_not_round(sums: ModuleType) -> None:
    x = torch.full((3,), 1 / 3, requires_grad=True)
    sums.round_to_float16(x).sum().backward()
    assert torch.equal(x.grad, torch.ones(3))
    attention = sums.Float16Sums(32, 1)
    tokens = normal(0, 1, 16, 32, dtype=torch.float32)
    assert not torch.equal(attention(tokens, (4, 4)), attention.eval()(tokens, (4, 4)))
    torch.testing.assert_close(attention(tokens, (4, 4)), attention.forward_dense(tokens, (4, 4)), rtol=1e-5, atol=1e-6)


def test_a_condition_has_the_last_word_and_long_runs_and_fine_tunings_differ_in_what_they_must(plan: ModuleType) -> None:
    made = plan.Plan(10, 6, 1, 4, (0,))
    tuned = parse_options(made.tuning_options(f"bare, lr {plan.LOW:g}", Path("w.safetensors"), 7))
    assert tuned["optim_wrapper.optimizer.lr"] == plan.LOW
    assert (tuned["load_from"], tuned["randomness.seed"], tuned["param_scheduler"]) == ("w.safetensors", 7, [])
    assert parse_options(made.long_options())["val_evaluator.metrics"] == list(plan.METRICS)
    decayed = parse_options(made.decayed_options())
    assert (decayed["train_cfg.max_iters"], decayed["optim_wrapper.optimizer.weight_decay"]) == (6, plan.LONG_DECAY)


def test_every_condition_is_a_config_and_only_the_published_one_does_not_round(plan: ModuleType) -> None:
    made = plan.Plan(10, 6, 1, 4, (0,))
    for condition in plan.CONDITIONS:
        cfg = load_config(ROOT / "configs" / "quickstart_x4.py", made.tuning_options(condition, Path("w.safetensors"), 0))
        attention = MODELS.build(cfg.model).denoiser.blocks[0].attention
        assert (type(attention).__name__ == "Float16Sums") == (condition != plan.PUBLISHED)


def test_each_checkpoint_is_tried_once_and_the_unprovoking_conditions_from_late_alone(plan: ModuleType) -> None:
    steps = {"early": 1, "knee": 2, "middle": 6, "best": 10, "late": 10}
    pairs = plan.Plan(10, 6, 1, 4, (0,)).pairs(steps)
    assert len(pairs) == len(set(pairs)) == 3 * 4 + len(plan.CONDITIONS) - 3
    assert {start for _, start in pairs} == {"early", "knee", "middle", "late"}
    assert len(plan.Plan(10, 6, 1, 4, (0,)).pairs(steps | {"best": 9})) == len(pairs) + 3


def test_starts_are_evaluations_of_the_run(runs: ModuleType) -> None:
    values = [1.0, 2.0, 3.0, 3.2, 3.1, 3.15, 3.0]
    evaluations = [Evaluation(50 * n, {"psnr_y": value, "ssim_y": -value}) for n, value in enumerate(values, 1)]
    assert runs.start_steps(evaluations, 150) == {"early": 50, "knee": 150, "middle": 250, "best": 200, "late": 350}


def test_a_number_that_is_not_finite_is_a_result(run: Run, config: Path, tmp_path: Path) -> None:
    words = ["optim_wrapper.type=PrecisionOptimWrapper", "optim_wrapper.optimizer.lr=1e30", "param_scheduler=[]"]
    done = run("benchmarks/train_collapse.py", config, "diverged", *words)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "diverged" / "collapse.json").read_text())
    assert result["first_non_finite"] == result["steps"] + 1 <= 6
    assert f"iteration {result['first_non_finite']}" in result["cause"]


def test_a_finished_training_is_looked_at_and_not_run_again(
    run: Run, runs: ModuleType, config: Path, tmp_path: Path, script_folder: None
) -> None:
    """Of six steps, with a fine-tuning's start made of its last checkpoint."""
    assert run("benchmarks/train_collapse.py", config, "long", "val_evaluator.metrics=[psnr_y,ssim_y]").returncode == 0
    options = ["val_evaluator.metrics=[psnr_y,ssim_y]"]
    nobody = tmp_path / "no_worker.py"
    process = importlib.import_module("training_process")
    own = process.hash_of(config, options)
    found = process.trained(nobody, "collapse.json", config, tmp_path / "long", options, own)
    assert (found["steps"], found["first_non_finite"]) == (6, None)

    looks = importlib.import_module("collapse_looks").Looks(load_config(config, options), tmp_path / "long")
    look = looks.at(6)
    assert (look["spoiled"], look["pictures"], look["sums"][0]["tokens"]) == (0, 4, 12 * 13)
    assert look == looks.at(6)  # of the file
    assert looks.last_of(tmp_path / "long", options)["step"] == 6
    logged = read_log(tmp_path / "long" / "log.jsonl", "val")[-1]
    qk_norm = [*options, "model.denoiser.attention.qk_norm=True"]
    checkpoint = looks.folder / "iter_6.pth"
    plain, normed = (runs.start_file(config, words, checkpoint, tmp_path / "starts") for words in (options, qk_norm))
    assert looks.metrics_of(plain, options)["psnr_y"] == pytest.approx(logged["psnr_y"], abs=1e-6)  # a mean of float64
    kept, grown = read_state_dict(plain), read_state_dict(normed)
    norms = {f"denoiser.blocks.0.attention.{part}_norm.weight" for part in "qk"}
    assert grown.keys() - kept.keys() == norms
    assert all((grown[name] == 1).all() for name in norms)
    assert all(torch.equal(grown[name], kept[name]) for name in kept)


@given(seeds)
def test_the_largest_sums_are_those_of_the_n_by_n_form(script_folder: None, seed: int) -> None:
    norms = importlib.import_module("collapse_norms")
    x = normal(seed, 2, 12, 8, dtype=torch.float32)
    layer = torch.nn.Sequential()
    layer.attention = ReLULinearAttention(8, 2)
    found = {"denominator": 0.0, "numerator": 0.0, "tokens": 0.0}
    with torch.no_grad(), norms._watched(layer, found):
        layer.attention(x, (3, 4))
        q, k, v = layer.attention.split(x, (3, 4))
    weights = q.relu() @ k.relu().transpose(-1, -2)
    wanted = {"denominator": weights.sum(-1).max(), "numerator": (weights @ v).abs().max(), "tokens": 12}
    assert found == pytest.approx({name: float(value) for name, value in wanted.items()}, rel=1e-5)  # float32, sums of 12


def test_a_report_is_made_of_the_json(run: Run, script_folder: None, tmp_path: Path) -> None:
    (tmp_path / "collapse.json").write_text(json.dumps(REPORT))
    (tmp_path / "page.md").write_text("<!-- made by this -->\n<!-- end -->\n")
    done = run("benchmarks/collapse.py", "--markdown", "collapse.json", "--into", "page.md")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text()
    assert "knee at step 20, confirmed at 40" in page
    assert "| bare float16 sums |  | 7, – |" in page  # none was run from the knee
    assert "| no decay, 20 | 30.000 | 0.9000 | 5.00 |" in page
    assert "| decay 0.1, 20 | 29.000 | 0.8000 | 3.00 |" in page
    mean, spread = statistics.mean(AFTER), statistics.stdev(AFTER)
    assert f"| float32 state | {mean:.3f} ± {spread:.3f} ({mean - 30:+.3f}) |" in page
    importlib.import_module("collapse_plot").draw(REPORT, tmp_path / "collapse.png")
    assert (tmp_path / "collapse.png").stat().st_size > 1000


AFTER = [30.1, 30.3]
_LOOK = {"w_q": 5.0, "w_k": 6.0, "spoiled": 1, "pictures": 3}
_LOOK["sums"] = [{"denominator": 1e4 * n, "numerator": 1e3, "tokens": 1024.0 * n} for n in (1, 4)]
_ROW = {"before": {"psnr_y": 30.0}, "last": {"denominator": 4e4}}
REPORT = {
    "config": "tiny.py",
    "steps": 60,
    "every": 20,
    "tuning_steps": 9,
    "seeds": [1, 2],
    "conditions": ["bare float16 sums", "float32 state"],
    "starts": ["late", "knee"],
    "start_steps": {"knee": 20, "late": 60},
    "knee": {"knee_step": 20, "confirmed": True, "confirmed_at": 40, "confidence": 1.0, "onset_step": None},
    "evaluations": [{"step": step, "psnr_y": 30.0, "ssim_y": 0.9} for step in (20, 40, 60)],
    "losses": [{"step": step, "loss": 1.0} for step in (20, 40, 60)],
    "looks": [{"step": step, **_LOOK} for step in (20, 60)],
    "decay_steps": 40,
    "decayed": {
        "decay": 0.1,
        "evaluations": [{"step": 20, "psnr_y": 29.0, "ssim_y": 0.8}],
        "looks": [{"step": 20, **_LOOK, "w_q": 3.0}],
    },
    "rows": [
        {"condition": "bare float16 sums", "start": "late", "first_non_finite": 7, "after": None, **_ROW},
        {"condition": "bare float16 sums", "start": "late", "first_non_finite": None, "after": {"psnr_y": 30.0}, **_ROW},
        *(
            {"condition": "float32 state", "start": "knee", "first_non_finite": None, "after": {"psnr_y": value}, **_ROW}
            for value in AFTER
        ),
    ],
    "failed": {},
}
"""Of two seeds, as run_all makes it."""
