"""The quickstart trained on real degradations: the bundled photos through StableSR's second-order pipeline.

A start for configs of your own rather than a result: 14 photos are few for so many kinds of damage, and it is still tested on
bicubic LR, which it was not trained for.
"""

_base_ = "quickstart_x4.py"

_damage = dict(type="RealESRGANDegradation", scale=4, preset="StableSR")

train_dataloader = dict(
    num_workers=2,
    dataset=dict(
        pipeline=[
            dict(type="LoadPictures", cache=True),
            dict(type="RandomCrop", size=128, scale=4),
            dict(type="RandomFlipRotate"),
            _damage,
        ]))
