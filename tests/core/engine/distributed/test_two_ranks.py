"""What two ranks say to each other: failures, losses, folders, figures and pictures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric

from linearsr.core.engine.distributed import claim_folder, gather_in_memory, together
from linearsr.core.engine.distributed.replicated import mean_over_ranks
from linearsr.core.engine.hooks import PictureWriterHook
from linearsr.core.errors import DataError
from linearsr.core.evaluation import PictureMetrics
from tests.core.engine.distributed.ranks import on_ranks

PICTURES = 7


class Named(BaseMetric):
    """A metric of somebody else, which gathers as mmengine does."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(sample["name"] for sample in data_samples)

    def compute_metrics(self, results: list[str]) -> dict[str, int]:
        return {"pictures": len(results), "names": len(set(results))}


def on_one_rank(folder: str) -> dict[str, Any]:
    rank = get_rank()
    found: dict[str, Any] = {"mean": mean_over_ranks({"loss": torch.tensor(float(rank)), "other": torch.tensor(2.0)})}
    for name, error in (("mendable", DataError("a picture")), ("bug", ZeroDivisionError("ours"))):
        try:
            with together():
                if rank == 1:
                    raise error
        except Exception as raised:
            found[name] = (type(raised).__name__, str(raised))
    with together():
        found["all is well"] = True
    found["fresh"] = [claim_folder(Path(folder) / "run") for _ in range(2)]
    return found | evaluated(folder, rank, 2)


def evaluated(folder: str, rank: int, ranks: int) -> dict[str, Any]:
    """Seven pictures, dealt in turn; the first of them twice where ranks would have unequally many."""
    metric, (theirs,) = PictureMetrics(metrics=["psnr_y"], crop_border=2), gather_in_memory([Named()])
    writer = PictureWriterHook(folder, sheet_pictures=2)
    for steps in (1, 4):
        for place in range(-(-PICTURES // ranks)):
            outputs = [sample((ranks * place + rank) % PICTURES, steps)]
            metric.process(None, outputs)
            writer.after_test_iter(None, place, None, outputs)
            if steps == 1:
                theirs.process(None, outputs)
    figures = metric.evaluate(PICTURES)
    sheet = [(row.name, list(row.sr), float(row.lr.sum())) for row in writer.sheet_rows()]
    return {"figures": figures, "rows": metric.rows, "sheet": sheet, "theirs": theirs.evaluate(PICTURES)}


def sample(number: int, steps: int) -> dict[str, Any]:
    draws = torch.Generator().manual_seed(number)
    hr, lr, noise = (torch.rand(3, side, side, generator=draws) for side in (16, 8, 16))
    dataset = "first" if number < 3 else "second"
    sr = (hr + 0.1 * steps * noise).clamp(0, 1)
    return {"name": f"p{number}", "dataset": dataset, "hr": hr, "lr": lr, "sr": sr, "num_steps": steps, "seconds": 1.0}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = on_ranks(on_one_rank, str(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["restored", "run"]  # no .dist_test
    return found


def test_an_error_of_the_users_on_one_rank_is_one_on_all(two: list[dict]) -> None:
    assert two[0]["mendable"] == ("LinearSRError", "a picture (on rank 1)")
    assert two[1]["mendable"] == ("DataError", "a picture")


def test_an_error_of_ours_on_one_rank_ends_the_others_by_its_name(two: list[dict]) -> None:
    assert two[0]["bug"] == ("RankError", "ours (on rank 1)")
    assert two[1]["bug"] == ("ZeroDivisionError", "ours")
    assert all(own["all is well"] for own in two)


def test_what_is_logged_is_the_mean_over_ranks(two: list[dict]) -> None:
    for own in two:
        assert own["mean"] == {"loss": torch.tensor(0.5), "other": torch.tensor(2.0)}


def test_all_ranks_agree_on_whether_the_folder_is_new(two: list[dict]) -> None:
    assert [own["fresh"] for own in two] == [[True, False]] * 2


def test_seven_pictures_over_two_ranks_measure_as_over_one(two: list[dict], tmp_path: Path) -> None:
    one = evaluated(str(tmp_path), 0, 1)
    for own in two:
        assert own["figures"] == one["figures"]  # bit for bit: the same figures added up in the same order
        assert own["rows"] == one["rows"]
    assert {row["num_images"] for row in one["rows"] if row["dataset"] == "second"} == {4}


def test_the_sheet_shows_the_first_pictures_of_every_data_set(two: list[dict], tmp_path: Path) -> None:
    one = evaluated(str(tmp_path), 0, 1)["sheet"]
    assert [name for name, _, _ in one] == ["first / p0", "first / p1", "second / p3", "second / p4"]
    assert all(steps == [1, 4] for _, steps, _ in one)
    for own in two:
        assert own["sheet"] == one


def test_a_metric_of_others_gets_every_picture_once(two: list[dict]) -> None:
    for own in two:
        assert own["theirs"] == {"pictures": 7, "names": 7}
