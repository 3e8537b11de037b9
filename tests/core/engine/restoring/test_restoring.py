"""A folder of LR pictures restored: files, manifest, and what a second start does."""

import random
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.data import read_image, write_image
from linearsr.core.engine import run_restoring
from linearsr.core.engine.restoring import manifest
from linearsr.core.errors import ConfigError, LinearSRError
from linearsr.core.models import LinearSR
from linearsr.core.randomness import seed_of_picture
from tests.core.engine.restoring.conftest import CONFIG, ROOT, Done, lines, picture, restored, times

STEPS = {"num_steps": 2}


def test_names_sub_folders_sizes_and_seeds(config: Path, photos: Path, tmp_path: Path) -> None:
    done = run_restoring(config, None, [photos], tmp_path / "out", **STEPS)
    assert (done.restored, done.skipped, dict(done.failed)) == (6, 0, {})
    assert set(restored(tmp_path / "out")) == {"p0.png", "p2.png", "p4.png", "sub/p1.png", "sub/p3.png", "sub/p5.png"}
    found = lines(tmp_path / "out")
    for name, line in found.items():
        lr, sr = read_image(photos / f"{name}.png"), read_image(tmp_path / "out" / line["output"])
        assert (line["status"], line["num_steps"], line["seed"]) == ("done", 2, seed_of_picture(lr))
        assert (line["lr_size"], line["output_size"]) == (list(lr.shape[1:]), list(sr.shape[1:]))
        assert line["source"] == str(photos / f"{name}.png")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.py"
    path.write_text(CONFIG.format(root=ROOT, data="nowhere"))
    return path


@settings(max_examples=5)
@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_neither_order_nor_batch_changes_a_picture(tiny: Path, draw: random.Random, most: int) -> None:
    """The seed is of the content. Batches round otherwise (float32): one level of 255 at most, in few values."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        files = [root / f"p{index}.png" for index in range(5)]
        for index, file in enumerate(files):
            write_image(file, picture(index))
        run_restoring(tiny, None, files, root / "one", **STEPS)
        draw.shuffle(files)
        run_restoring(tiny, None, files, root / "other", batch_size=most, **STEPS)
        for file in files:
            one, other = (read_image(root / where / file.name) * 255 for where in ("one", "other"))
            assert (one - other).abs().max() < 1.5
            assert ((one - other).abs() > 0.5).float().mean() < 0.01
        one, other = lines(root / "one"), lines(root / "other")
        assert {name: line["seed"] for name, line in one.items()} == {name: line["seed"] for name, line in other.items()}


def spoiled(photos: Path) -> set[str]:
    (photos / "text.png").write_text("no picture")
    (photos / "empty.jpg").touch()
    write_image(photos / "cut.jpg", picture(9, 40, 40))
    whole = (photos / "cut.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    return {"text", "empty", "cut"}


def test_bad_files_are_named_tried_again_and_stop_nothing(config: Path, photos: Path, tmp_path: Path) -> None:
    bad = spoiled(photos)
    out = tmp_path / "out"
    done = run_restoring(config, None, [photos], out, batch_size=4, **STEPS)
    assert (done.restored, set(done.failed)) == (6, bad)
    for name in bad:
        assert name in lines(out)[name]["reason"]
    before = times(out)
    write_image(photos / "text.png", picture(8))
    again = run_restoring(config, None, [photos], out, **STEPS)
    assert (again.restored, again.skipped, set(again.failed)) == (1, 6, bad - {"text"})
    assert before.items() <= times(out).items()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of TIFF tags
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@given(st.sampled_from([".png", ".jpg", ".webp", ".tif", ".bmp"]), st.integers(0, 10**6), st.integers(0, 20))
def test_whatever_a_file_holds_it_is_a_sample_or_lost(suffix: str, seed: int, changes: int) -> None:
    from linearsr.core.data.lr_pictures import LRPictures, find_pictures

    with TemporaryDirectory() as folder:
        file = Path(folder) / f"p{suffix}"
        write_image(file, picture(1, 9, 9))
        content, draw = bytearray(file.read_bytes()), random.Random(seed)
        for _ in range(changes):
            content[draw.randrange(len(content))] = draw.randrange(256)
        file.write_bytes(content)
        found = LRPictures(find_pictures([file]), [{"type": "LoadPictures"}])[0]
        assert ("lr" in found) is not ("reason" in found)


def test_a_picture_that_fails_in_the_model_takes_none_of_its_batch_with_it(
    config: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = {index: seed_of_picture(read_image(path)) for index, path in enumerate(sorted(photos.rglob("*.png")))}
    honest = LinearSR.restore

    def restore(self: LinearSR, lr: torch.Tensor, num_steps: int, own: list[int], *more: object) -> torch.Tensor:
        if seeds[1] in own:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sr = honest(self, lr, num_steps, own, *more)
        sr[[place for place, seed in enumerate(own) if seed == seeds[2]]] = float("nan")
        return sr

    monkeypatch.setattr(LinearSR, "restore", restore)
    done = run_restoring(config, None, [photos], tmp_path / "out", batch_size=4, **STEPS)
    assert (done.restored, set(done.failed)) == (4, {"p2", "p4"})
    assert "out of memory" in done.failed["p2"]
    assert "NaN" in done.failed["p4"]


def test_a_bug_is_no_lost_picture(config: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def restore(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(LinearSR, "restore", restore)
    with pytest.raises(RuntimeError, match="a bug"):
        run_restoring(config, None, [photos], tmp_path / "out")


def test_changed_lost_and_new_pictures_alone_are_done_again(config: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_restoring(config, None, [photos], out, **STEPS)
    before = times(out)
    write_image(photos / "p0.png", picture(50))
    write_image(photos / "new.png", picture(51))
    (out / "p2.png").unlink()
    (out / "p4.png").write_bytes(b"spoiled")
    (photos / "sub" / "p1.png").write_text("spoiled")
    done = run_restoring(config, None, [photos], out, **STEPS)
    assert (done.restored, done.skipped, set(done.failed)) == (4, 2, {"sub/p1"})
    after = times(out)
    assert {place for place in before if after.get(place) == before[place]} == {"sub/p3.png", "sub/p5.png"}
    assert "sub/p1.png" not in after  # of a content that is not there any more
    run_restoring(config, None, [photos], tmp_path / "fresh", **STEPS)
    assert restored(out) == restored(tmp_path / "fresh")
    assert lines(out) == lines(tmp_path / "fresh")


def test_a_folder_made_otherwise_is_refused_and_overwritten_only_when_told(config: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_restoring(config, None, [photos], out, **STEPS)
    before = times(out)
    with pytest.raises(ConfigError, match=r"num_steps was 2 and is 3.*--overwrite"):
        run_restoring(config, None, [photos], out, num_steps=3)
    other = {"model.denoiser.depth": 2}
    with pytest.raises(ConfigError, match=r"model\.denoiser\.depth was 1 and is 2"):
        run_restoring(config, None, [photos], out, options=other, **STEPS)
    assert times(out) == before
    with pytest.raises(ConfigError, match=r"holds p0 \(6 in all\), which --pictures does not name"):
        run_restoring(config, None, [photos / "sub"], out, num_steps=3, overwrite=True)
    assert times(out) == before
    done = run_restoring(config, None, [photos], out, num_steps=3, overwrite=True)
    assert (done.restored, done.skipped) == (6, 0)
    assert {line["num_steps"] for line in lines(out).values()} == {3}
    assert run_restoring(config, None, [photos], out, num_steps=3).skipped == 6


def test_two_folders_may_share_one_out_but_no_name(config: Path, photos: Path, tmp_path: Path) -> None:
    run_restoring(config, None, [photos / "sub"], tmp_path / "out", **STEPS)
    write_image(tmp_path / "b" / "q.png", picture(20))
    assert run_restoring(config, None, [tmp_path / "b"], tmp_path / "out", **STEPS).restored == 1
    assert len(lines(tmp_path / "out")) == 4
    write_image(tmp_path / "c" / "q.png", picture(21))
    with pytest.raises(ConfigError, match=r"c/q\.png would take its place"):
        run_restoring(config, None, [tmp_path / "c"], tmp_path / "out", **STEPS)
    shutil.copytree(tmp_path / "b", tmp_path / "moved")
    assert run_restoring(config, None, [tmp_path / "moved"], tmp_path / "out", **STEPS).skipped == 1


@pytest.mark.parametrize(
    ("places", "out", "options", "words"),
    [
        (["empty"], "out", {}, "holds no picture"),
        (["nowhere"], "out", {}, "nowhere is missing"),
        (["tiny.py"], "out", {}, "tiny.py is no picture"),
        (["lr", "twin"], "lr/out", {}, "lies in --pictures"),
        (["lr"], "lr", {}, "lies in --pictures"),
        (["lr/p0.png", "twin/p0.jpg"], "out", {}, "would both be p0.png"),
        (["lr/p0.png"], "lr", {}, "would be replaced"),
        (["lr"], "taken", {}, "is there already"),
        (["nested"], "out", {}, r"nested/a\.jpg would become a\.png, which is the folder of what nested/a\.png/b\.png"),
        (["lr"], "out", {"options": {"model.memory_gib": -1}}, r"model\.memory_gib"),
        (["lr"], "out", {"num_steps": 0}, "--num-steps is 0"),
        (["lr"], "out", {"batch_size": 0}, "--batch-size is 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    config: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    places: list,
    out: str,
    options: dict,
    words: str,
) -> None:
    (tmp_path / "empty").mkdir()
    write_image(tmp_path / "twin" / "p0.jpg", picture(0))
    write_image(tmp_path / "taken" / "p0.png", picture(0))
    for name in ("a.jpg", "a.png/b.png"):
        write_image(tmp_path / "nested" / name, picture(0))
    monkeypatch.chdir(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.name != ".lock"}
    with pytest.raises(LinearSRError, match=words):
        run_restoring(config, None, places, out, **options)
    assert {path for path in tmp_path.rglob("*") if path.name != ".lock"} == before


def test_a_manifest_that_never_was_is_no_reason_to_stop(config: Path, photos: Path, tmp_path: Path) -> None:
    run_restoring(config, None, [photos], tmp_path / "out", **STEPS)
    (tmp_path / "out" / manifest.MANIFEST).unlink()
    assert run_restoring(config, None, [photos], tmp_path / "out", **STEPS).restored == 6


def test_the_code_and_the_last_line_of_a_run_say_what_failed(photos: Path, tmp_path: Path, test_script) -> None:
    spoiled(photos)
    done: Done = test_script(tmp_path / "out", "--num-steps", "1")
    assert done.returncode == 3, done.stderr
    assert "6 restored, 0 done before, 3 failed: see" in done.stdout
    assert "failed: cut: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "gif" not in done.stderr
    (photos / "moving.gif").touch()
    assert "left out: 1 of formats that are not read, such as" in test_script(tmp_path / "out", "--num-steps", "1").stderr
