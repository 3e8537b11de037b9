"""What mmengine 0.10.7's Runner takes where no component of a registry says so."""

from __future__ import annotations

import inspect

from linearsr.core.signatures import accepted_keys

DEFAULT_TYPES = {
    "train_cfg": "TrainLoop",
    "val_cfg": "ValLoop",
    "test_cfg": "TestLoop",
    "optim_wrapper": "PrecisionOptimWrapper",
    "log_processor": "LogProcessor",
    "visualizer": "Visualizer",
    "model_wrapper_cfg": "ReplicatedModel",
}
"""What is built where the config gives no type."""

BUILDER_KEYS = {
    "optim_wrapper": ("constructor", "paramwise_cfg"),
    "param_scheduler": ("convert_to_iter_based",),
    "model": ("data_preprocessor",),
    "train_cfg": ("by_epoch",),
}
"""Keys that its builders take out before the component sees them."""

KWARGS_GO_TO: dict[str, tuple[str, ...]] = {
    "EMAHook": ("momentum", "interval", "update_buffers", "gamma"),
}
"""What its hooks with a **kwargs of unknown use do with it: the averaged model's options."""

MMENGINE_HOOKS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler")
"""Labels of default_hooks that its Runner fills where they are lacking; None takes one of them out, and no other label."""

PARAMWISE = (
    "custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult", "dwconv_decay_mult",
    "dcn_offset_lr_mult", "bypass_duplicate",
)  # fmt: skip
"""Keys that its DefaultOptimWrapperConstructor reads from paramwise_cfg."""

PHASES = {
    "train": ("train_dataloader", "train_cfg", "optim_wrapper"),
    "val": ("val_dataloader", "val_cfg", "val_evaluator"),
    "test": ("test_dataloader", "test_cfg", "test_evaluator"),
}
"""Settings that come together or not at all."""


CLIPPING = ("type", "max_norm", "norm_type", "clip_value", "foreach")
"""Keys of optim_wrapper.clip_grad. torch's error_if_nonfinite is not among them: what is not finite is found in any case."""


def runner_keys() -> tuple[str, ...]:
    """Top-level settings."""
    from mmengine.runner import Runner

    return (*(key for key in accepted_keys(Runner).names if key != "cfg"), "model_wrapper_cfg", "stages", "curriculum")


def plain_tables() -> dict[tuple[str | int, ...], tuple[str, ...]]:
    """Path of a dict that describes no component -> the keys that it may have."""
    from mmengine.runner import Runner
    from mmengine.utils.dl_utils import set_multi_processing
    from torch.utils.data import DataLoader

    loader = (*accepted_keys(DataLoader).names, "num_batch_per_epoch")
    return {
        ("train_dataloader",): loader,
        ("val_dataloader",): loader,
        ("test_dataloader",): loader,
        ("randomness",): tuple(inspect.signature(Runner.set_randomness).parameters)[1:],
        ("env_cfg",): ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"),
        ("env_cfg", "dist_cfg"): ("backend", "timeout"),
        ("env_cfg", "mp_cfg"): tuple(key for key in inspect.signature(set_multi_processing).parameters if key != "distributed"),
        ("optim_wrapper", "paramwise_cfg"): PARAMWISE,
        ("optim_wrapper", "clip_grad"): CLIPPING,
    }
