"""Stages of one config, one run after the other."""

from linearsr.core.engine.curriculum.records import StageRecord, StageStart, read_record
from linearsr.core.engine.curriculum.running import run_stages
from linearsr.core.engine.curriculum.starts import locate, tested_stage

__all__ = ["StageRecord", "StageStart", "locate", "read_record", "run_stages", "tested_stage"]
