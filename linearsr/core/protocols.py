"""What each kind of component must do. A third party's class needs these methods, never these imports; a tagger alone
answers with objects of ours, `Tag`.

B pictures, N tokens, C/D widths, (h, w) latent grid, K experts. t is float32 or float64 [B], 0 clean and 1 noise, in the
path's shifted time; it is never cast to a 16-bit type. `image_01` is in 0..1, `image_pm1` in −1..1.
The checks that hold a class to its protocol are `check_*` in each room's conformance.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from linearsr.core.structures import GuidanceTokens, Start, Tag

    Velocity = Callable[[Tensor, Tensor], Tensor]
    """velocity(z [B, C, h, w], t [B]) -> v [B, C, h, w]"""


@runtime_checkable
class Attention(Protocol):
    """Token mixing, built as `cls(dim, num_heads, **options)`; it may also take `layer`, the index of its block.

    linear:                  cost grows linearly with N
    permutation_equivariant: the order of the tokens does not matter (and so `grid` does not)
    additive:                `state(x, grid)`, `+` on states and `apply(x, state, grid)` exist, with `halo` in tokens: what they
                             look at beyond a tile; where it is not 0, `state(x, grid, margin)` takes how many rows above and
                             below and columns left and right of x belong to the neighbours. A state can be pickled.

    DivergenceGuard watches one that has the methods for it; it need not:
    query_key_norms() -> (|W_q|, |W_k|): what the lengths of queries and keys grow with; scalars, the same on all ranks
    vital_signs(x, grid) -> (the smallest denominator above 0, infinity where there is none; the largest absolute entry of
                             what it sums over tokens): scalar tensors, of the x that `forward` would get
    """

    linear: bool
    permutation_equivariant: bool
    additive: bool

    def __call__(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """x [B, N, C] with N = grid[0]·grid[1], row by row -> [B, N, C]."""
        ...


@runtime_checkable
class FeedForward(Protocol):
    """Built as `cls(dim, **options)`. One that declares `halo`, how many tokens beyond its own each output looks at, works on
    pictures in tiles too; it may not look at where in the picture its tokens are, but for zeros or repetition at its edges."""

    def __call__(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """x [B, N, C] -> [B, N, C]."""
        ...


@runtime_checkable
class Stem(Protocol):
    """LR picture to features on the latent grid, built as `cls(stride, **options)`; `out_channels` says how many.

    One that declares `halo`, how many LR pixels beyond its own a latent pixel looks at, works on pictures in tiles too.
    """

    out_channels: int

    def __call__(self, lr_pm1: Tensor) -> Tensor:
        """[B, 3, h·stride, w·stride] -> [B, out_channels, h, w]."""
        ...


@runtime_checkable
class Denoiser(Protocol):
    """Built as `cls(latent_channels, upscale, latent_factor, guidance_width, **options)`; each is passed if accepted.

    Times are given on z's device. One that says `times_on_host = True` is given them on the CPU in sampling, so that it need
    not wait for a device to look them up.
    """

    def __call__(
        self, z_t: Tensor, t: Tensor, lr: Tensor | None, guidance: GuidanceTokens | None, *, prepared: Any = None
    ) -> Tensor:
        """z_t [B, C, h, w], t [B], lr [B, 3, H, W] in −1..1 -> velocity (or F, see Preconditioner) [B, C, h, w]."""
        ...

    def prepare(self, lr: Tensor | None, guidance: GuidanceTokens | None, times: Tensor | None = None) -> Any:
        """What does not change over the steps. Immutable. With `prepared=`, pass lr = guidance = None."""
        ...


@runtime_checkable
class Router(Protocol):
    """Which expert serves which picture: K experts, 0 for the least noise. Total, deterministic, picture by picture.

    boundaries:           in t, strictly ascending inside 0..1; K = len(boundaries) + 1. A router that looks at more than t may
                          mean by them where it starts from, or have none and say `num_experts` instead
    depends_on_time_only: expert k serves boundaries[k−1] ≤ t < boundaries[k]. `interval(expert)` -> (low, high), where there
                          is one, is what a time sampler takes to train that expert alone

    One that looks at more also has `features(lr_pm1 [B, 3, H, W]) -> [B, F]`, F its own choice: asked once per picture, given
    back with every t. One that learns is a torch module and has `weights(t, features) -> [B, K]` in t's type: not negative,
    each row sums to 1, differentiable in the module's parameters, its largest entry the expert that `route` names.
    """

    boundaries: tuple[float, ...]
    depends_on_time_only: bool

    def route(self, t: Tensor, features: Tensor | None = None) -> Tensor:
        """t float32 or float64 [B] in 0..1, features [B, F] -> int64 [B] in 0..K−1. Refuses any other t, NaN too."""
        ...


@runtime_checkable
class Guidance(Protocol):
    """width: D of the tokens; source: "lr" or "hr", what it looks at in training; cacheable: same picture, same tokens.

    It answers with GuidanceTokens or any object that has their `tokens` and `mask`.

    One may also have `negative(batch)`: tokens [B, L, D], the same for all, that a guider leads away from instead of `null`.
    """

    width: int
    source: str
    cacheable: bool

    def __call__(self, image_01: Tensor, prompts: Sequence[str] | None = None) -> GuidanceTokens:
        """[B, 3, H, W] -> tokens [B, L, D] with mask [B, L]."""
        ...

    def null(self, batch: int) -> GuidanceTokens:
        """What an unguided picture gets: tokens [B, 1, D], mask True."""
        ...


@runtime_checkable
class Guider(Protocol):
    """How far sampling follows guidance: one answer out of two, with guidance and with what stands for none.

    Built as `cls(log_snr, num_experts, **options)`, each passed if accepted: log_snr(t) of the path; num_experts of the
    denoiser, None for one without. asks_expert: its scales depend on which expert serves a picture.
    Times are on the CPU, and so may scales be.
    """

    asks_expert: bool

    def scales(self, t: Tensor, expert: Tensor | None = None) -> Tensor:
        """t [B], expert int64 [B] -> [B] in t's type; 1: the answer with guidance alone. If all are 1, there is no other."""
        ...

    def combine(self, conditional: Tensor, unconditional: Tensor, scale: Tensor) -> Tensor:
        """Velocities [B, C, h, w] with and without guidance, scale [B] -> [B, C, h, w] in the first one's type."""
        ...


@runtime_checkable
class Tagger(Protocol):
    """Names of what is in a picture. identity: of class, options and weights, for caches; any change that can change tags
    changes it."""

    @property
    def identity(self) -> str: ...

    def __call__(self, image_01: Tensor) -> list[list[Tag]]:
        """[B, 3, H, W] in 0..1, any size -> each picture's tags, in the order in which they are to be told; maybe none.

        A picture's tags do not depend on the batch.
        """
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Texts to tokens. width: D; identity: of class, options, tokenizer and weights, for caches. Frozen."""

    width: int

    @property
    def identity(self) -> str: ...

    def __call__(self, texts: Sequence[str]) -> GuidanceTokens:
        """B texts -> tokens [B, L, D], finite behind the mask too, with mask [B, L]; L is that of the longest.

        A text's tokens do not depend on the others, bit for bit: each is encoded alone. "" has one token at least.
        """
        ...


@runtime_checkable
class Path(Protocol):
    """Between data z0 (t = 0) and noise z1 (t = 1)."""

    def interpolate(self, z0: Tensor, z1: Tensor, t: Tensor) -> Tensor: ...

    def target(self, z0: Tensor, z1: Tensor) -> Tensor: ...

    def log_snr(self, t: Tensor) -> Tensor: ...

    def t_from_log_snr(self, log_snr: Tensor) -> Tensor: ...


@runtime_checkable
class TimeSampler(Protocol):
    """Times for training."""

    def sample(self, n: int, generator: torch.Generator | None = None, *, interval: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """float64 [n] in (0, 1] and inside the interval; a restricted draw is the conditional distribution."""
        ...


@runtime_checkable
class TimeGrid(Protocol):
    """Times for sampling."""

    def times(self, num_steps: int) -> Tensor:
        """float64 [num_steps + 1], strictly descending from 1 to 0."""
        ...


@runtime_checkable
class Solver(Protocol):
    """A pure loop; keeps no state between calls."""

    def solve(self, velocity: Velocity, z1: Tensor, times: Tensor) -> Tensor:
        """z1 [B, C, h, w] at times[0] -> z at times[-1]. velocity may be given t on z's device or where `times` are."""
        ...


@runtime_checkable
class Preconditioner(Protocol):
    """v = c_skip·z_t + c_out·F(c_in·z_t, t, …)."""

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """t [B] -> (c_in, c_skip, c_out), each [B] in t's dtype."""
        ...


@runtime_checkable
class KneeDetector(Protocol):
    """The last good evaluation before a run oscillates, found while it goes on.

    directions: metric -> +1 where higher is better, −1 where lower is
    """

    directions: Mapping[str, int]

    def update(self, step: int, metrics: Mapping[str, float]) -> Any:
        """One evaluation, steps ascending, exactly the metrics of `directions` -> an object with

        phase ("undetermined", "improve", "plateau" or "oscillation"), knee_step, confirmed, confidence (0..1), onset_step,
        superseded and earliest_possible: no knee confirmed later lies before that step. Steps are None where there is none.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@runtime_checkable
class Curriculum(Protocol):
    """Which stage of a training starts from what."""

    def starts(self, stages: Sequence[tuple[str, Any]]) -> list[Start | None]:
        """(name, init) of each stage in turn, init as the config has it, or `...` where it says nothing -> what each starts
        from; None: from weights as they are drawn. Raises ConfigError for an init that cannot be read."""
        ...


@runtime_checkable
class Autoencoder(Protocol):
    """factor: picture pixels per latent pixel and side; channels: of the latent. Scale and shift are inside."""

    factor: int
    channels: int
    needs_lr: bool

    def encode(self, image_pm1: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] -> [B, channels, H/factor, W/factor], about unit variance."""
        ...

    def decode(self, z: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        """[B, channels, h, w] -> [B, 3, h·factor, w·factor], not clamped."""
        ...
