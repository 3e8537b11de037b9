"""The quickstart's recipe wider, deeper and longer: 1.6 M parameters on the train/ photos of the data folder."""

_base_ = ["_base_/runtime.py", "_base_/pixel_recipe_x4.py", "_base_/data_train_folder.py"]

model = dict(autoencoder=dict(sigma=0.1), denoiser=dict(depth=8, width=128))
train_cfg = dict(max_iters=20000, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=1000))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
