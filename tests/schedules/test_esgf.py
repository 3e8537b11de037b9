"""ESGF: what a stage starts from."""

import pytest

from linearsr.core.errors import ConfigError
from linearsr.core.structures import Start
from linearsr.schedules import ESGF
from linearsr.schedules.conformance import check_curriculum

UNSAID = [("pretrain", ...), ("experts", ...), ("sft", ...)]


def test_a_stage_that_does_not_say_starts_at_the_knee_of_the_one_before():
    assert ESGF().starts(UNSAID) == [None, Start(stage="pretrain", point="knee"), Start(stage="experts", point="knee")]


@pytest.mark.parametrize(
    ("start", "wanted"),
    [("last", Start(stage="pretrain", point="last")), ("best:Set5/psnr_y@4", Start(None, "pretrain", "best", "Set5/psnr_y@4"))],
)
def test_start_changes_all_stages_that_do_not_say(start, wanted):
    assert ESGF(start).starts(UNSAID)[1] == wanted
    check_curriculum(ESGF(start)).require()


def test_what_a_stage_says_counts():
    said = [("pretrain", None), ("experts", "pretrain@last"), ("sft", "runs/a@b/knee.pth")]
    assert ESGF().starts(said) == [None, Start(stage="pretrain", point="last"), Start(file="runs/a@b/knee.pth")]


def test_a_start_is_written_as_it_is_read():
    for text in ("pretrain@knee", "pretrain@last", "pretrain@best:psnr_y", "weights/a.safetensors"):
        assert str(ESGF().starts([("a", None), ("b", text)])[1]) == text


@pytest.mark.parametrize("start", ["middle", "best", "best:", "", "Knee", 3, None])
def test_an_unknown_start_is_refused_by_key(start):
    with pytest.raises(ConfigError, match=r"curriculum\.start is .*wanted 'knee', 'last' or 'best:<metric>'"):
        ESGF(start)


@pytest.mark.parametrize("init", ["pretrain@kne", "@knee", "pretrain@best:", "", 3])
def test_an_init_that_cannot_be_read_is_refused_by_key(init):
    with pytest.raises(ConfigError, match=r"stages\.1\.init is"):
        ESGF().starts([("pretrain", None), ("sft", init)])
