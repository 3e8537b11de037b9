"""Long texts instead of tags ("origin" in LinearSR, Tab. 3).

LINEARSR_CAPTIONS: a folder with a text for each photo of the data sets: astronaut.txt, …
"""

import os

_base_ = "../quickstart_x4.py"

_read = dict(type="ReadSidecarText", folder=os.environ.get("LINEARSR_CAPTIONS", "captions"))
_train = _base_.train_dataloader.dataset
_test = _base_.test_dataloader.dataset.datasets

model = dict(guidance=dict(type="CaptionGuidance", text_encoder=dict(type="MiniLMTextEncoder")))
train_dataloader = dict(dataset=dict(pipeline=[_read, *_train.pipeline]))
val_dataloader = dict(dataset=dict(pipeline=[_read, *_base_.val_dataloader.dataset.pipeline]))
test_dataloader = dict(dataset=dict(datasets=[dict(part, pipeline=[_read, *part.pipeline]) for part in _test]))
