"""×4 from scratch on the bundled photos: 0.27 M parameters, two minutes of training on two CPU cores."""

_base_ = ["_base_/runtime.py", "_base_/pixel_recipe_x4.py", "_base_/data_bundled_photos.py"]

train_cfg = dict(max_iters=750, val_interval=250)
