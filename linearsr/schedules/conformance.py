"""Do a path, a time sampler, a time grid, a solver, a preconditioner, a knee detector and a curriculum keep their contracts?

Each check returns a ConformanceReport; `check_solver(MySolver()).require()` raises with the list of laws broken.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport, LawSkippedError, close, refused
from linearsr.core.protocols import Path, Preconditioner, Solver, TimeGrid, TimeSampler
from linearsr.core.randomness import generator
from linearsr.schedules.curriculum_conformance import check_curriculum
from linearsr.schedules.knee_point.conformance import check_knee_detector

__all__ = [
    "check_curriculum",
    "check_knee_detector",
    "check_path",
    "check_preconditioner",
    "check_solver",
    "check_time_grid",
    "check_time_sampler",
]

ROUNDING = 1e-12
"""Relative to the largest value: a few hundred roundings of float64."""


def check_path(path: Path, seed: int = 0) -> ConformanceReport:
    """Ends, direction, log-SNR and its inverse, types."""
    report = ConformanceReport(type(path).__name__)
    draw = generator(seed)
    z0, z1 = (torch.randn(9, 4, 3, 5, generator=draw, dtype=torch.float64) for _ in range(2))
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    inner = t[1:-1]

    def ends() -> str:
        at_0 = close("z at 0", path.interpolate(z0, z1, torch.zeros_like(t)), z0, 0)
        at_1 = close("z at 1", path.interpolate(z0, z1, torch.ones_like(t)), z1, 0)
        return f"{at_0}, {at_1}"

    def direction() -> str:
        slope = (path.interpolate(z0[1:-1], z1[1:-1], inner + 1e-3) - path.interpolate(z0[1:-1], z1[1:-1], inner - 1e-3)) / 2e-3
        return close("dz/dt", slope, path.target(z0, z1)[1:-1], 1e-5)  # a smooth path: the difference quotient errs by O(1e-6)

    def log_snr_is_that_of_the_path() -> str:
        one, none = torch.ones(7, 1, 1, 1, dtype=torch.float64), torch.zeros(7, 1, 1, 1, dtype=torch.float64)
        signal, noise = path.interpolate(one, none, inner), path.interpolate(none, one, inner)
        return close("λ", path.log_snr(inner), 2 * (signal / noise).log().flatten(), ROUNDING)

    def one_time_per_picture() -> str:
        alone = torch.cat([path.interpolate(z0[i : i + 1], z1[i : i + 1], t[i : i + 1]) for i in range(len(t))])
        return close("batch", path.interpolate(z0, z1, t), alone, 0)

    def sixteen_bit_latents() -> str:
        low0, low1 = z0.bfloat16(), z1.bfloat16()
        between = torch.linspace(0.013, 0.987, 9, dtype=torch.float64)  # no bfloat16 numbers
        got = path.interpolate(low0, low1, between.float())
        if got.dtype != torch.bfloat16:
            raise AssertionError(f"bfloat16 latents became {got.dtype}")
        nearest = path.interpolate(low0.double(), low1.double(), between).bfloat16()
        share = (got == nearest).double().mean().item()
        if share < 0.98:  # float32 sums fall on the other side of a tie now and then; a rounded t moves most values
            raise AssertionError(f"{share:.0%} of the values are the nearest bfloat16 to the exact ones; wanted 98 %")
        return f"{share:.1%} of the values are the nearest bfloat16"

    report.hold("z_t is z0 at t = 0 and z1 at t = 1", ends)
    report.hold("target is the derivative of z_t", direction)
    report.hold("log_snr is the log-SNR of z_t", log_snr_is_that_of_the_path)
    report.hold("log_snr strictly decreases", lambda: _strictly_descending(path.log_snr(inner)))
    report.hold("t_from_log_snr undoes log_snr", lambda: close("t", path.t_from_log_snr(path.log_snr(inner)), inner, ROUNDING))
    report.hold("each picture has its own time", one_time_per_picture)
    report.hold("bfloat16 latents are rounded once, t never", sixteen_bit_latents)
    report.hold("a bfloat16 t is refused", lambda: refused(lambda: path.interpolate(z0, z1, t.bfloat16())))
    return report


def check_time_sampler(sampler: TimeSampler, seed: int = 0, draws: int = 4000) -> ConformanceReport:
    """Range, type, seeding, and that a restricted draw is the conditional distribution."""
    report = ConformanceReport(type(sampler).__name__)
    everywhere = sampler.sample(draws, generator(seed))

    def in_range() -> None:
        if everywhere.shape != (draws,) or everywhere.dtype != torch.float64:
            raise AssertionError(f"sample({draws}) is {everywhere.dtype} {list(everywhere.shape)}; wanted float64 [{draws}]")
        if not bool(((everywhere > 0) & (everywhere <= 1)).all()):
            raise AssertionError(f"times reach from {everywhere.min():.3g} to {everywhere.max():.3g}; wanted 0 < t ≤ 1")

    def seeded() -> None:
        if not torch.equal(everywhere, sampler.sample(draws, generator(seed))):
            raise AssertionError("the same generator state gave other times")
        if torch.equal(everywhere, sampler.sample(draws, generator(seed + 1))):
            raise AssertionError("another seed gave the same times: the generator is not used")

    def conditional(low: float, high: float) -> str:
        if low >= high:
            raise LawSkippedError(f"the 10 % and 40 % quantiles are both {low:.6g}")
        among_all = everywhere[_between(everywhere, low, high)]
        restricted = sampler.sample(draws, generator(seed + 2), interval=(low, high))
        if not bool(_between(restricted, low, high).all()):
            raise AssertionError(f"times outside {low:.3g} ≤ t < {high:.3g}: {restricted.min():.6g} … {restricted.max():.6g}")
        points = torch.cat([among_all, restricted]).sort().values
        distance = (_cdf(among_all, points) - _cdf(restricted, points)).abs().max().item()
        # two empirical CDFs of one distribution differ by more than 1.95·√(1/n + 1/m) with probability 0.001
        bound = 1.95 * (1 / len(among_all) + 1 / draws) ** 0.5
        if distance > bound:
            raise AssertionError(f"the CDFs differ by {distance:.3f}, allowed {bound:.3f}")
        return f"KS {distance:.3f} ≤ {bound:.3f}"

    low, high = everywhere.quantile(torch.tensor([0.1, 0.4], dtype=torch.float64)).tolist()
    report.hold("times are float64 in 0 < t ≤ 1", in_range)
    report.hold("times follow from the generator", seeded)
    report.hold("a draw from the middle is the conditional distribution", lambda: conditional(low, high))
    report.hold("a draw from the upper end is the conditional distribution", lambda: conditional(low, 1.0))
    report.hold("an empty interval is refused", lambda: refused(lambda: sampler.sample(3, generator(0), interval=(0.5, 0.5))))
    return report


def check_time_grid(grid: TimeGrid) -> ConformanceReport:
    """Ends, order, number of times."""
    report = ConformanceReport(type(grid).__name__)

    def whole(num_steps: int) -> None:
        times = grid.times(num_steps)
        if times.dtype != torch.float64 or times.shape != (num_steps + 1,):
            raise AssertionError(f"times({num_steps}) is {times.dtype} {list(times.shape)}; wanted float64 [{num_steps + 1}]")
        if (times[0], times[-1]) != (1, 0):
            raise AssertionError(f"times run from {times[0]} to {times[-1]}; wanted exactly 1 and 0")
        _strictly_descending(times)

    for num_steps in (1, 2, 4, 20, 1000):
        report.hold(f"{num_steps} steps descend from exactly 1 to exactly 0", partial(whole, num_steps))
    report.hold("0 steps are refused", lambda: refused(lambda: grid.times(0)))
    return report


def check_solver(solver: Solver, seed: int = 0) -> ConformanceReport:
    """Exact on a straight line, convergent on a curve, fed with legal times, free of side effects."""
    report = ConformanceReport(type(solver).__name__)
    draw = generator(seed)
    z1, v = (torch.randn(3, 2, 4, 5, generator=draw, dtype=torch.float64) for _ in range(2))

    def straight() -> str:
        grids = [torch.tensor(ticks, dtype=torch.float64) for ticks in ([1, 0], [1, 0.9, 0.2, 0], [0.8, 0.7, 0.3])]
        ends = [(solver.solve(lambda z, t: v, z1, ticks), z1 - (ticks[0] - ticks[-1]) * v) for ticks in grids]
        return "; ".join(close("z", got, want, ROUNDING) for got, want in ends)

    def curve() -> str:
        def error(num_steps: int) -> float:
            times = torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)
            end = solver.solve(lambda z, t: -2 * t.reshape(-1, 1, 1, 1) * z, z1, times)  # z = z1·exp(1 − t²)
            return (end - z1 * torch.e).abs().max().item()

        coarse, fine = error(32), error(64)
        if not fine <= 0.6 * coarse:  # first order halves the error, with a margin for the next term
            raise AssertionError(f"64 steps err by {fine:.2e}, 32 steps by {coarse:.2e}; wanted at most 0.6 of it")
        return f"order {torch.tensor(coarse / fine).log2():.2f}"

    def legal_questions() -> None:
        def velocity(z: Tensor, t: Tensor) -> Tensor:
            if t.dtype != torch.float64 or t.shape != (3,) or not bool(((t >= 0) & (t <= 1)).all()):
                raise AssertionError(f"velocity was asked at t {t.dtype} {t.tolist()}; wanted float64 [3] in 0..1")
            return v

        solver.solve(velocity, z1, torch.linspace(1, 0, 5, dtype=torch.float64))

    def pure() -> str:
        before, times = z1.clone(), torch.linspace(1, 0, 4, dtype=torch.float64)
        first = solver.solve(lambda z, t: torch.sin(z), z1, times)
        again = solver.solve(lambda z, t: torch.sin(z), z1, times)
        return close("second run", again, first, 0) + ", " + close("z1 afterwards", z1, before, 0)

    def type_kept() -> None:
        end = solver.solve(lambda z, t: z.bfloat16(), z1.float(), torch.linspace(1, 0, 3, dtype=torch.float64))
        if end.dtype != torch.float32:
            raise AssertionError(f"a float32 latent with a bfloat16 velocity came back as {end.dtype}")

    ascending = torch.linspace(0, 1, 3, dtype=torch.float64)
    report.hold("exact for a constant velocity on any grid", straight)
    report.hold("converges on an analytic field", curve)
    report.hold("asks for the velocity at float64 times in 0..1", legal_questions)
    report.hold("keeps no state and leaves z1 alone", pure)
    report.hold("keeps the latent's type", type_kept)
    report.hold("ascending times are refused", lambda: refused(lambda: solver.solve(lambda z, t: v, z1, ascending)))
    return report


def check_preconditioner(preconditioner: Preconditioner) -> ConformanceReport:
    """Finite scales in t's own type, one per picture, through which every velocity can be reached."""
    report = ConformanceReport(type(preconditioner).__name__)
    t = torch.linspace(0, 1, 101, dtype=torch.float64)

    def well_formed() -> None:
        for dtype in (torch.float32, torch.float64):
            for name, scale in zip(("c_in", "c_skip", "c_out"), preconditioner.scales(t.to(dtype)), strict=True):
                if scale.shape != t.shape or scale.dtype != dtype or not bool(scale.isfinite().all()):
                    raise AssertionError(f"{name} is {scale.dtype} {list(scale.shape)}, finite: {bool(scale.isfinite().all())}")

    def reachable() -> str:
        c_out = preconditioner.scales(t)[2].abs()
        if not bool((c_out > 0).all()):
            raise AssertionError(f"c_out is 0 at t = {t[c_out == 0].tolist()}: the network has no say there")
        return f"|c_out| in {c_out.min():.3g} … {c_out.max():.3g}"

    def one_time_per_picture() -> str:
        alone = [torch.cat(parts) for parts in zip(*(preconditioner.scales(x) for x in t.split(1)), strict=True)]
        together = preconditioner.scales(t)
        return close("scales", torch.stack(together), torch.stack(alone), ROUNDING)

    report.hold("three finite scales [B] in t's type, also at 0 and 1", well_formed)
    report.hold("every velocity can be reached: c_out is nowhere 0", reachable)
    report.hold("each picture has its own scales", one_time_per_picture)
    return report


def _strictly_descending(values: Tensor) -> None:
    if not bool((values.diff() < 0).all()):
        raise AssertionError(f"not strictly descending: {values.tolist()}")


def _between(t: Tensor, low: float, high: float) -> Tensor:
    return (t >= low) & ((t < high) | (high == 1))


def _cdf(sample: Tensor, points: Tensor) -> Tensor:
    return torch.searchsorted(sample.sort().values, points, right=True) / len(sample)
