"""Pictures that are computed piece by piece: over tiles, over processes, exactly."""

from linearsr.core.backbones.tiling.geometry import Area, Grid, tile_shape
from linearsr.core.backbones.tiling.plan import Plan, plan_of, require_additive
from linearsr.core.backbones.tiling.ranks import sharded_over
from linearsr.core.backbones.tiling.stem import features_of, features_of_tiles
from linearsr.core.backbones.tiling.sweep import Sweep
from linearsr.core.backbones.tiling.token_buffer import TokenBuffer

__all__ = [
    "Area",
    "Grid",
    "Plan",
    "Sweep",
    "TokenBuffer",
    "features_of",
    "features_of_tiles",
    "plan_of",
    "require_additive",
    "sharded_over",
    "tile_shape",
]
