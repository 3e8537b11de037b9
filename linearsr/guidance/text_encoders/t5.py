"""The encoder half of T5."""

from __future__ import annotations

from linearsr.core.registries import TEXT_ENCODERS
from linearsr.guidance.text_encoders.architecture import Architecture
from linearsr.guidance.text_encoders.base import FrozenTextEncoder


@TEXT_ENCODERS.register_module()
class T5TextEncoder(FrozenTextEncoder):
    """T5, v1.1 and Flan-T5 (arXiv 1910.10683): the encoder's outputs after its last norm, "</s>" included.

    A folder of the whole model will do; the decoder is not loaded. 512 tokens by default, the length of its training. In
    float16 the larger ones overflow, which is refused; bfloat16 does not. Options are those of FrozenTextEncoder.
    """

    architecture = Architecture(
        "T5EncoderModel",
        ("t5",),
        usual_tokens=512,
        width_key="d_model",
        position_key=None,
        depth_key="num_layers",
        attention="eager",  # its attention has a learned bias, for which transformers has no other implementation
    )
