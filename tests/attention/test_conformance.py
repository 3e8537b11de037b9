"""The check of an attention finds what is wrong and blames nothing else, and passes classes that know nothing of linearsr."""

import re
from contextlib import nullcontext

import pytest
import torch

from linearsr.attention import ReLULinearAttention, SoftmaxAttention
from linearsr.attention.conformance import check_attention
from linearsr.core.errors import ConfigError
from tests.attention import broken as b
from tests.attention import broken_costs as costs
from tests.attention import broken_tiles as tiles

DENSE = ("forward is forward_dense", "gradients are those of forward_dense")
FINITE = ("all zero", "a token that is zero", "all negative")
LARGE = ("tokens: outputs and gradients are finite", "tokens: outputs are float64's")
TILES = "the sum of the tiles' states"

BROKEN = [
    (b.WrongNormaliser, DENSE),
    (b.WrongGradient, (DENSE[1], "finite differences")),
    (b.LeakingBatch, ("does not depend on its batch",)),
    (b.LeakingHead, ("depends on no other head",)),
    (b.RemembersTheFirst, ("left over from the call before",)),
    (b.DeadGradient, ("every parameter gets a finite gradient",)),
    (b.ForgetsItsFeatures, ("a state dict",)),
    (b.OneCopyForAll, ("a deep copy",)),
    (b.DoesNotPickle, ("pickling",)),
    (b.ChangesItsInput, ("left alone",)),
    (b.WantsItContiguous, ("strides",)),
    (b.AnswersAnEmptyBatch, ("an empty batch",)),
    (b.AnswersOnAnyGrid, ("do not fill the grid",)),
    (b.NoEps, (*FINITE, "13×41", *LARGE)),  # among so many queries some have no feature
    (b.NoEpsInTheGradient, (*FINITE, f"{DENSE[1]} on 13×41", LARGE[0])),
    (b.SumsInFloat16, ("large float16",)),
    (b.CountsInBfloat16, (f"large bfloat16 {LARGE[1]}",)),
    (b.UnboundedFeatures, ("large float32", "large bfloat16")),
    (costs.QuadraticFLOPs, ("FLOPs grow",)),
    (costs.QuadraticFLOPsInPlace, ("FLOPs grow",)),
    (costs.QuadraticWhenRestoring, ("FLOPs grow",)),
    (costs.QuadraticMemory, ("peak bytes grow",)),
    (b.DrawsInTheBackwardPass, ("checkpointing", "torch.compile")),  # two plain passes would differ as well
    (b.KnowsWhereItIs, ("moved tokens",)),
    (b.KnowsItsGrid, ("moved tokens",)),
    (b.FlagIsAString, ("True or False",)),
    (tiles.MeansInsteadOfSums, (TILES,)),
    (tiles.OneTileAtATime, (TILES,)),
    (tiles.HidesTorchsApply, ("module.apply(function)",)),
    (tiles.HaloUnsaid, (TILES,)),
    (tiles.HaloTooSmall, (TILES,)),
    (tiles.CountsItsMargin, (TILES,)),
]


def blamed(report, laws):
    """Each of these laws is broken, and no other."""
    failed = [finding.law for finding in report.failed]
    assert all(any(law in found for found in failed) for law in laws), str(report)
    assert all(any(law in found for law in laws) for found in failed), str(report)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(("broken", "laws"), BROKEN)
def test_a_broken_attention_is_told_the_laws_it_breaks_and_no_other(broken, laws):
    blamed(check_attention(broken), laws)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (b.Undecided, "the same input gives the same output"),
        (b.DropsATail, "as many tokens out, on 1×7"),
        (b.TruncatesToFloat32, "finite differences"),
    ],
)
def test_what_is_wrong_everywhere_is_told_so_here_too(broken, law):
    assert any(law in finding.law for finding in check_attention(broken).failed)


def test_another_answer_when_compiled_is_found():
    blamed(check_attention(b.OtherwiseWhenCompiled), ("torch.compile",))


@pytest.mark.parametrize("cls", [b.Plain, tiles.Local])
def test_what_the_broken_ones_are_made_from_conforms(cls):
    check_attention(cls).require()


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("halo", [1, 2, 3])
def test_a_larger_halo_than_needed_is_no_breach(halo):
    class Wide(tiles.Local):
        pass

    Wide.halo = halo
    (finding,) = [f for f in check_attention(Wide).require().findings if TILES in f.law]
    assert finding.status == "passed"


def test_a_class_that_knows_nothing_of_linearsr_passes_and_keeps_its_options():
    report = check_attention(b.MeanOfAll, {"depth": 2}).require()
    assert report.findings[0].detail == f"{2 * (16 * 16 + 16)} parameters"
    skipped = {finding.law for finding in report.findings if finding.status == "skipped"}
    assert skipped >= {"forward is forward_dense on 5×3 tokens", "a head's output depends on no other head"}


@pytest.mark.usefixtures("uncompiled")
def test_what_declares_nothing_of_its_cost_is_measured_and_never_blamed():
    class Quadratic(costs.QuadraticInAll):
        linear = False

    report = check_attention(Quadratic).require()
    (flops,) = [finding.detail for finding in report.findings if "FLOPs" in finding.law]
    power = float(flops.partition("N^")[2].split()[0])
    assert 1.8 < power < 2  # the projections are linear in N
    assert "linear is not declared" in flops


@pytest.mark.usefixtures("uncompiled")
def test_the_number_of_the_block_is_offered():
    class Odd(b.Plain):
        def __init__(self, dim, num_heads, layer):
            assert layer == 1
            super().__init__(dim, num_heads)

    check_attention(Odd, layer=1).require()


@pytest.mark.usefixtures("uncompiled")
def test_a_class_that_no_import_finds_is_not_blamed_for_that():
    class Here(b.Plain):
        pass

    (finding,) = [f for f in check_attention(Here).require().findings if "pickling" in f.law]
    assert finding.status == "skipped"


@pytest.mark.usefixtures("uncompiled")
def test_accuracy_that_cannot_be_judged_is_not_called_passed():
    """Hundreds of logits apart, softmax takes the largest, and a rounding of the tokens says which that is."""
    found = {finding.law: finding for finding in check_attention(SoftmaxAttention).require().findings}
    finite, accurate = (found[f"large bfloat16 {law}"] for law in (LARGE[0], f"{LARGE[1]}, roughly"))
    assert finite.status == "passed"
    assert accurate.status == "skipped"
    assert re.search(r"moves float64's by \d\.\de-\d\d; beyond 1\.6e-02 ", accurate.detail), accurate.detail


@pytest.mark.parametrize(("device", "reason"), [("nope", "device type"), ("mps", "")])
def test_a_device_that_cannot_hold_float64_is_refused(device, reason):
    with pytest.raises(ConfigError, match=f"device='{device}' holds no float64: .*{reason}.*; choose 'cpu'"):
        check_attention(b.Plain, device=device)


@pytest.mark.usefixtures("uncompiled")
def test_no_law_mixes_tensors_of_two_devices(monkeypatch):
    """The meta device has no numbers, so here each is 0 and each question is answered yes; but it refuses what is not on it."""
    monkeypatch.setattr(torch.Tensor, "item", lambda _: 0.0)
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda _: True)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    report = check_attention(ReLULinearAttention, device="meta", timing=True)
    without_numbers = [
        "inputs are left alone",
        "a head's output depends on no other head",
    ]  # torch.equal has nothing to compare
    assert [finding.law for finding in report.failed] == without_numbers, str(report)
    assert all("Meta" in finding.detail for finding in report.failed), str(report)
    (time,) = [finding for finding in report.findings if "CPU time" in finding.law]
    assert (time.status, time.detail) == ("skipped", "the work is done on meta, not by the processor")


def test_a_class_that_does_not_build_is_told_why_and_tried_no_further():
    report = check_attention(b.MeanOfAll, {"deptth": 2})
    assert [finding.law for finding in report.findings] == ["builds a torch module from what the model supplies"]
    assert "deptth" in report.failed[0].detail


def test_a_function_is_no_module():
    report = check_attention(lambda dim: lambda x, grid: x)
    assert "wanted a torch.nn.Module" in report.failed[0].detail


def test_the_check_leaves_global_randomness_alone():
    torch.manual_seed(3)
    check_attention(b.MeanOfAll)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))


@pytest.mark.usefixtures("uncompiled")
def test_time_is_measured_only_if_asked_for():
    assert not any("time" in finding.law for finding in check_attention(b.Plain).findings)
    (finding,) = [f for f in check_attention(b.Plain, timing=True).findings if "CPU time" in f.law]
    assert "ms at 8192 tokens" in finding.detail
