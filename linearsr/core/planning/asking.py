"""What is to be planned for, and what of it the config answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.hooks import EMAHook

from linearsr.core.errors import ConfigError
from linearsr.core.registries import HOOKS
from linearsr.core.tensor_values import DTYPES, require_dtype
from linearsr.core.values import require_count

SIZE = (256, 256)
"""Of an LR picture: a picture of 1024² at ×4."""
Size = tuple[int, int]


@dataclass(frozen=True)
class Asked:
    """size: rows and columns of the LR picture; num_steps, dtype: None for the config's own; tokens, guidance_width: of the
    guidance, None for what it says; train: whether training steps are planned, too."""

    size: Size = SIZE
    num_steps: int | None = None
    dtype: str | None = None
    tokens: int | None = None
    guidance_width: int | None = None
    train: bool = True

    def __post_init__(self) -> None:
        counts = {"--steps": self.num_steps, "--tokens": self.tokens, "--guidance-width": self.guidance_width}
        for flag, number in {"--size": min(self.size), **counts}.items():
            if number is not None and number < 1:
                raise ConfigError(f"{flag} is {number}; wanted at least 1")
        if self.dtype is not None:
            require_dtype(self.dtype, "--dtype", DTYPES)


@dataclass(frozen=True)
class TrainStep:
    """What an iteration is made of. size: of the LR crops; accumulated: batches to a step of the optimiser; optimizer: as the
    config describes it; iterations: of the stage at most, a batch each; averaged: whether an average of the weights is kept."""

    size: Size
    batch: int
    accumulated: int
    dtype: str
    optimizer: Mapping[str, Any]
    iterations: int
    averaged: bool


def read_size(text: str) -> Size:
    """ "256" or "180x320", rows first. Raises ConfigError."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() for side in sides):
        raise ConfigError(f"--size is {text!r}; wanted the LR picture's side in pixels, 256, or its rows and columns, 180x320")
    return int(sides[0]), int(sides[-1])


def num_steps_of(cfg: Mapping[str, Any]) -> int:
    """The most that the config tests with."""
    steps = _tested(cfg).get("num_steps", 1)
    return max(steps) if isinstance(steps, Sequence) else int(steps)


def restored_in(cfg: Mapping[str, Any]) -> str:
    """Of the loop that the config tests with."""
    name = _tested(cfg).get("dtype", "float32")
    require_dtype(name, "test_cfg.dtype" if cfg.get("test_cfg") else "val_cfg.dtype", DTYPES)
    return str(name)


def _tested(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    return cfg.get("test_cfg") or cfg.get("val_cfg") or {}


def _trained_in(wrapper: Mapping[str, Any]) -> str:
    name = wrapper.get("dtype", "float32")
    require_dtype(name, "optim_wrapper.dtype", DTYPES)
    return str(name)


def train_step_of(cfg: Mapping[str, Any], upscale: int) -> TrainStep | None:
    """None for a config without training. Raises ConfigError for a pipeline without a crop: its pictures may be of any size."""
    loader, wrapper, loop = (cfg.get(key) for key in ("train_dataloader", "optim_wrapper", "train_cfg"))
    if not (loader and wrapper and loop):
        return None
    crops = [step["size"] for step in _dicts(loader) if step.get("type") == "RandomCrop" and "size" in step]
    if not crops:
        raise ConfigError("train_dataloader has no RandomCrop, so the size of its pictures is not known; see --no-train")
    side = max(crops) // upscale
    return TrainStep(
        (side, side),
        loader.get("batch_size", 1),
        require_count(wrapper.get("accumulative_counts", 1), "optim_wrapper.accumulative_counts"),
        _trained_in(wrapper),
        wrapper["optimizer"],
        loop.get("max_iters", 0),
        any(issubclass(HOOKS.require(hook["type"]), EMAHook) for hook in _hooks(cfg)),
    )


def _hooks(cfg: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Under whatever label, and those without one."""
    for hook in (*(cfg.get("default_hooks") or {}).values(), *(cfg.get("custom_hooks") or ())):
        if hook is not None:
            yield hook


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _dicts(item)
