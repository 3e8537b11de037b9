"""Which settings make other pictures, and which only compute the same ones otherwise."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from linearsr.core.data import write_image
from linearsr.core.engine import run_restoring
from linearsr.core.engine.restoring.settings import Made, other_settings, read_record, write_record
from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.models import LinearSR
from tests.core.engine.restoring.conftest import picture, times
from tests.core.engine.restoring.test_restoring import STEPS, spoiled

DIT = {"type": "LinearDiT", "depth": 1, "width": 16, "tile": 64}
MIXTURE = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": DIT}
TINY, DCAE = ({"type": name, "tile": 64} for name in ("TinyAutoencoder", "DCAE"))


def made(denoiser=DIT, autoencoder=TINY, **more) -> Made:
    model = {"type": "LinearSR", "denoiser": denoiser, "autoencoder": autoencoder} | more
    return Made.of(Config({"model": model}), None, [], 2)


def difference(out: Path, earlier: Made, later: Made) -> str:
    write_record(out, earlier, None)
    return other_settings(out, read_record(out), later)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (made(), made(compile_denoiser={"mode": "max-autotune"})),
        (made(), made(DIT | {"tile": 32})),
        (made(), made(DIT | {"tile": None, "cuda_graphs": True, "activation_checkpointing": True})),
        (made(MIXTURE), made(MIXTURE | {"offload": "disk", "offload_folder": "/tmp"})),
        (made(MIXTURE), made(MIXTURE | {"expert": DIT | {"tile": 32, "cuda_graphs": True}})),
        (made(), made(autoencoder=TINY | {"tile": 128})),
        (made(memory_gib=2), made(memory_gib=4)),
        (made(autoencoder=DCAE), made(DIT | {"tile": 32}, DCAE, compile_denoiser=True)),
    ],
    ids=["compiled", "tile", "no tile", "offload", "expert", "exact autoencoder", "memory", "blended autoencoder"],
)
def test_how_a_picture_is_computed_is_no_difference(tmp_path: Path, before: Made, after: Made) -> None:
    assert difference(tmp_path, before, after) == difference(tmp_path, after, before) == ""


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (made(), made(DIT | {"depth": 2}), "model.denoiser.depth was 1 and is 2"),
        (made(MIXTURE), made(MIXTURE | {"expert": DIT | {"width": 32}}), "model.denoiser.expert.width was 16 and is 32"),
        (made(autoencoder=DCAE), made(autoencoder=DCAE | {"tile": 128}), "model.autoencoder.tile was 64 and is 128"),
        (made(autoencoder=DCAE), made(autoencoder=DCAE, memory_gib=4), "model.memory_gib was absent and is 4"),
        (made(), made(autoencoder=DCAE), "model.autoencoder.type was 'TinyAutoencoder' and is 'DCAE'"),
    ],
)
def test_what_makes_another_picture_is_named(tmp_path: Path, before: Made, after: Made, said: str) -> None:
    assert said in difference(tmp_path, before, after)


def test_a_record_that_holds_more_is_compared_without_it(tmp_path: Path) -> None:
    """As of a version that wrote down every key."""
    write_record(tmp_path, Made({**made().settings, "model": {**made().settings["model"], "compile_denoiser": True}}, {}), None)
    assert other_settings(tmp_path, read_record(tmp_path), made()) == ""


def test_a_restart_in_tiles_and_compiled_goes_on(config: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_restoring(config, None, [photos], out, **STEPS)
    (out / "p0.png").unlink()
    options = {"model.denoiser.tile": 4, "model.compile_denoiser": {"backend": "eager"}}
    done = run_restoring(config, None, [photos], out, options=options, **STEPS)
    assert (done.restored, done.skipped) == (1, 5)


def test_a_folder_in_which_nothing_is_done_takes_other_settings(config: Path, photos: Path, tmp_path: Path) -> None:
    bad, out = spoiled(photos), tmp_path / "out"
    files = [path for path in photos.iterdir() if path.stem in bad]
    assert run_restoring(config, None, files, out, **STEPS).restored == 0
    for file in files:
        file.unlink()
        write_image(file.with_suffix(".png"), picture(1))
    assert run_restoring(config, None, [file.with_suffix(".png") for file in files], out, num_steps=3).restored == 3
    with pytest.raises(ConfigError, match="num_steps was 3 and is 2"):
        run_restoring(config, None, [photos], out, **STEPS)


def test_a_picture_without_its_line_is_not_replaced_by_another_settings(config: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_restoring(config, None, [photos], out, **STEPS)
    (out / "manifest.jsonl").unlink()
    before = times(out)
    with pytest.raises(ConfigError, match="num_steps was 2 and is 3"):
        run_restoring(config, None, [photos], out, num_steps=3)
    assert times(out) == before != {}


def test_a_checkpoint_that_is_not_there_is_refused_as_in_a_test(config: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights file .*nothing does not exist; wanted a \.safetensors or \.pth file"):
        run_restoring(config, tmp_path / "nothing", [photos], tmp_path / "out", **STEPS)
    assert not (tmp_path / "out").exists()


def test_a_folder_is_restored_in_the_type_of_the_test(
    config: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed, restore = set(), LinearSR.restore

    def watched(self: LinearSR, *given: Any, **named: Any) -> torch.Tensor:
        computed.add(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)
        return restore(self, *given, **named)

    monkeypatch.setattr(LinearSR, "restore", watched)
    options = {"test_cfg.dtype": "bfloat16"}
    assert run_restoring(config, None, [photos], tmp_path / "out", options=options, **STEPS).restored == 6
    assert computed == {torch.bfloat16}
    with pytest.raises(ConfigError, match="dtype was 'bfloat16' and is 'float32'"):
        run_restoring(config, None, [photos], tmp_path / "out", **STEPS)
    with pytest.raises(ConfigError, match=r"test_cfg\.dtype is 'half'"):
        run_restoring(config, None, [photos], tmp_path / "new", options={"test_cfg.dtype": "half"}, **STEPS)


def test_a_record_from_before_the_dtype_was_chosen_is_of_float32(tmp_path: Path) -> None:
    earlier = made()
    older = Made({key: value for key, value in earlier.settings.items() if key != "dtype"}, earlier.record)
    assert difference(tmp_path, older, earlier) == ""
