"""Laws that every trainable part keeps, whatever it computes. Each room's check adds those of its own kind."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from linearsr.core.conformance import ConformanceReport, close
from linearsr.core.randomness import generator
from linearsr.core.trial import EXACT, SINGLE, SIXTEEN, Trial

STEP = 1e-6
SLOPE = 1e-5
"""Central differences of float64: the step's square and 1e-16/step are far below the tolerance, of the largest gradient."""


def hold_module_laws(report: ConformanceReport, trial: Trial) -> bool:
    """Holds them all; False if the module does not even build, so that nothing more can be tried."""
    report.hold("builds a torch module from what the model supplies", lambda: f"{_count(trial.module())} parameters")
    if report.failed:
        return False
    report.hold("inputs are left alone", lambda: _inputs(trial))
    report.hold("the same input gives the same output", lambda: _deterministic(trial))
    report.hold("nothing is left over from the call before", lambda: _forgets(trial))
    report.hold("a picture's output does not depend on its batch", lambda: _batch(trial))
    report.hold("strides of the input do not matter", lambda: _strides(trial))
    report.hold("every parameter gets a finite gradient that is not zero", lambda: _gradients(trial))
    report.hold("gradients are those of finite differences", lambda: _finite_differences(trial))
    report.hold("float32 is float64 up to rounding", lambda: _float32(trial))
    report.hold("bfloat16 weights compute what float64 does, roughly", lambda: _bfloat16(trial))
    report.hold("bfloat16 autocast computes what float64 does, roughly", lambda: _autocast(trial))
    report.hold("a state dict carries everything learned", lambda: _state_dict(trial))
    report.hold("a deep copy computes the same and shares nothing", lambda: _deep_copy(trial))
    return True


def dead_gradients(module: nn.Module) -> list[str]:
    """Parameters whose gradient is absent, zero everywhere or not finite."""
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.isfinite().all()) or not bool(parameter.grad.any())
    ]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _deterministic(trial: Trial) -> str:
    module = trial.module()
    first, again = trial.answer(module), trial.answer(module)
    return close("again", again, first, 0)


def _forgets(trial: Trial) -> str:
    """Another input comes between, in training too; it gets what a module gives that saw no other."""
    module, other = trial.module(), -trial.x
    first = trial.answer(module)
    trial.run(module, other.clone().requires_grad_(), *trial.others).sum().backward()
    between = close("another input", trial.answer(module, other), trial.answer(trial.module(), other), 0)
    return f"{between}; {close('the first again', trial.answer(module), first, 0)}"


def _batch(trial: Trial) -> str:
    module = trial.module()
    with torch.no_grad():
        together = trial.run(module, trial.x, *trial.others)
        alone = [trial.run(module, *(value[i : i + 1] for value in (trial.x, *trial.others))) for i in range(len(trial.x))]
    return close("alone", torch.cat(alone), together, EXACT)


def _inputs(trial: Trial) -> None:
    """Tried first: afterwards the trial's own may be changed already."""
    given = (trial.x.clone(), *(other.clone() for other in trial.others))
    with torch.no_grad():
        trial.run(trial.module(), *given)
    if not all(torch.equal(a, b) for a, b in zip(given, (trial.x, *trial.others), strict=True)):
        raise AssertionError("an input was changed in place")


def _strides(trial: Trial) -> str:
    """The same numbers in the reverse order of dimensions, as a transposed view would have them."""
    backwards = tuple(reversed(range(trial.x.ndim)))
    x = trial.x.permute(backwards).contiguous().permute(backwards)
    module = trial.module()
    return close("output", trial.answer(module, x), trial.answer(module), EXACT)


def _gradients(trial: Trial) -> str:
    module, x = trial.module(), trial.x.clone().requires_grad_()
    output = trial.run(module, x, *trial.others)
    output.backward(torch.randn(output.shape, generator=generator(1), dtype=output.dtype).to(output.device))
    if dead := dead_gradients(module):
        raise AssertionError(f"without one: {', '.join(dead)}")
    if x.grad is None or not bool(x.grad.isfinite().all()) or not bool(x.grad.any()):
        raise AssertionError("the input's is absent, zero or not finite")
    return f"{len(list(module.parameters()))} tensors"


def _finite_differences(trial: Trial) -> str:
    """Central differences along one random direction per tensor: what gradcheck does, without its minutes when it fails."""
    module, x = trial.module(), trial.x[:2].clone().requires_grad_()
    others = tuple(other[:2] for other in trial.others)
    draw = generator(2)
    towards = torch.randn(trial.run(module, x, *others).shape, generator=draw, dtype=torch.float64).to(x.device)

    def value() -> Tensor:
        return (trial.run(module, x, *others) * towards).sum()

    names, leaves = zip(("the input", x), *module.named_parameters(), strict=True)
    gradients = torch.autograd.grad(value(), leaves, allow_unused=True, materialize_grads=True)
    floor = SLOPE * max(gradient.norm().item() for gradient in gradients)
    for name, leaf, gradient in zip(names, leaves, gradients, strict=True):
        start, direction = leaf.detach().clone(), torch.randn(leaf.shape, generator=draw, dtype=torch.float64).to(leaf.device)
        with torch.no_grad():
            leaf.copy_(start + STEP * direction)
            ahead = value().item()
            leaf.copy_(start - STEP * direction)
            behind = value().item()
            leaf.copy_(start)
        slope, wanted = (gradient * direction).sum().item(), (ahead - behind) / (2 * STEP)
        if not abs(slope - wanted) <= floor:
            raise AssertionError(f"{name}: the slope is {wanted:.8g} by differences, {slope:.8g} by the gradient")
    return f"{len(names)} tensors within {SLOPE:.0e}"


def _float32(trial: Trial) -> str:
    got = trial.output(torch.float32)
    if got.dtype != torch.float32:
        raise AssertionError(f"float32 in, {got.dtype} out")
    return close("output", got, trial.output(), SINGLE)


def _bfloat16(trial: Trial) -> str:
    got = trial.output(torch.bfloat16)
    if got.dtype != torch.bfloat16:
        raise AssertionError(f"bfloat16 in, {got.dtype} out")
    return roughly(got, trial.output())


def _autocast(trial: Trial) -> str:
    module = trial.module(torch.float32)
    with torch.no_grad(), torch.autocast(trial.x.device.type, torch.bfloat16):
        got = trial.run(module, trial.x.float(), *trial.others)
    return roughly(got, trial.output())


def roughly(got: Tensor, want: Tensor, allowed: float = SIXTEEN) -> str:
    """Of the root mean squares, `got` in any type and `want` in float64; as `close`."""
    ratio = ((got.double() - want).square().mean() / want.square().mean()).sqrt().item()
    if not ratio <= allowed:
        raise AssertionError(f"the error is {ratio:.1e} of the output (root mean squares), allowed {allowed:.0e}")
    return f"error {ratio:.1e} ≤ {allowed:.0e}"


def _state_dict(trial: Trial) -> str:
    source, target = trial.module(seed=0), trial.module(seed=1)
    target.load_state_dict(source.state_dict(), strict=True)
    return close("output", trial.answer(target), trial.answer(source), 0)


def _deep_copy(trial: Trial) -> str:
    """What an exponential moving average of the weights is kept in."""
    module = trial.module()
    before, twin = trial.answer(module), copy.deepcopy(module)
    same = close("the copy's output", trial.answer(twin), before, 0)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    return f"{same}; {close('output after the copy was changed', trial.answer(module), before, 0)}"
