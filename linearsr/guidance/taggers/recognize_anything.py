"""RAM, the Recognize Anything Model (Zhang et al. 2023), through its authors' package."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from linearsr.core.errors import MissingExtraError, PluginLoadError, WeightsError
from linearsr.core.registries import TAGGERS
from linearsr.core.weights import read_pickled
from linearsr.core.weights.wanted import require_file, require_one_of
from linearsr.guidance.packages import require_package
from linearsr.guidance.taggers.network import Classifier, NetworkTagger
from linearsr.guidance.taggers.selection import Selection

SIDE = 384
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet."""
LISTS = ("data/ram_tag_list.txt", "data/ram_tag_list_threshold.txt")
"""Names and thresholds, in the package `ram`."""
PARTS = ("visual_encoder.", "image_proj.", "label_embed", "wordvec_proj.", "tagging_head.", "fc.")
"""What tagging runs; the rest writes captions."""
BUILT = ("relative_position_index", "attn_mask")
"""Of the Swin transformer: computed from sizes, not learned."""


class MissingRAMError(MissingExtraError):
    """No extra of ours can bring a package that is not on PyPI."""

    def __init__(self, who: str):
        ImportError.__init__(
            self,
            f"{who} needs the package 'ram', recognize-anything, which is not on PyPI: "
            "pip install git+https://github.com/xinyu1205/recognize-anything",
        )


@TAGGERS.register_module()
class RAMTagger(NetworkTagger):
    """4585 everyday names, each with a threshold of its own: the tagger of the LinearSR paper.

    weights:   ram_swin_large_14m.pth; read as tensors, nothing in it is run
    tokenizer: a folder with the tokenizer of bert-base-uncased, which the package would download otherwise
    threshold: None: the package's, one per class; or yours, one for all or one per class. The package's own argument of that
               name changes nothing, so its scores are read before it compares them
    max_tags, order, drop_synonyms: see Selection. The defaults are RAM's: all tags, in the order of its list
    device, dtype: see NetworkTagger
    Pictures are resized to 384×384 (bilinear with antialiasing) and normalised as ImageNet's. Raises MissingExtraError,
    PluginLoadError, WeightsError or ConfigError. Never run on the published weights: the tests have a stand-in with the
    package's interface, and docs/guidance_taggers.md says what was run of the package itself.
    """

    def __init__(
        self,
        weights: str,
        tokenizer: str,
        threshold: float | Sequence[float] | None = None,
        max_tags: int | None = None,
        order: str = "index",
        drop_synonyms: bool = True,
        device: str | None = None,
        dtype: str = "float32",
    ):
        who = type(self).__name__
        try:
            require_package(who, "ram", "recognize-anything")
        except MissingExtraError as cause:
            raise MissingRAMError(who) from cause
        self.weights = require_file(who, weights, "tagger.weights")
        vocabulary = require_one_of(who, tokenizer, ("vocab.txt", "tokenizer.json"), "tagger.tokenizer")
        self.tokenizer = vocabulary.parent
        super().__init__(Selection(threshold, max_tags, order, drop_synonyms), {}, [self.weights, *_lists()], device, dtype)

    def load(self) -> Classifier:
        module = _build(str(self.tokenizer))
        _fill(module, self.weights)
        return Classifier(module, [str(name) for name in module.tag_list], module.class_threshold.tolist())

    def scores(self, module: Any, picture: Tensor) -> Tensor:
        mean, std = (picture.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        view = F.interpolate(picture[None], size=(SIDE, SIDE), mode="bilinear", antialias=True)
        logits: list[Tensor] = []
        hook = module.fc.register_forward_hook(lambda *call: logits.append(call[2]))
        try:
            module.generate_tag(((view - mean) / std).to(self.dtype))
        finally:
            hook.remove()
        return logits[-1].float().flatten().sigmoid()


def _build(tokenizer: str) -> Any:
    """The network at random. The package silences every warning of the process, and prints; neither is let through."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        try:
            from ram.models import ram
        except Exception as cause:  # it imports torchvision, timm, fairscale and names of transformers 4
            raise PluginLoadError(
                f"RAMTagger: the package 'ram' does not import: {type(cause).__name__}: {cause}; it needs torchvision, timm "
                "and fairscale, and names that transformers 5 no longer has: it imports with transformers==4.30.2"
            ) from cause
        return ram(pretrained="", image_size=SIDE, vit="swin_l", text_encoder_type=tokenizer)


def _lists() -> list[Path]:
    spec = find_spec("ram")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return [file for folder in folders for name in LISTS if (file := Path(folder) / name).is_file()]


def _fill(module: Any, file: Path) -> None:
    """As the package loads its file, but for what is missing: it would leave that at random. Raises WeightsError."""
    content = read_pickled(file)
    state = content.get("model", content) if isinstance(content, Mapping) else {}
    given = {name.replace("vision_multi", "tagging_head"): value for name, value in state.items()}
    own = module.state_dict()
    fitting = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    lacking = [name for name in own if name.startswith(PARTS) and name not in fitting and not name.endswith(BUILT)]
    if lacking:
        raise WeightsError(
            f"{file} does not fit RAM: {len(lacking)} weights are missing or of another shape, {lacking[0]} among them; wanted "
            "ram_swin_large_14m.pth; change tagger.weights"
        )
    module.load_state_dict({name: value for name, value in fitting.items() if not name.endswith(BUILT)}, strict=False)
