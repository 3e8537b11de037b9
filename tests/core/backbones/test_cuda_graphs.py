"""Recorded evaluations: what they give, when they are recorded, and that an evaluation can be.

A CPU has no graphs; a function that is called again on the same memory stands in for one.
"""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from linearsr.core.backbones.cuda_graphs import KEPT, Evaluations
from linearsr.core.errors import ConfigError
from linearsr.core.planning.shadows import LOOKS, tensors_in
from linearsr.core.registries import ATTENTION, MODELS, SOLVERS
from tests.core.backbones.test_linear_dit import dit, question
from tests.strategies import normal

TIMES = torch.tensor([1.0, 0.75, 0.5, 0.25], dtype=torch.float64)


class Recorder:
    """In place of CUDA's: the function is called at each replay. `replays` counts them, one list entry a recording."""

    def __init__(self):
        self.replays = []

    def __call__(self, function):
        out, number = function(), len(self.replays)
        self.replays.append(0)

        def replay():
            out.copy_(function())
            self.replays[number] += 1

        return replay, out


def recorded_and_plain(model, recorder):
    """Two functions of (z, t, prepared)."""
    recorded = Evaluations(recorder)

    def replayed(z, t, prepared):
        return recorded(model.evaluate, z, prepared.tables.at(t) or model.tables(t), prepared)

    return replayed, lambda z, t, prepared: model(z, t, None, None, prepared=prepared)


@torch.no_grad()
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=8))
def test_law_whatever_was_evaluated_before_a_replay_gives_what_the_evaluation_gives(asked):
    """Pictures of two sizes, with words and without, in any order, at prepared times and others."""
    model, recorder = dit(), Recorder()
    replayed, plain = recorded_and_plain(model, recorder)
    pictures = []
    for size, told in (((3, 5), True), ((3, 5), False), ((2, 4), True), ((3, 5), True)):
        z, _, lr, words = question(size=size)
        pictures.append((z, model.prepare(lr * (1 + len(pictures)), words if told else None, TIMES)))
    shapes = set()
    for picture, time, seed in asked:
        z, prepared = pictures[picture]
        z, t = z + normal(seed, *z.shape), torch.full((3,), (*TIMES.tolist(), 0.1)[time], dtype=torch.float64)
        shapes.add((z.shape, prepared.cross[0] is None, time == 4))  # what is not prepared is a row of modulation each
        assert torch.equal(replayed(z, t, prepared), plain(z, t, prepared))
    assert len(recorder.replays) == len(shapes)
    assert sum(recorder.replays) == len(asked)


@torch.no_grad()
def test_a_result_stays_when_the_next_one_is_made():
    model, recorder = dit(), Recorder()
    replayed, plain = recorded_and_plain(model, recorder)
    z, t, lr, words = question()
    prepared = model.prepare(lr, words, TIMES)
    first, wanted = replayed(z, t, prepared), plain(z, t, prepared)
    replayed(2 * z, t, prepared)
    assert torch.equal(first, wanted)


@torch.no_grad()
def test_pictures_with_times_of_their_own_have_a_recording_of_their_own():
    model, recorder = dit(), Recorder()
    replayed, plain = recorded_and_plain(model, recorder)
    z, _, lr, words = question()
    prepared = model.prepare(lr, words, TIMES)
    for times in (TIMES[:3], TIMES[:1].expand(3), TIMES[1:]):
        assert torch.equal(replayed(z, times, prepared), plain(z, times, prepared))
    assert len(recorder.replays) == 2  # [B] rows of modulation, and one row for all


def test_recordings_made_in_inference_mode_do_not_serve_outside_of_it():
    """Nobody may write to its tensors there."""
    model, recorder = dit(), Recorder()
    replayed, plain = recorded_and_plain(model, recorder)
    z, t, lr, words = question()
    for mode in (torch.inference_mode, torch.no_grad, torch.inference_mode, torch.no_grad):
        with mode():
            prepared = model.prepare(lr, words, TIMES)
            assert torch.equal(replayed(z, t, prepared), plain(z, t, prepared))
    assert len(recorder.replays) == 2


@torch.no_grad()
def test_the_last_used_recordings_are_kept():
    model, recorder = dit(), Recorder()
    recorded = Evaluations(recorder)
    for width in (1, *range(2, KEPT + 2), 1):
        z, t, lr, _ = question(size=(1, width))
        recorded(model.evaluate, z, model.tables(t), model.prepare(lr, None))
    assert len(recorded) == KEPT
    assert len(recorder.replays) == KEPT + 2  # the first was given up, and recorded again


@torch.no_grad()
def test_weights_that_may_have_moved_are_recorded_anew_and_copies_have_no_recordings():
    model = dit(cuda_graphs=True)
    z, t, lr, _ = question()
    recorded = model.recorded._record = Recorder()

    def evaluated():
        return model.recorded(model.evaluate, z, model.tables(t), model.prepare(lr, None))

    evaluated()
    assert len(copy.deepcopy(model).recorded) == 0
    assert len(model.recorded) == 1
    for move in (model.double, lambda: model.load_state_dict(dit().state_dict(), assign=True)):
        move()
        assert len(model.recorded) == 0
        assert torch.equal(evaluated(), model(z, t, lr, None))
    assert len(recorded.replays) == 3


def test_on_a_cpu_nothing_is_recorded():
    model = dit(cuda_graphs=True)
    with torch.no_grad():
        assert torch.equal(model(*question()), dit()(*question()))
    assert len(model.recorded) == 0


def looks(func, args):
    """index is marked as an operation that looks, as it does for a mask."""
    if func is torch.ops.aten.index.Tensor:
        return any(index is not None and index.dtype == torch.bool for index in args[1])
    return any(tag in func.tags for tag in LOOKS)


class OnDevice(TorchDispatchMode):
    """Calls tensors and all that is computed with them a device's. Looks at their values are refused: a device must be waited
    for, and a CUDA graph cannot record one."""

    def __init__(self, module, *tensors):
        super().__init__()
        self.there = WeakIdKeyDictionary(dict.fromkeys((*module.parameters(), *module.buffers(), *tensors)))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        there = any(tensor in self.there for tensor in tensors_in((args, kwargs or {})))
        assert not (there and looks(func, args)), f"{func} looks at values"
        out = func(*args, **(kwargs or {}))
        if there:
            self.there.update(dict.fromkeys(tensors_in(out)))
        return out


class Recordable(OnDevice):
    """Refuses values from the host, too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten.lift_fresh.default, "a tensor is made of numbers of the host"
        return super().__torch_dispatch__(func, types, args, kwargs)


@pytest.mark.parametrize("attention", ATTENTION.own())
@pytest.mark.parametrize("several", [False, True])
@torch.no_grad()
def test_an_evaluation_looks_at_no_values_and_takes_none_from_the_host(attention, several):
    model = dit(attention={"type": attention}, position_scale=1.0, dtype=torch.float32).eval()
    z, t, lr, words = question(size=(7, 5), dtype=torch.float32)
    prepared = model.prepare(lr, words, t)
    tables = prepared.tables.at(t if several else t[:1].expand(3))
    with Recordable(model, z, *tables.tensors(), *prepared.tensors()):
        assert model.evaluate(z, tables, prepared).shape == z.shape


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("solver", SOLVERS.own())
@torch.no_grad()
def test_no_step_of_sampling_waits_for_a_device(solver, mixed):
    """Times are known on the host, and so is whose they are."""
    config = sampled(compiled=False)
    model = MODELS.build((four_experts(config) if mixed else config) | {"solver": {"type": solver}}).eval()
    lr, z = normal(0, 2, 3, 8, 12, dtype=torch.float32).tanh(), normal(1, 2, 48, 4, 6, dtype=torch.float32)
    with OnDevice(model, lr, z):
        times = model.time_grid.times(5)
        model.solver.solve(model._prepared_velocity(lr, None, times, model.memory), z, times)


def test_a_look_at_what_was_computed_is_found():
    layer = torch.nn.Linear(2, 2)
    with OnDevice(layer), pytest.raises(AssertionError, match="looks at values"):
        bool((layer(torch.ones(1, 2)) * 2)[0, 0] > 0)


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_a_graph_within_a_graph_is_refused(mode):
    with pytest.raises(ConfigError, match="max-autotune-no-cudagraphs"):
        MODELS.build(sampled(compiled={"mode": mode}, cuda_graphs=True))


def test_graphs_of_weights_that_come_and_go_are_refused():
    config = four_experts(sampled(compiled=False, cuda_graphs=True), offload="host")
    with pytest.raises(ConfigError, match=r"denoiser\.offload or expert\.cuda_graphs"):
        MODELS.build(config)


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_on_a_card_replayed_sampling_is_sampling(compiled, dtype):
    """The same kernels on the same numbers: the same bits. Two pictures of one size need one recording."""
    plain, graphs = (own.to("cuda", dtype) for own in plain_and_graphs(lambda config: config, compiled))
    for lr in two_pictures():
        lr = lr.to("cuda", dtype)
        assert torch.equal(graphs.restore(lr, 4), plain.restore(lr, 4))
    assert len(graphs.denoiser.recorded) == 1


def plain_and_graphs(change, compiled=False):
    """Two models with the same weights, with and without graphs."""
    torch.manual_seed(0)
    plain, graphs = (MODELS.build(change(sampled(compiled=compiled, cuda_graphs=on))).eval() for on in (False, True))
    graphs.load_state_dict(plain.state_dict())
    return plain, graphs


def two_pictures():
    return [normal(number, 1, 3, 24, 16, dtype=torch.float32).sigmoid() for number in range(2)]


def four_experts(config, **changes):
    mixture = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": config["denoiser"], **changes}
    return config | {"denoiser": mixture}


def sampled(*, compiled, **changes):
    return {
        "type": "LinearSR",
        "upscale": 2,
        "autoencoder": {"type": "ResidualPixelShuffle"},
        "denoiser": {
            "type": "LinearDiT",
            "depth": 2,
            "width": 32,
            "head_width": 16,
            "attention": {"type": "ReLULinearAttention"},
            "feed_forward": {"type": "GatedConvFeedForward", "ratio": 2.0},
            "lr_stem": {"type": "ConvStem", "width": 8},
            **changes,
        },
        "compile_denoiser": compiled,
        "preconditioner": {"type": "VelocityPreconditioner"},
        "path": {"type": "RectifiedFlow"},
        "time_sampler": {"type": "UniformTimes"},
        "time_grid": {"type": "UniformGrid"},
        "solver": {"type": "Euler"},
    }
