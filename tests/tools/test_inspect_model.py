"""tools/inspect_model.py from the command line: what it prints and refuses."""

import json
from pathlib import Path

import pytest
import torch

from linearsr.core.planning import DEVICES, Asked, Work, device_named, measure_peak, plan_config
from linearsr.core.planning.showing import duration, quantity
from tests.tools.conftest import ROOT, Run
from tests.tools.test_scripts import refused

QUICKSTART = ROOT / "configs" / "quickstart_x4.py"
STAGES = ROOT / "configs" / "quickstart_esgf_x4.py"
FULL = ROOT / "configs" / "linearsr_0.6b_x4.py"


def test_it_says_what_a_picture_a_step_and_every_stage_cost(run: Run) -> None:
    done = run("inspect_model.py", STAGES, "--size", "16", "--steps", "2", "--device", "h200")
    assert done.returncode == 0, done.stderr
    for words in (
        "on H200",
        "lower bounds",
        "blocks.*.attention.qkv",
        "16×16 -> 64×64, 2 steps",
        "a training step, 4 crops 32×32",
    ):
        assert words in done.stdout
    assert "experts: ExpertMixture" in done.stdout
    assert "this stage: 1000 iterations at most" in done.stdout


def test_off_a_terminal_no_name_of_a_layer_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    done = run("inspect_model.py", QUICKSTART, "--size", "8", "--steps", "1", "--no-train")
    assert "│ blocks.*.feed_forward.depthwise │" in done.stdout


def test_json_holds_every_figure_and_sums_are_sums(run: Run) -> None:
    done = run("inspect_model.py", QUICKSTART, "--size", "12x20", "--json")
    plan = json.loads(done.stdout)
    (stage,) = plan["stages"]
    assert plan["lr"] == [12, 20]
    assert stage["restore"]["num_steps"] == 4  # the most that its test_cfg asks for
    for costs in (stage["restore"], stage["train"]):
        for figure, whole in costs["total"].items():
            assert sum(phase[figure] for phase in costs["phases"]) == whole
        memory = costs["memory"]
        assert memory["fits"]
        assert memory["total"] == sum(size for part, size in memory.items() if part not in ("total", "fits"))
    assert sum(stage["parameters"]["by_part"].values()) == stage["parameters"]["denoiser"] == 271664
    evaluations = next(phase for phase in stage["restore"]["phases"] if phase["phase"] == "evaluation")
    assert 4 * sum(layer["flops"] for layer in stage["layers"]) == evaluations["flops"]
    for layer in stage["layers"]:
        ridge = DEVICES["H100"].flops["float32"] / DEVICES["H100"].bytes
        assert layer["bound"] == ("compute" if layer["intensity"] > ridge else "memory")


def test_the_paper_model_is_planned_without_its_weights(run: Run) -> None:
    pytest.importorskip("diffusers")
    done = run("inspect_model.py", FULL, "--no-train", "--json", "--steps", "1", "--stage", "pretrain")
    assert done.returncode == 0, done.stderr
    (stage,) = json.loads(done.stdout)["stages"]
    flops = {phase["phase"]: phase["flops"] for phase in stage["restore"]["phases"]}
    # within 5 %: counted by hand for 1024², keys and values of the words included
    assert flops["evaluation"] + flops["prepare"] == pytest.approx(1.12e12, rel=0.05)
    assert flops["decode"] == pytest.approx(8.37e12, rel=0.01)
    assert len(stage["notes"]) == 3
    assert stage["train"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "wide"], ["--size", "180x320"]),
        (["--steps", "0"], ["--steps is 0"]),
        (["--device", "H20"], ["did you mean 'H200'", "pass --calibrate to measure this machine's"]),
        (["--device", "H200", "--calibrate"], ["--device H200 and --calibrate", "do not go together"]),
        (["--dtype", "bfloat"], ["--dtype", "did you mean 'bfloat16'"]),
        (["--stage", "pretrain"], ["has no stages"]),
        (["--cfg-options", "model.denoiser.dept=3"], ["did you mean 'depth'"]),
        (["--cfg-options", "train_dataloader.dataset.pipeline=[]"], ["no RandomCrop", "--no-train"]),
    ],
)
def test_what_cannot_be_planned_is_refused_by_its_key(run: Run, words: list[str], said: list[str]) -> None:
    refused(run("inspect_model.py", QUICKSTART, *words), *said)


def test_guidance_of_unknown_width_asks_for_it(run: Run, tmp_path: Path) -> None:
    guidance = "dict(type='PromptGuidance', text_encoder=dict(type='T5TextEncoder', folder='nowhere'))"
    guided = tmp_path / "guided.py"
    guided.write_text(f'_base_ = ["{QUICKSTART}"]\nmodel = dict(guidance={guidance})\n')
    refused(run("inspect_model.py", guided), "--guidance-width")
    done = run("inspect_model.py", guided, "--size", "8", "--guidance-width", "16", "--tokens", "5")
    assert "guidance: 5 tokens, 16 wide" in done.stdout, done.stderr


def test_calibration_measures_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([9.0, 2.0, 4.0, 3.0, 3.0, 3.0, 9.0, 5.0, 5.0, 5.0, 5.0, 0.5])  # the first of each six is not counted
    device = measure_peak(torch.device("cpu"), [torch.float32], lambda job, calls: next(seconds))
    assert device.flops == {"float32": 2 * 1536**3 / 2.0}
    assert device.bytes == 2 * 2**28 / 0.5
    assert device.kind == "cpu"
    assert device.memory > 0


def test_work_is_bound_by_what_is_slower() -> None:
    device = device_named("h100")
    products, moves = Work(989e12, 1.0), Work(1.0, 3.35e12)
    assert device.seconds(products, "bfloat16") == device.seconds(moves, "bfloat16") == 1.0
    assert [device.bound(work, "bfloat16") for work in (products, moves)] == ["compute", "memory"]


def test_more_tokens_take_longer_and_a_model_too_large_does_not_fit() -> None:
    options = ["model.denoiser.width=49152", "model.denoiser.depth=1"]
    asked = [Asked((side, side), 1, train=False) for side in (8, 16)]
    small, large = (plan_config(QUICKSTART, DEVICES["H100"], one, options)["stages"][0]["restore"] for one in asked)
    assert small["total"]["seconds"] < large["total"]["seconds"]
    assert not small["memory"]["fits"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (quantity(1.1234e12), "1.12 T"),
        (quantity(0), "0 "),
        (quantity(999), "999 "),
        (duration(0.0123), "12.3 ms"),
        (duration(7200), "2 h"),
        (duration(3e-6), "3 µs"),
        (duration(2e-9), "0.002 µs"),
        (duration(9.55e-12), "< 1 ns"),
        (duration(0), "0 µs"),
    ],
)
def test_figures_are_told_in_three_digits(told: str, words: str) -> None:
    assert told == words
