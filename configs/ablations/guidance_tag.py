"""TAG: names of what is in the picture (LinearSR, Tab. 3)."""

_base_ = "../quickstart_tag_x4.py"
