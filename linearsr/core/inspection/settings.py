"""Where the keys are described that belong to no component: settings of mmengine's Runner and the plain tables below them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from linearsr.core.inspection.docstrings import describe
from linearsr.core.inspection.options import Option, option, text_about
from linearsr.core.key_check import KeyPath

WRITTEN_HERE = {
    ("stages",): "Stages of a training, one run after the other: dict(name=…, init=…, optimizer=…, override=…) each; see "
    "docs/curriculum.md.",
    ("curriculum",): "What a stage starts from that does not say.",
    ("model_wrapper_cfg",): "How the model is held by several processes: ReplicatedModel (the default) or ShardedModel.",
    ("env_cfg", "mp_cfg"): "How data workers are started, and how many threads OpenCV takes in each.",
    ("env_cfg", "dist_cfg"): "How several processes speak to one another: the backend, and how long they wait.",
    ("env_cfg", "cudnn_benchmark"): "Whether cuDNN tries its convolution algorithms and keeps the fastest; faster where all "
    "pictures have one size, and not reproducible.",
    ("env_cfg", "resource_limit"): "Least number of files that the process may hold open (4096).",
    ("env_cfg", "dist_cfg", "timeout"): "Seconds that a process waits for the others before the run ends.",
    ("env_cfg", "dist_cfg", "backend"): "What processes speak through: nccl between CUDA devices, gloo on CPUs.",
    ("train_cfg", "by_epoch"): "Whether mmengine's own loops count epochs; those of linearsr count iterations.",
    ("train_dataloader", "num_batch_per_epoch"): "Batches after which mmengine's loader ends an epoch; all by default.",
    (
        "optim_wrapper",
        "clip_grad",
    ): "How gradients are clipped before a step: by torch's clip_grad_norm_ (type='norm', the "
    "default) with max_norm, or clip_grad_value_ (type='value') with clip_value.",
    ("optim_wrapper", "clip_grad", "type"): "'norm' for torch's clip_grad_norm_, 'value' for clip_grad_value_.",
    ("optim_wrapper", "constructor"): "What turns the model and this dict into an optimiser wrapper; the default reads "
    "paramwise_cfg.",
    ("optim_wrapper", "paramwise_cfg"): "Factors on rate and decay for some of the parameters, by kind or by name.",
    ("param_scheduler", "convert_to_iter_based"): "Whether begin, end and T_max, given in epochs, become iterations.",
    ("model", "data_preprocessor"): "mmengine's: what happens to a batch before the model sees it; LinearSR does it itself.",
}
"""mmengine has no docstring for these, or one that says nothing of use. Places in lists do not count."""


def table_option(path: KeyPath, name: str) -> tuple[Option, Callable[..., Any]] | None:
    """An option of the plain table at `path`, and the function that takes it; None where none describes it."""
    for function in readers(path):
        found = option(function, name)
        text = written_here((*path, name)) or text_about(function, name) or (found.text if found else None)
        if found or text:
            return Option(name, found.annotation if found else "", found.default if found else "", text), function
    return None


def setting(name: str) -> tuple[Option, Callable[..., Any]]:
    """A top-level setting."""
    from mmengine.runner import Runner

    found = option(Runner, name)
    text = written_here((name,)) or describe(Runner.__doc__, name)
    return Option(name, found.annotation if found else "dict", found.default if found else "None", text), Runner


def written_here(path: KeyPath) -> str | None:
    names = tuple(part for part in path if isinstance(part, str))
    if names[:1] in (("val_dataloader",), ("test_dataloader",)):
        names = ("train_dataloader", *names[1:])
    return WRITTEN_HERE.get(names)


def readers(path: KeyPath) -> tuple[Callable[..., Any], ...]:
    """The functions whose signatures and docstrings say what the plain table at `path` may hold."""
    from mmengine.dist import init_dist
    from mmengine.optim import DefaultOptimWrapperConstructor
    from mmengine.runner import Runner
    from mmengine.utils.dl_utils import set_multi_processing
    from torch.nn.utils import clip_grad_norm_, clip_grad_value_
    from torch.utils.data import DataLoader

    loader = (DataLoader, Runner.build_dataloader)
    known: dict[KeyPath, tuple[Callable[..., Any], ...]] = {
        ("train_dataloader",): loader,
        ("val_dataloader",): loader,
        ("test_dataloader",): loader,
        ("randomness",): (Runner.set_randomness,),
        ("env_cfg",): (Runner.setup_env,),
        ("env_cfg", "dist_cfg"): (init_dist,),
        ("env_cfg", "mp_cfg"): (set_multi_processing,),
        ("optim_wrapper", "paramwise_cfg"): (DefaultOptimWrapperConstructor,),
        ("optim_wrapper", "clip_grad"): (clip_grad_norm_, clip_grad_value_),
    }
    return known.get(path, ())
