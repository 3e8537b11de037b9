"""The quickstart with TAG: names of what a classifier sees in a photo, encoded by a small sentence encoder. Fully offline.

In training the names are read from the clean crop, in use from the LR.
"""

_base_ = "quickstart_x4.py"

model = dict(
    guidance=dict(
        type="TagGuidance",
        tagger=dict(type="EfficientNetLiteTagger", grid=1),
        text_encoder=dict(type="MiniLMTextEncoder")))
