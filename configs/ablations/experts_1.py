"""No experts: the quickstart's model, trained on from where the mixtures beside it begin and for as long as they are."""

_base_ = "../quickstart_x4.py"

train_cfg = dict(max_iters=600, val_interval=300)  # of each stage
test_cfg = dict(num_steps=[1, 4, 20])
stages = [dict(name="pretrain"), dict(name="experts", init="pretrain@last")]
