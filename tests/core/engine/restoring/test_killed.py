"""kill -9 at any moment, and a rank that dies: the next start does what is left and ends as one run would."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.data import write_image
from linearsr.core.engine import run_restoring
from linearsr.core.engine.restoring.keeping import WAITING
from linearsr.core.models import LinearSR
from tests.core.engine.distributed.conftest import PATIENCE
from tests.core.engine.restoring.conftest import CONFIG, ROOT, lines, picture, restored, times

MOMENTS = ("unbegun", "unnamed", "unnoted", "torn")


@pytest.mark.parametrize(
    ("moment", "at"),
    [("torn", 3), *(pytest.param(moment, at, marks=pytest.mark.slow) for moment in MOMENTS for at in (1, 4, 6))],
)
def test_a_killed_run_goes_on_with_what_is_unfinished(
    config: Path, photos: Path, tmp_path: Path, test_script, moment: str, at: int
) -> None:
    reference, out = tmp_path / "reference", tmp_path / "out"
    run_restoring(config, None, [photos], reference, num_steps=2)
    killed = test_script(out, "--num-steps", "2", harm=f'KillAt, at={at}, moment="{moment}"')
    assert killed.returncode == -9, killed.stderr
    before = times(out)
    assert len(before) < 6 or moment in ("unnoted", "torn")
    again = run_restoring(config, None, [photos], out, num_steps=2)
    assert again.restored + again.skipped == 6
    kept = sum(times(out).get(place) == time for place, time in before.items())
    assert kept == again.skipped  # what was noted is not done again
    assert again.skipped >= at - 1 - WAITING  # so many before it may be on their way too, on a slow disk
    assert lines(out) == lines(reference)
    assert restored(out) == restored(reference)
    assert not [*out.rglob(".tmp-*"), *out.glob("manifest.rank*")]


@pytest.mark.slow
def test_two_ranks_restore_what_one_does(config: Path, photos: Path, tmp_path: Path, torchrun) -> None:
    (photos / "text.png").write_text("no picture")
    run_restoring(config, None, [photos], tmp_path / "one", num_steps=2)
    done = torchrun("test.py", config, "none", "--pictures", photos, "--out", tmp_path / "two", "--num-steps", 2)
    assert done.returncode == 1, done.stderr  # torchrun's own code for any but 0
    assert done.stdout.count("6 restored, 0 done before, 1 failed") == 1
    assert done.stderr.count("failed: text: ") == 1
    assert lines(tmp_path / "two") == lines(tmp_path / "one")
    assert restored(tmp_path / "two") == restored(tmp_path / "one")
    assert not list((tmp_path / "two").glob("manifest.rank*"))


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
def test_a_rank_that_dies_ends_all_and_its_rest_is_done_at_the_next_start(
    config: Path,
    photos: Path,
    tmp_path: Path,
    start,
    dead: int,
) -> None:
    harmed, out = config.with_name("harmed.py"), tmp_path / "out"
    kill = f'dict(type="tests.core.engine.restoring.harm.KillAt", at=2, moment="unnoted", rank={dead})'
    harmed.write_text(f'_base_ = ["{config}"]\ncustom_hooks = [{kill}]\n')
    ranks = start(
        "test.py", harmed, "none", "--pictures", photos, "--out", out, "--num-steps", 2, options=["randomness.seed=0"]
    )
    said = [process.communicate(timeout=PATIENCE)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [-9 if rank == dead else 1 for rank in range(2)], said
    assert "another rank died" in said[1 - dead]
    before = times(out)
    again = run_restoring(config, None, [photos], out, num_steps=2)
    assert again.skipped >= 3  # the other's share, at least
    assert sum(times(out).get(place) == time for place, time in before.items()) == again.skipped
    run_restoring(config, None, [photos], tmp_path / "one", num_steps=2)
    assert lines(out) == lines(tmp_path / "one")
    assert restored(out) == restored(tmp_path / "one")


@settings(max_examples=5)
@given(kills=st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), max_size=2), most=st.integers(1, 3))
def test_any_interleaving_of_kills_and_restarts_ends_as_one_run(kills: list[tuple[int, float]], most: int) -> None:
    """A kill after so many calls of the model; of the manifest, which may not have reached the disk, a share is left."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tiny.py").write_text(CONFIG.format(root=ROOT, data="nowhere"))
        for index in range(5):
            write_image(root / "lr" / f"p{index}.png", picture(index, height=6 + index // 3))

        def start(out: str) -> None:
            run_restoring(root / "tiny.py", None, [root / "lr"], root / out, num_steps=1, batch_size=most)

        start("one")
        for calls, share in kills:
            with pytest.MonkeyPatch.context() as patched, suppress(KeyboardInterrupt):
                patched.setattr(LinearSR, "restore", stopped_after(calls))
                start("out")
            manifest = root / "out" / "manifest.jsonl"
            manifest.write_bytes(manifest.read_bytes()[: int(share * manifest.stat().st_size)])
        start("out")
        found, wanted = lines(root / "out"), lines(root / "one")
        for line in (*found.values(), *wanted.values()):
            if most > 1:  # what is left goes together otherwise, and batches round otherwise
                del line["output_sha256"]
        assert found == wanted


def stopped_after(calls: int) -> Callable[..., torch.Tensor]:
    honest, left = LinearSR.restore, [calls]

    def restore(*arguments: object) -> torch.Tensor:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return honest(*arguments)

    return restore
