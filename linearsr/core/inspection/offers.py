"""What is supplied to a component by whoever builds it, so that no config sets it."""

from __future__ import annotations

from linearsr.core.registry import Registry

MODEL = "the model"
RUNNER = "the runner"
BLOCK = "the denoiser, for each of its blocks"

OFFERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "attention": (BLOCK, ("dim", "num_heads", "layer")),
    "feed_forward": (BLOCK, ("dim",)),
    "lr_stem": ("the denoiser", ("stride",)),
    "router": ("the mixture of experts", ("log_snr",)),
    "denoiser": (MODEL, ("latent_channels", "latent_factor", "upscale", "guidance_width", "log_snr")),
    "time_sampler": (MODEL, ("log_snr",)),
    "time_grid": (MODEL, ("log_snr",)),
    "guider": (MODEL, ("log_snr", "num_experts")),
    "autoencoder": (MODEL, ("upscale",)),
    "train_cfg": (RUNNER, ("runner", "dataloader", "evaluator")),
    "sampler": (RUNNER, ("dataset", "seed", "sampler", "batch_size")),
    "collate_fn": ("the data loader", ("data_batch", "samples")),
    "optimizer": (RUNNER, ("params",)),
    "optim_wrapper": (RUNNER, ("optimizer",)),
    "param_scheduler": (RUNNER, ("optimizer", "param_name")),
    "visualizer": (RUNNER, ("name", "save_dir")),
    "vis_backends": (RUNNER, ("save_dir",)),
    "model_wrapper_cfg": (RUNNER, ("module",)),
    "constructor": (RUNNER, ("optim_wrapper_cfg",)),
}
"""First config key of a registry -> who builds its components, and what it hands to those that take it.
Tests hold it against every `build` of the package and against every shipped config."""


def supplied_by(registry: Registry, name: str) -> str | None:
    """Who supplies the option `name` to the components of this registry; None if the config has to."""
    who, names = OFFERS.get(registry.keys[0], ("", ()))
    return who if name in names else None
