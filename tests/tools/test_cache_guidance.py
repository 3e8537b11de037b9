"""tools/cache_guidance.py: filled once, whatever stops it, and checked to the last byte."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from linearsr.core.data import write_image
from linearsr.core.data.folder_lock import only_writer
from tests.core.data.toy_guidance import TYPE, ToyGuidance
from tests.tools.conftest import ROOT, Run

TOOL = "cache_guidance.py"
CONFIG = """
_base_ = ["{config}"]
_describe = dict(type="Describe", cache="{cache}", guidance=dict(type="{type}", width={width}, seconds={seconds}))
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type="LoadPictures"), _describe, dict(type="RandomCrop", size=16, scale=2), dict(type="RandomFlipRotate"),
    dict(type="BicubicDegradation", scale=2)]))
val_dataloader = dict(dataset=dict(pipeline=[
    dict(type="LoadPictures"), dict(type="CropToMultiple", scale=2), dict(type="BicubicDegradation", scale=2), _describe]))
test_dataloader = val_dataloader
"""


def described(config: Path, name: str, cache: Path, width: int = 4, seconds: float = 0.0, type_: str = TYPE) -> Path:
    path = config.with_name(f"{name}.py")
    path.write_text(CONFIG.format(config=config, cache=cache, width=width, seconds=seconds, type=type_))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def filled(run: Run, config: Path, tmp_path: Path) -> Path:
    """A config whose cache, tmp_path / "c", is filled: four photos as HR and four as LR."""
    path = described(config, "filled", tmp_path / "c")
    done = run(TOOL, path)
    assert done.returncode == 0, done.stderr
    assert "8 entries made, 4 were there; 0 pictures" in done.stdout
    return path


def test_a_fill_that_is_killed_and_resumed_gives_the_same_bytes(run: Run, config: Path, filled: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    path = described(config, "slow", killed, seconds=0.1)
    command = [sys.executable, str(ROOT / "tools" / TOOL), str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as filling:
        while len(list(killed.glob("*/*.safetensors"))) < 2:
            assert filling.poll() is None
            time.sleep(0.01)
        filling.send_signal(signal.SIGKILL)
    made = files(killed)
    assert 2 <= sum(name.endswith(".safetensors") for name in made) < 8
    (killed / next(iter(killed.glob("??"))).name / ".tmp-x.part").write_bytes(b"half an entry")
    times = {path: path.stat().st_mtime_ns for path in killed.rglob("*.safetensors")}
    assert run(TOOL, described(config, "quick", killed)).returncode == 0
    assert files(killed) == files(tmp_path / "c")
    assert {path: path.stat().st_mtime_ns for path in times} == times  # what was done is not done again


@pytest.mark.parametrize("workers", [0, 2])
def test_a_second_fill_makes_nothing_and_changes_no_byte(run: Run, filled: Path, tmp_path: Path, workers: int) -> None:
    before = files(tmp_path / "c")
    assert "0 entries made, 12 were there" in run(TOOL, filled, "--workers", workers).stdout
    assert files(tmp_path / "c") == before


def test_workers_make_the_same_bytes(run: Run, config: Path, filled: Path, tmp_path: Path) -> None:
    assert run(TOOL, described(config, "more", tmp_path / "w"), "--workers", 2).returncode == 0
    assert files(tmp_path / "w") == files(tmp_path / "c")


def test_verify_finds_a_flipped_byte_and_names_the_entry_and_a_fill_mends_it(run: Run, filled: Path, tmp_path: Path) -> None:
    assert run(TOOL, filled, "--verify").returncode == 0
    path = sorted((tmp_path / "c").glob("*/*.safetensors"))[3]
    whole = path.read_bytes()
    for place in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = run(TOOL, filled, "--verify")
        assert found.returncode == 1
        assert path.name in found.stdout
    mended = run(TOOL, filled)
    assert "1 entries made, 11 were there" in mended.stdout
    assert path.name in mended.stdout
    assert path.read_bytes() == whole


def test_verify_names_what_is_missing_and_lines_that_are_wrong(run: Run, filled: Path, data: Path, tmp_path: Path) -> None:
    table = tmp_path / "c" / "data.jsonl"
    table.write_text(table.read_text().replace("brightness 0.", "brightness 1.", 1))
    write_image(data / "new.png", torch.zeros(3, 24, 24))
    found = run(TOOL, filled, "--verify")
    assert found.returncode == 1
    assert "data/new (HR) is not in the cache" in found.stdout
    assert "the line of 'p0' (HR) is missing or not what its entry says" in found.stdout
    table.unlink()
    assert f"{table} is missing" in run(TOOL, filled, "--verify").stdout
    assert run(TOOL, filled).returncode == 0
    assert run(TOOL, filled, "--verify").returncode == 0


def test_a_dry_run_tells_the_size_and_writes_nothing(run: Run, config: Path, tmp_path: Path) -> None:
    done = run(TOOL, described(config, "dry", tmp_path / "dry"), "--dry-run")
    assert done.returncode == 0
    assert "12 pictures: about 0.0 MiB of tokens (" in done.stdout
    assert not (tmp_path / "dry").exists()


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    run: Run, config: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1}))
    done = run(TOOL, described(config, "small", tmp_path / "small"))
    assert done.returncode == 2
    assert "0 MiB are free; free more, or set Describe.cache" in done.stderr
    assert not (tmp_path / "small").exists()


def test_another_guidance_is_refused_with_both_names(run: Run, config: Path, filled: Path, tmp_path: Path) -> None:
    done = run(TOOL, described(config, "other", tmp_path / "c", width=6))
    assert done.returncode == 2
    assert "holds tokens of ToyGuidance(width=4), and Describe.guidance is ToyGuidance(width=6)" in done.stderr


def test_another_dtype_of_the_same_name_is_refused(run: Run, filled: Path, data: Path) -> None:
    write_image(data / "new.png", torch.zeros(3, 24, 24))
    guidance = f"{{'type': '{TYPE}', 'dtype': 'bfloat16'}}"
    pipeline = f"[{{'type': 'LoadPictures'}}, {{'type': 'Describe', 'cache': 'c', 'guidance': {guidance}}}]"
    done = run(TOOL, filled, "--phases", "train", "--cfg-options", f"train_dataloader.dataset.pipeline={pipeline}")
    assert done.returncode == 2
    assert "data/new (HR): ToyGuidance(width=4) gave bfloat16" in done.stderr
    assert "holds float32 [L, 4] of ToyGuidance(width=4)" in done.stderr


def test_of_a_config_with_stages_every_stages_pictures_are_cached_and_equal_data_sets_once(
    run: Run, config: Path, filled: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "fine").mkdir()
    write_image(tmp_path / "fine" / "new.png", torch.zeros(3, 24, 24))
    later = f'dict(train_dataloader=dict(dataset=dict(root="{tmp_path}/fine")))'
    stages = f'stages = [dict(name="a"), dict(name="b", init="a@last"), dict(name="c", init="b@last", override={later})]'
    path = config.with_name("staged.py")
    path.write_text(filled.read_text() + stages)
    done = run(TOOL, path)
    assert done.returncode == 0, done.stderr
    assert "1 entries made, 12 were there" in done.stdout


def test_the_table_can_be_read(filled: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (tmp_path / "c" / "data.jsonl").read_text().splitlines()]
    assert [(line["name"], line["kind"]) for line in lines] == [(f"p{index}", "hr") for index in range(4)]
    assert all(line["told"]["prompt"].startswith("brightness 0.") for line in lines)
    assert len((tmp_path / "c" / "tiny.jsonl").read_text().splitlines()) == 4


def test_a_folder_of_pictures_fills_the_same_cache(run: Run, filled: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "more" / "below").mkdir(parents=True)
    write_image(tmp_path / "more" / "below" / "new.png", torch.zeros(3, 24, 24))
    (data / "p0.png").rename(tmp_path / "more" / "p0.png")
    done = run(TOOL, filled, "--pictures", tmp_path / "more")
    assert "1 entries made, 1 were there" in done.stdout
    assert '"name": "below/new", "kind": "hr"' in (tmp_path / "c" / "more.jsonl").read_text()


def test_pictures_that_cannot_be_read_are_named(run: Run, filled: Path, data: Path) -> None:
    (data / "p0.png").write_text("no picture")
    for words in ([filled], [filled, "--verify"]):
        done = run(TOOL, *words)
        assert done.returncode == 1
        assert "p0.png is not a picture" in done.stdout


def test_two_processes_do_not_fill_one_folder(run: Run, filled: Path, tmp_path: Path) -> None:
    with only_writer(tmp_path / "c"):
        done = run(TOOL, filled)
    assert done.returncode == 2
    assert "another process is filling" in done.stderr


def test_the_phases_are_chosen_and_a_picture_of_two_of_them_is_looked_at_once(
    run: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToyGuidance, "looks", 0)
    assert (
        "4 entries made, 4 were there" in run(TOOL, described(config, "two", tmp_path / "p"), "--phases", "val", "test").stdout
    )
    assert ToyGuidance.looks == 8 + 1 + 4  # the estimate, the type of the tokens, and each picture


@pytest.mark.parametrize(("words", "message"), [([], "nothing is cached"), (["--workers", "-1"], "--workers is -1")])
def test_a_config_without_describe_and_a_wrong_number_are_one_line(
    run: Run, config: Path, words: list[str], message: str
) -> None:
    done = run(TOOL, config, *words)
    assert done.returncode == 2
    assert message in done.stderr
