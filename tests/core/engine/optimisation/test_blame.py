"""The message names where the first number that is not finite came from."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from torch import Tensor, nn

from linearsr.core.backbones import block
from linearsr.core.engine.optimisation import Diverged, PrecisionOptimWrapper
from linearsr.core.engine.optimisation.blame import Cause, bad_data, find_cause
from linearsr.core.engine.optimisation.tensors import describe, tensors_in
from linearsr.core.models import LinearSR, build_model
from linearsr.core.structures import GuidanceTokens
from tests.core.engine.distributed.models import MODEL, pictures, small_model

Harm = Callable[[LinearSR], object]
NAMES = {"names": ["a", "b", "c", "d"], "datasets": 4 * ["photos"]}


def cause_of(harm: Harm, batch: dict[str, Any] | None = None, model: LinearSR | None = None, **options: Any) -> Cause:
    """What is said when a training step of the harmed model goes wrong. It must leave no gradient and no hook behind."""
    MessageHub.get_current_instance().log_scalars.clear()
    model = (model or small_model()).train()
    harm(model)
    hooks = [len(module._forward_hooks) for module in model.modules()]
    batch = (batch or pictures(0)) | NAMES
    own = PrecisionOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), **options)
    with pytest.raises(Diverged) as caught:
        model.train_step(batch, own)
    random = torch.get_rng_state()
    cause = find_cause(caught.value, model, batch, own)
    assert torch.equal(random, torch.get_rng_state())
    own.abandon()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert hooks == [len(module._forward_hooks) for module in model.modules()]
    return cause


def spoil_output(name: str, by: float = float("nan")) -> Harm:
    """A part of a third party's that draws from the global generator, too."""
    return lambda model: model.get_submodule(name).register_forward_hook(
        lambda module, inputs, output: output * by + torch.rand_like(output)
    )


def spoil_gradient(name: str) -> Harm:
    def on_the_way_back(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: gradient * float("inf"))

    return lambda model: model.get_submodule(name).register_forward_hook(on_the_way_back)


def spoil_weight(name: str, value: float) -> Harm:
    @torch.no_grad()
    def spoil(model: LinearSR) -> None:
        model.get_parameter(name).view(-1)[0] = value

    return spoil


@pytest.mark.parametrize(
    "name", ["denoiser.lr_stem", "denoiser.blocks.1.feed_forward", "denoiser.blocks.0.attention", "denoiser.head"]
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_module_whose_output_is_the_first_bad_one(name: str, dtype: str) -> None:
    cause = cause_of(spoil_output(name), dtype=dtype)
    kind = type(small_model().get_submodule(name)).__name__
    assert f"the loss is not finite (nan): first in {name} ({kind}): in came" in cause.text
    assert not cause.in_weights


@pytest.mark.parametrize(("dtype", "size"), [("float32", 3e38), ("float16", 1e6)])
def test_an_overflow_is_named_with_the_size_of_what_came_in(dtype: str, size: float) -> None:
    """1e6 overflows in float16 alone, whose largest number is 65504."""
    cause = cause_of(spoil_weight("denoiser.blocks.0.attention.qkv.weight", size), dtype=dtype)
    came, went = cause.text.split("first in denoiser.blocks.0.attention.qkv (Linear): in came ")[1].split("; out went ")
    assert came.startswith("float32 [4, 64, 16], |x| ≤ ")
    assert went.startswith(f"{dtype} [4, 64, 48], |x| ≤ ")
    assert went.endswith("of 12288 not finite")
    assert not cause.in_weights


def test_what_only_float16_cannot_hold_is_no_divergence_in_float32() -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        cause_of(spoil_weight("denoiser.blocks.0.attention.qkv.weight", 1e6), dtype="float32")


def test_what_goes_wrong_between_modules_is_named_by_the_module_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = block.gated_residual
    monkeypatch.setattr(block, "gated_residual", lambda *inputs: honest(*inputs) / 0.0)
    cause = cause_of(lambda model: None)
    assert "first in denoiser.blocks.0 (LinearBlock)" in cause.text


def test_what_goes_wrong_outside_the_denoiser_is_named_by_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = LinearSR.loss
    monkeypatch.setattr(LinearSR, "loss", lambda self, *batch: {"loss": honest(self, *batch)["loss"] / 0.0})
    assert "first in LinearSR itself, outside its parts" in cause_of(lambda model: None).text


def test_a_gradient_is_named_by_its_parameter_and_by_the_module_that_it_comes_from() -> None:
    cause = cause_of(spoil_gradient("denoiser.blocks.1.attention"))
    assert "the gradient is not finite (" in cause.text
    assert "the first gradient that is not finite is that of denoiser." in cause.text
    # the attention's last layer gives the same tensor, and is asked for its gradient first
    last = "the gradient is finite down to the output of denoiser.blocks.1.attention.proj (Linear)"
    assert f"{last}, and not at the output of denoiser.blocks.1.attention (ReLULinearAttention)" in cause.text


def test_gradients_that_are_finite_with_a_norm_that_is_not() -> None:
    def enlarge(model: LinearSR) -> None:
        model.denoiser.head.bias.register_hook(lambda gradient: torch.full_like(gradient, 1e30))

    cause = cause_of(enlarge)
    assert "each gradient is finite, but not their norm; the largest, 1e+30, is that of denoiser.head.bias" in cause.text


def test_a_weight_is_named_before_what_it_does() -> None:
    cause = cause_of(spoil_weight("denoiser.blocks.1.scale_shift_table", float("nan")))
    assert "the weight denoiser.blocks.1.scale_shift_table is not finite" in cause.text
    assert cause.in_weights


@pytest.mark.parametrize("key", ["lr", "hr"])
def test_a_picture_is_named(key: str) -> None:
    batch = pictures(0)
    batch[key][2, 0, 0, 0] = float("nan")
    assert f"the data: {key} of the picture 'c' of photos is not finite" in cause_of(lambda model: None, batch).text


def test_pictures_without_names_are_numbered() -> None:
    assert bad_data({"lr": torch.tensor([[0.0], [float("inf")]])}) == "the data: lr of sample 1 of the batch is not finite"
    assert bad_data({"lr": torch.ones(2, 1), "hr": None, "seeds": [1, 2]}) is None


def test_what_does_not_happen_again_is_said() -> None:
    times = []

    def once(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        times.append(1)
        return output * float("nan") if len(times) == 1 else output

    cause = cause_of(lambda model: model.denoiser.head.register_forward_hook(once))
    assert "run again with the same weights, the batch gives finite numbers" in cause.text


def test_an_error_on_the_second_way_through_does_not_hide_the_divergence() -> None:
    times = []

    def worse(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        times.append(1)
        if len(times) > 1:
            raise RuntimeError("gone")
        return output * float("nan")

    text = cause_of(lambda model: model.denoiser.head.register_forward_hook(worse)).text
    assert text.startswith("the loss is not finite")
    assert "could not be run again to find the first module (RuntimeError: gone)" in text


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of torch's compiler
def test_names_are_found_inside_compiled_blocks() -> None:
    torch.manual_seed(0)
    model = build_model(MODEL | {"compile_denoiser": {"backend": "eager"}})
    text = cause_of(spoil_weight("denoiser.blocks.1.attention.qkv.weight", 3e38), model=model).text
    assert "first in denoiser.blocks.1.attention.qkv (Linear)" in text


@pytest.mark.parametrize("harm", [spoil_output, spoil_gradient])
def test_names_are_found_behind_activation_checkpointing(harm: Callable[[str], Harm]) -> None:
    text = cause_of(harm("denoiser.blocks.1.feed_forward"), model=small_model(activation_checkpointing=True)).text
    assert "denoiser.blocks.1.feed_forward (GatedConvFeedForward)" in text


def test_tensors_are_found_in_whatever_modules_pass_on() -> None:
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(1, 3, 4)
    tokens = GuidanceTokens(three, torch.ones(1, 3, dtype=torch.bool))
    found = list(tensors_in([one, {"a": (two, None, "text")}, tokens, torch.ones(2, dtype=torch.int64)]))
    assert [tensor is wanted for tensor, wanted in zip(found, (one, two, three), strict=True)] == [True] * 3


def test_a_description_says_type_shape_size_and_how_much_is_bad() -> None:
    assert describe(torch.tensor([1.0, -3.0])) == "float32 [2], |x| ≤ 3"
    assert describe(torch.tensor([1.0, float("nan")])) == "float32 [2], |x| ≤ 1, 1 of 2 not finite"
    assert describe(torch.tensor([float("inf")], dtype=torch.bfloat16)) == "bfloat16 [1], nothing in it finite"
