"""torch.compile for the denoiser: the same losses and pictures, the same names, few compilations, and what is refused.

"aot_eager" traces forward and backward as inductor does and runs the operations one by one, so it needs no compiler.
"""

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import ExponentialMovingAverage, MMDistributedDataParallel
from torch import Tensor, nn

from linearsr.core.data import degrade_bicubic
from linearsr.core.errors import ConfigError
from linearsr.core.models import LinearSR
from linearsr.core.models.compiling import regions
from linearsr.core.structures import SRBatch
from linearsr.core.weights import load_strict, read_state_dict, write_safetensors
from tests.core.models.test_linear_sr import TinyDenoiser

# dynamo asks every tensor for .grad and hides the warning itself, but only where warnings are no errors
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")

QUICK = {"backend": "aot_eager", "fullgraph": True}
SAME = {"rel": 1e-5}
"""Five steps of float32: a fused or reordered sum differs in the last bit (6e-8), and each step carries it on."""
BFLOAT16 = {"rel": 2.0**-8}
"""One rounding of bfloat16: a backend that fuses operations casts between fewer of them."""
DIT = {
    "type": "LinearDiT",
    "depth": 3,
    "width": 16,
    "head_width": 8,
    "attention": {"type": "ReLULinearAttention"},
    "feed_forward": {"type": "GatedConvFeedForward", "ratio": 2.0},
    "lr_stem": {"type": "ConvStem", "width": 8, "depth": 1},
}
MIXTURE = {"type": "ExpertMixture", "router": {"type": "SNRRouter", "boundaries": (0.5,)}, "expert": DIT}
PLAIN = {"type": f"{TinyDenoiser.__module__}.TinyDenoiser", "zero": False}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What another test compiled is not found here."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def model(compile_denoiser: Any = False, denoiser: dict[str, Any] = DIT) -> LinearSR:
    torch.manual_seed(0)
    return LinearSR(
        upscale=2,
        autoencoder={"type": "ResidualPixelShuffle", "factor": 2},
        denoiser=denoiser,
        path={"type": "RectifiedFlow"},
        time_sampler={"type": "UniformTimes"},
        time_grid={"type": "UniformGrid"},
        solver={"type": "Euler"},
        preconditioner={"type": "VelocityPreconditioner"},
        compile_denoiser=compile_denoiser,
    )


def batch(step: int, size: int = 16) -> SRBatch:
    hr = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(step))
    return SRBatch(degrade_bicubic(hr, 2), (2 * step, 2 * step + 1), hr)


def five_losses(method: LinearSR, loss: Callable[[SRBatch], Tensor] | None = None, autocast: bool = False) -> list[float]:
    optimizer = torch.optim.AdamW(method.train().parameters(), 1e-3)
    losses = []
    for step in range(5):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            value = method.loss(batch(step))["loss"] if loss is None else loss(batch(step))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


class Counting:
    """A backend that runs what it is given, and counts."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        return graph.forward


@pytest.mark.parametrize("denoiser", [DIT, MIXTURE, PLAIN], ids=["blocks", "experts", "without blocks"])
def test_five_steps_have_the_losses_of_the_model_that_is_not_compiled(denoiser: dict[str, Any]) -> None:
    assert five_losses(model(QUICK, denoiser)) == pytest.approx(five_losses(model(False, denoiser)), **SAME)


def test_under_bfloat16_autocast_too() -> None:
    assert five_losses(model(QUICK), autocast=True) == pytest.approx(five_losses(model(), autocast=True), **BFLOAT16)


def test_with_activation_checkpointing_too() -> None:
    saving = DIT | {"activation_checkpointing": True}
    assert five_losses(model(QUICK, saving)) == pytest.approx(five_losses(model()), **SAME)


@pytest.mark.slow  # a minute of C++ compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
@pytest.mark.filterwarnings("default")  # inductor's own deprecations are not ours
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_inductor_has_the_losses_of_the_model_that_is_not_compiled(autocast: bool) -> None:
    tolerance = BFLOAT16 if autocast else SAME
    assert five_losses(model(True), autocast=autocast) == pytest.approx(five_losses(model(), autocast=autocast), **tolerance)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("num_steps", [1, 20])
def test_inductor_restores_the_pictures_of_the_model_that_is_not_compiled(num_steps: int, autocast: bool) -> None:
    lr = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    bound = 2.0**-8 if autocast else 1e-4  # 5e-4 to 1.1e-3 and 9e-8 measured; of bfloat16 one rounding of a picture in 0..1
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        want = spoken(model()).restore(lr, num_steps)
        assert (spoken(model(True)).restore(lr, num_steps) - want).abs().max() < bound


def spoken(method: LinearSR) -> LinearSR:
    """With weights as after training: an untrained head gives 0."""
    draw = torch.Generator().manual_seed(0)
    for parameter in method.denoiser.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    return method


def test_alike_blocks_share_one_graph_and_a_third_size_needs_no_other() -> None:
    backend = Counting()
    method = model({"backend": backend, "fullgraph": True}).train()
    counts = []
    for size in (16, 24, 32, 40, 28):
        method.loss(batch(0, size))["loss"].backward()
        counts.append(backend.graphs)
    assert counts == [1, 2, 2, 2, 2]  # three blocks; the second size is compiled for any


def test_restoring_pictures_of_many_sizes_compiles_a_bounded_number_of_times() -> None:
    backend = Counting()
    method = model({"backend": backend, "fullgraph": True}).eval()
    for height in range(5, 45, 4):
        method.restore(torch.rand(1, 3, height, 64 - height), num_steps=3)
    assert backend.graphs <= 3


def test_the_forward_of_a_whole_dit_has_no_graph_break() -> None:
    found = torch._dynamo.explain(model().denoiser)(torch.rand(2, 12, 8, 8), torch.rand(2), torch.rand(2, 3, 8, 8), None)
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


@pytest.mark.parametrize("denoiser", [DIT, MIXTURE], ids=["dit", "experts"])
@pytest.mark.parametrize("num_steps", [1, 3])
def test_restored_pictures_are_the_same(denoiser: dict[str, Any], num_steps: int) -> None:
    """From `prepare` on; float32 rounding."""
    lr = torch.rand(2, 3, 9, 7)
    want = spoken(model(False, denoiser)).restore(lr, num_steps)
    assert (spoken(model(QUICK, denoiser)).restore(lr, num_steps) - want).abs().max() < 1e-5


def test_names_are_those_of_the_model_that_is_not_compiled_in_both_directions(tmp_path: Path) -> None:
    compiled, plain = model(QUICK), model()
    five_losses(compiled)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    load_strict(plain, read_state_dict(write_safetensors(tmp_path / "w.safetensors", compiled.state_dict())), "w")
    assert five_losses(plain) == pytest.approx(five_losses(compiled), **SAME)


def test_an_averaged_copy_follows_the_compiled_model_and_serves() -> None:
    compiled, plain = model(QUICK), model()
    averages = [ExponentialMovingAverage(method, momentum=0.5) for method in (compiled, plain)]
    for method, average in zip((compiled, plain), averages, strict=True):
        five_losses(method)
        average.update_parameters(method)
        average.update_parameters(method)
    lr = torch.rand(1, 3, 6, 6)
    assert (averages[0].module.restore(lr) - averages[1].module.restore(lr)).abs().max() < 1e-4  # five steps of Adam apart
    assert list(averages[0].state_dict()) == list(averages[1].state_dict())
    copy.deepcopy(averages[0])


@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")  # costs a copy, says torch
def test_inside_mmengines_data_parallel_wrapper_too(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    try:
        method = model({"backend": "aot_eager"})  # torch cuts graphs at the wrapper's gradient buckets
        wrapped = MMDistributedDataParallel(method, device_ids=None)

        def loss(given: SRBatch) -> Tensor:
            return wrapped(lr=given.lr, hr=given.hr, seeds=given.seeds, mode="loss")["loss"]

        assert five_losses(method, loss) == pytest.approx(five_losses(model()), **SAME)
        assert [f"module.{name}" for name in model().state_dict()] == list(wrapped.state_dict())
    finally:
        torch.distributed.destroy_process_group()


def test_only_the_blocks_of_the_denoiser_are_compiled() -> None:
    method = model(QUICK, MIXTURE)
    compiled = {name for name, module in method.named_modules() if module._compiled_call_impl is not None}
    assert compiled == {f"denoiser.experts.{expert}.blocks.{block}" for expert in range(2) for block in range(3)}
    lone = nn.Linear(2, 2)
    assert regions(lone) == [lone]
    assert not any(module._compiled_call_impl is not None for off in (False, None) for module in model(off).modules())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("default", "model.compile_denoiser is 'default'; wanted True, False or dict"),
        ({"mdoe": "default"}, "has no key 'mdoe'; did you mean 'mode'"),
        ({"mode": "fastest"}, "torch.compile refuses it: .*fastest"),
        ({"backend": "nosuch"}, "torch.compile refuses it: .*nosuch"),
    ],
)
def test_an_impossible_setting_is_refused_with_its_key(setting: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model(setting)


def test_what_inductor_lacks_on_this_machine_is_named_before_a_run_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "linearsr.core.models.compiling"
    with monkeypatch.context() as lacking:
        lacking.setattr(f"{place}.shutil.which", lambda name: None)
        lacking.setenv("CXX", "my-c++")
        with pytest.raises(ConfigError, match=r"no 'my-c\+\+' on PATH: apt-get install g\+\+, .*model\.compile_denoiser=False"):
            model(True)
        model(QUICK)  # needs none
    with monkeypatch.context() as lacking:
        lacking.setattr(f"{place}.shutil.which", lambda name: name)
        lacking.setattr(f"{place}.sysconfig.get_path", lambda name: "/nowhere")
        with pytest.raises(ConfigError, match=r"/nowhere has no Python\.h: apt-get install python3-dev"):
            model({"mode": "default"})
    with monkeypatch.context() as lacking:
        lacking.setattr("torch.cuda.is_available", lambda: True)
        lacking.setattr(f"{place}.find_spec", lambda name: None)
        with pytest.raises(ConfigError, match="pip install triton"):
            model(True)
