"""tools/make_shards.py and tools/cache.py: what they print, write and return."""

from pathlib import Path

import pytest

from tests.core.data.conftest import cut_short
from tests.tools.conftest import Run

CONFIG = """
_base_ = ["{config}"]
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type="LoadPictures"), dict(type="CropToMultiple", scale=2),
    dict(type="Cached", folder="{cache}", transforms=[dict(type="BicubicDegradation", scale=2)]),
    dict(type="RandomCrop", size=16, scale=2), dict(type="RandomFlipRotate")]))
"""


def test_shards_are_made_and_verified(run: Run, data: Path, tmp_path: Path) -> None:
    made = run("make_shards.py", data, "shards", "--per-shard", 3)
    assert (made.returncode, made.stdout) == (0, "2 shards and their index.json are in shards\n")
    assert "make_shards.py" in (tmp_path / "shards" / "index.json").read_text()
    whole = run("make_shards.py", "--verify", "shards")
    assert (whole.returncode, whole.stdout) == (0, "the shards of shards are as their index says\n")
    cut_short([tmp_path / "shards" / "000001.tar"])
    cut = run("make_shards.py", "--verify", "shards")
    assert cut.returncode == 1
    assert "000001.tar is" in cut.stdout


@pytest.mark.parametrize("words", [["photos"], ["photos", "out", "--verify"]])
def test_half_a_command_is_refused(run: Run, words: list[str]) -> None:
    done = run("make_shards.py", *words)
    assert done.returncode == 2
    assert "wanted FOLDER OUT, or --verify FOLDER" in done.stderr


def test_a_missing_folder_is_one_line(run: Run) -> None:
    done = run("make_shards.py", "gone", "out")
    assert done.returncode == 2
    assert done.stderr == "error: gone is missing; wanted a folder of pictures\n"


def test_a_cache_is_built_used_verified_and_mended(run: Run, config: Path, data: Path, tmp_path: Path) -> None:
    cached = config.with_name("cached.py")
    cached.write_text(CONFIG.format(config=config, cache=tmp_path / "cache"))
    wrong_folder = run("cache.py", "verify", data)
    assert wrong_folder.returncode == 2
    assert "holds no cache entry" in wrong_folder.stderr
    missing = run("cache.py", "verify", "cache", "--config", cached)
    assert missing.returncode == 1
    assert "4 entries are missing" in missing.stdout
    built = run("cache.py", "build", cached)
    assert (built.returncode, built.stdout) == (0, "4 entries made, 0 were there; 0 pictures cannot be read\n")
    assert "0 entries made, 4 were there" in run("cache.py", "build", cached).stdout
    assert run("train.py", cached, "--work-dir", "run").returncode == 0
    whole = run("cache.py", "verify", "cache", "--config", cached)
    assert (whole.returncode, whole.stdout) == (0, "every entry of cache is as it was written\n")
    first, *_ = sorted((tmp_path / "cache").glob("*/*.safetensors"))
    cut_short([first])
    for options in ([], ["--delete"]):
        damaged = run("cache.py", "verify", "cache", *options)
        assert damaged.returncode == 1
        assert first.name in damaged.stdout
    assert run("cache.py", "verify", "cache").returncode == 0
    (data / "p0.png").write_text("no picture")
    lost = run("cache.py", "build", cached)
    assert lost.returncode == 1
    assert "1 pictures cannot be read\n" in lost.stdout
    assert "p0.png is not a picture" in lost.stdout


def test_a_config_without_a_cache_is_one_line(run: Run, config: Path) -> None:
    done = run("cache.py", "build", config)
    assert done.returncode == 2
    assert "there is nothing to cache" in done.stderr


def staged(config: Path, caches: dict[str, Path]) -> Path:
    """A curriculum with a stage for each of `caches`, whose pictures are cached there."""
    stages = []
    for name, folder in caches.items():
        steps = [{"type": "LoadPictures"}, {"type": "CropToMultiple", "scale": 2}]
        steps += [{"type": "Cached", "folder": str(folder), "transforms": [{"type": "BicubicDegradation", "scale": 2}]}]
        stages.append({"name": name, "init": None, "override": {"train_dataloader": {"dataset": {"pipeline": steps}}}})
    path = config.with_name("staged.py")
    path.write_text(f'_base_ = ["{config}"]\nstages = {stages}\n')
    return path


def test_the_caches_of_all_stages_are_built(run: Run, config: Path, tmp_path: Path) -> None:
    cached = staged(config, {"one": tmp_path / "first", "two": tmp_path / "second"})
    built = run("cache.py", "build", cached)
    assert (built.returncode, built.stdout[:14]) == (0, "8 entries made"), built.stderr


def test_verify_counts_what_is_missing_in_its_own_folder_alone(run: Run, config: Path, tmp_path: Path) -> None:
    cached = staged(config, {"one": tmp_path / "first", "two": tmp_path / "second"})
    assert run("cache.py", "build", cached).returncode == 0
    for entry in (tmp_path / "second").glob("*/*.safetensors"):
        entry.unlink()
    assert run("cache.py", "verify", "first", "--config", cached).returncode == 0
    assert run("cache.py", "verify", "second", "--config", cached).stdout == "4 entries are missing\n"


def test_verify_takes_the_options_of_its_config(run: Run, config: Path, data: Path, tmp_path: Path) -> None:
    cached = config.with_name("cached.py")
    cached.write_text(CONFIG.format(config=config, cache=tmp_path / "cache"))
    assert run("cache.py", "build", cached).returncode == 0
    folder = ("--cfg-options", f"train_dataloader.dataset.pipeline.2.folder={tmp_path / 'other'}")
    assert run("cache.py", "verify", "other", "--config", cached, *folder).stdout == "4 entries are missing\n"
    lone = run("cache.py", "verify", "cache", *folder)
    assert (lone.returncode, "--config" in lone.stderr) == (2, True)


def test_a_folder_that_the_config_does_not_cache_in_is_refused(run: Run, config: Path, data: Path, tmp_path: Path) -> None:
    cached = config.with_name("cached.py")
    cached.write_text(CONFIG.format(config=config, cache=tmp_path / "cache"))
    done = run("cache.py", "verify", data, "--config", cached)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: {data} is not the folder of a Cached in {cached}; its folder is {tmp_path / 'cache'}"
    )
