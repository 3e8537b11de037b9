"""The quickstart's model without experts, trained for four minutes: what the mixtures beside it are compared with."""

_base_ = "../quickstart_x4.py"

train_cfg = dict(max_iters=1200, val_interval=300)
test_cfg = dict(num_steps=[1, 4, 20])
