"""What a config's model will cost, before anything runs: parameters, products, bytes, memory, and time at least."""

from linearsr.core.planning.asking import Asked
from linearsr.core.planning.plan import plan_config
from linearsr.core.planning.rehearsal import Rehearsal
from linearsr.core.planning.roofline import DEVICES, Device, Peak, Work, device_named, measure_peak

__all__ = ["DEVICES", "Asked", "Device", "Peak", "Rehearsal", "Work", "device_named", "measure_peak", "plan_config"]
