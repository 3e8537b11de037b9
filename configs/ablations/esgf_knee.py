"""The tiny recipe with stages that go on after their knee, so that it, the best and the last checkpoint can be compared as starts."""

_base_ = "../quickstart_esgf_x4.py"

curriculum = dict(type="ESGF", start="knee")
default_hooks = dict(knee=dict(stop=False), checkpoint=dict(save_best="psnr_y"))
