"""Does a curriculum keep its contract? `check_curriculum(mine).require()` raises with the laws broken."""

from __future__ import annotations

from functools import partial

from linearsr.core.conformance import ConformanceReport, refused
from linearsr.core.protocols import Curriculum
from linearsr.core.structures import Start

UNREADABLE: tuple[object, ...] = ("pretrain@middle", "@knee", "pretrain@best", 3)
NAMES = ("pretrain", "experts", "sft")


def check_curriculum(curriculum: Curriculum) -> ConformanceReport:
    """What is said of a stage is what it starts from; what is not said is the curriculum's to choose among what is there."""
    report = ConformanceReport(type(curriculum).__name__)
    unsaid = [(name, ...) for name in NAMES]

    def one_each() -> str:
        starts = curriculum.starts(unsaid)
        if len(starts) != len(NAMES) or not all(start is None or isinstance(start, Start) for start in starts):
            raise AssertionError(f"{starts!r} for {len(NAMES)} stages; wanted a Start or None for each")
        return ", ".join(map(str, starts))

    def from_what_is_there() -> None:
        for index, start in enumerate(curriculum.starts(unsaid)):
            if start is not None and start.stage is not None and start.stage not in NAMES[:index]:
                raise AssertionError(f"{NAMES[index]} starts from {start}; before it there are {NAMES[:index]}")

    def as_said() -> None:
        said = [("pretrain", None), ("experts", "weights/dense.safetensors"), ("sft", "pretrain@best:psnr_y")]
        wanted = [None, Start(file="weights/dense.safetensors"), Start(stage="pretrain", point="best", metric="psnr_y")]
        if (got := curriculum.starts(said)) != wanted:
            raise AssertionError(f"{[init for _, init in said]} became {list(map(str, got))}")

    def same_again() -> None:
        if curriculum.starts(unsaid) != curriculum.starts(unsaid):
            raise AssertionError("asked twice, it answers differently; a resumed run would start from something else")

    report.hold("a start or None for each stage", one_each)
    report.hold("stages start from stages before them", from_what_is_there)
    report.hold("an init in the config is what its stage starts from", as_said)
    report.hold("the same stages get the same starts", same_again)
    for init in UNREADABLE:
        report.hold(
            f"init {init!r} is refused", partial(refused, partial(curriculum.starts, [("pretrain", None), ("sft", init)]))
        )
    return report
