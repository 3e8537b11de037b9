"""Every extension point of linearsr: name, homes, entry-point group, config keys, protocol.

The second half are children of mmengine's roots, so that mmengine's Runner finds our components and plugins too.
"""

from mmengine.registry import root

from linearsr.core import protocols
from linearsr.core.registry import Registry


def _ours(name: str, group: str, homes: list[str], keys: list[str], protocol: type) -> Registry:
    return Registry(name, homes=[f"linearsr.{home}" for home in homes], group=f"linearsr.{group}", keys=keys, protocol=protocol)


def _child(parent: str, group: str, home: str, peer: str, keys: list[str]) -> Registry:
    """peer: the package whose import fills mmengine's root registry of that kind."""
    registry = getattr(root, parent)
    return Registry(registry.name, homes=[f"linearsr.{home}", peer], group=f"linearsr.{group}", keys=keys, parent=registry)


ATTENTION = _ours("attention", "attention", ["attention"], ["attention"], protocols.Attention)
ROUTERS = _ours("router", "routers", ["experts"], ["router"], protocols.Router)
DENOISERS = _ours("denoiser", "denoisers", ["core.backbones", "experts"], ["denoiser", "expert"], protocols.Denoiser)
FEED_FORWARDS = _ours("feed-forward", "feed_forwards", ["core.backbones"], ["feed_forward"], protocols.FeedForward)
STEMS = _ours("LR stem", "stems", ["core.backbones"], ["lr_stem"], protocols.Stem)
GUIDANCE = _ours("guidance", "guidance", ["guidance"], ["guidance"], protocols.Guidance)
GUIDERS = _ours("guider", "guiders", ["guidance"], ["guider"], protocols.Guider)
TAGGERS = _ours("tagger", "taggers", ["guidance"], ["tagger"], protocols.Tagger)
TEXT_ENCODERS = _ours("text encoder", "text_encoders", ["guidance"], ["text_encoder"], protocols.TextEncoder)
PATHS = _ours("path", "paths", ["schedules"], ["path"], protocols.Path)
TIME_SAMPLERS = _ours("time sampler", "time_samplers", ["schedules"], ["time_sampler"], protocols.TimeSampler)
TIME_GRIDS = _ours("time grid", "time_grids", ["schedules"], ["time_grid"], protocols.TimeGrid)
SOLVERS = _ours("solver", "solvers", ["schedules"], ["solver"], protocols.Solver)
PRECONDITIONERS = _ours("preconditioner", "preconditioners", ["schedules"], ["preconditioner"], protocols.Preconditioner)
KNEE_DETECTORS = _ours("knee detector", "knee_detectors", ["schedules"], ["knee"], protocols.KneeDetector)
CURRICULUMS = _ours("curriculum", "curriculums", ["schedules"], ["curriculum"], protocols.Curriculum)
AUTOENCODERS = _ours("autoencoder", "autoencoders", ["core.autoencoders"], ["autoencoder"], protocols.Autoencoder)

MODELS = _child("MODELS", "models", "core.models", "mmengine.model", ["model", "data_preprocessor"])
DATASETS = _child("DATASETS", "datasets", "core.data", "mmengine.dataset", ["dataset", "datasets"])
TRANSFORMS = _child("TRANSFORMS", "transforms", "core.data", "mmcv.transforms", ["pipeline", "transforms"])
DATA_SAMPLERS = _child("DATA_SAMPLERS", "data_samplers", "core.data", "mmengine.dataset", ["sampler", "batch_sampler"])
FUNCTIONS = _child("FUNCTIONS", "functions", "core.data", "mmengine.dataset", ["collate_fn"])
METRICS = _child("METRICS", "metrics", "core.evaluation", "mmengine.evaluator", ["val_evaluator", "test_evaluator", "metrics"])
LOOPS = _child("LOOPS", "loops", "core.engine", "mmengine.runner", ["train_cfg", "val_cfg", "test_cfg"])
HOOKS = _child("HOOKS", "hooks", "core.engine", "mmengine.hooks", ["default_hooks", "custom_hooks"])
LOG_PROCESSORS = _child("LOG_PROCESSORS", "log_processors", "core.engine", "mmengine.runner", ["log_processor"])
VISUALIZERS = _child("VISUALIZERS", "visualizers", "core.engine", "mmengine.visualization", ["visualizer"])
VISBACKENDS = _child("VISBACKENDS", "vis_backends", "core.engine", "mmengine.visualization", ["vis_backends"])
MODEL_WRAPPERS = _child("MODEL_WRAPPERS", "model_wrappers", "core.engine", "mmengine.model", ["model_wrapper_cfg"])
OPTIMIZERS = _child("OPTIMIZERS", "optimizers", "core.engine", "mmengine.optim", ["optimizer"])
OPTIM_WRAPPERS = _child("OPTIM_WRAPPERS", "optim_wrappers", "core.engine", "mmengine.optim", ["optim_wrapper"])
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    "OPTIM_WRAPPER_CONSTRUCTORS", "optim_wrapper_constructors", "core.engine", "mmengine.optim", ["constructor"]
)
PARAM_SCHEDULERS = _child("PARAM_SCHEDULERS", "param_schedulers", "core.engine", "mmengine.optim", ["param_scheduler"])

ALL: tuple[Registry, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Registry))
"""In the order of this page."""

BY_KEY: dict[str, Registry] = {key: registry for registry in ALL for key in registry.keys}
"""Config key -> the registry that a dict under that key belongs to."""

__all__ = [
    "ALL",
    "BY_KEY",
    *(name for name, value in list(globals().items()) if isinstance(value, Registry) and name.isupper()),
]
