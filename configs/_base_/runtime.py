"""What every experiment shares: loops by iterations, checkpoints, logs, seed."""

default_scope = "linearsr"
randomness = dict(seed=0)
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0))
log_processor = dict(by_epoch=False, window_size=50)
# more: dict(type="TensorboardBackend"), dict(type="WandbBackend", project="my-sr"); see docs/logging.md
visualizer = dict(type="Visualizer", vis_backends=[dict(type="JSONLinesBackend")])
default_hooks = dict(
    runtime_info=dict(type="RuntimeInfoHook"),
    timer=dict(type="IterTimerHook"),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", interval=500, max_keep_ckpts=2),
    divergence=dict(type="DivergenceHook"),
    graceful_stop=dict(type="GracefulStopHook"),
    lost_samples=dict(type="LostSamplesHook"),
    averaging=dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.01),
    progress=dict(type="ProgressHook"),
    throughput=dict(type="ThroughputHook"),
    pictures=dict(type="ValidationPicturesHook", pictures=3),
)
val_cfg = dict(type="RestoreValLoop", num_steps=[1])
test_cfg = dict(type="RestoreTestLoop", num_steps=[1, 4])
