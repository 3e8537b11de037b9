"""CLIP and DINOv2 as guidance, with random weights in the real layout, loaded by the real code."""

import copy
import json
import pickle
import shutil
import sys

import pytest
import torch

from linearsr.core.errors import ConfigError, DataError, MissingExtraError, WeightsError
from linearsr.core.registries import GUIDANCE
from linearsr.guidance import CLIPImageGuidance, DINOGuidance
from linearsr.guidance.taggers.pictures import whole_view
from tests.strategies import normal

ROUNDED = 2 / 255
"""The oracle's pictures are rounded to 8 bits after they are resized along each side, ours are not."""


def pictures(*size, count=2, seed=0):
    return normal(seed, count, 3, *(size or (20, 28)), dtype=torch.float32).sigmoid()


@pytest.fixture(params=["clip", "clip's tower", "dino", "dino in shards", "dino with registers"])
def built(request, vision):
    kind = CLIPImageGuidance if "clip" in request.param else DINOGuidance
    return kind(str(vision[request.param]), **({} if kind is CLIPImageGuidance else {"side": 42}))


def seen(guidance, picture):
    """What transformers' own classes give for the picture as we prepare it, the token of the whole picture first."""
    from transformers import AutoModel, CLIPVisionModel

    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (guidance.files.mean, guidance.files.std))
    view = (whole_view(picture, guidance.side) - mean) / std
    clip = isinstance(guidance, CLIPImageGuidance)
    model = (CLIPVisionModel if clip else AutoModel).from_pretrained(guidance.files.path)
    with torch.no_grad():
        if clip:
            return model(view, output_hidden_states=True).hidden_states[-2][0]
        tokens = model(view).last_hidden_state[0]
    return torch.cat((tokens[:1], tokens[1 + getattr(model.config, "num_register_tokens", 0) :]))


def test_tokens_are_the_features_of_the_patches(built):
    image = pictures()
    given = built(image)
    assert given.tokens.shape == (2, (built.side // built.files.config["patch_size"]) ** 2, built.width)
    assert given.mask.all()
    for tokens, picture in zip(given.tokens, image, strict=True):
        torch.testing.assert_close(tokens, seen(built, picture)[1:], rtol=0, atol=1e-5 * tokens.abs().max().item())
    assert (given.tokens[0] - given.tokens[1]).abs().max() > 1e-2 * given.tokens.abs().max()


@pytest.mark.parametrize("kind", [CLIPImageGuidance, DINOGuidance])
def test_the_token_of_the_whole_picture_comes_first_where_it_is_kept(kind, vision):
    folder = str(vision["clip" if kind is CLIPImageGuidance else "dino with registers"])
    without, with_cls = kind(folder)(pictures()).tokens, kind(folder, keep_cls=True)(pictures()).tokens
    assert torch.equal(with_cls[:, 1:], without)
    assert torch.equal(with_cls[0, 0], kind(folder, keep_cls=True)(pictures()[:1]).tokens[0, 0])


@pytest.mark.parametrize(("kind", "layout"), [(CLIPImageGuidance, "clip"), (DINOGuidance, "dino")])
def test_a_square_picture_is_prepared_as_the_encoders_own_preparation_does(kind, layout, vision):
    from PIL import Image
    from transformers import CLIPImageProcessor

    guidance = kind(str(vision[layout]))
    levels = (pictures(40, 40, count=1)[0] * 255).round().byte()
    side = guidance.side
    own = CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size=side, image_mean=guidance.files.mean, image_std=guidance.files.std
    )
    wanted = own(Image.fromarray(levels.permute(1, 2, 0).numpy()), return_tensors="pt")["pixel_values"][0]
    received = []
    guidance.features = lambda model, view: (received.append(view), torch.zeros(1, 17, guidance.width))[1]
    guidance(levels[None] / 255)
    torch.testing.assert_close(received[0][0], wanted, rtol=0, atol=ROUNDED / min(guidance.files.std))


def test_a_picture_is_encoded_alone_bit_for_bit(built):
    image = pictures(count=3)
    together = built(image).tokens
    assert torch.equal(torch.cat([built(picture[None]).tokens for picture in image]), together)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(built(image).tokens, together)


def test_layers_of_clip_are_counted_from_the_end(vision):
    folder = str(vision["clip"])
    layers = [CLIPImageGuidance(folder, hidden_layer=layer)(pictures()).tokens for layer in (-1, -2, -3)]
    assert not torch.equal(layers[0], layers[1])
    assert not torch.equal(layers[1], layers[2])
    for layer in (0, -4, True, 1.5):
        with pytest.raises(ConfigError, match=r"hidden_layer is .*from -3 to -1"):
            CLIPImageGuidance(folder, hidden_layer=layer)


def test_dino_sees_finer_in_a_larger_square_and_refuses_a_side_that_cuts_patches(vision):
    folder = str(vision["dino"])
    assert DINOGuidance(folder)(pictures()).tokens.shape[1] == 16 * 16
    assert DINOGuidance(folder, side=28)(pictures()).tokens.shape[1] == 2 * 2
    for side in (30, 0, 13):
        with pytest.raises(ConfigError, match=r"guidance\.side"):
            DINOGuidance(folder, side=side)


def test_nothing_is_loaded_before_the_first_picture_and_unload_gives_it_back(built, monkeypatch):
    assert built._model is None
    first = built(pictures()).tokens
    built.unload()
    assert built._model is None
    assert torch.equal(built(pictures()).tokens, first)
    assert all(not weight.requires_grad for weight in built.load().parameters())
    assert not built.load().training
    assert copy.deepcopy(built) is built
    assert pickle.loads(pickle.dumps(built))._model is None


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kind", [CLIPImageGuidance, DINOGuidance])
def test_a_missing_file_is_named_with_its_place_when_it_is_built(missing, kind, copy_of_vision):
    folder = copy_of_vision("clip" if kind is CLIPImageGuidance else "dino")
    (folder / missing).unlink()
    with pytest.raises(WeightsError) as caught:
        kind(str(folder))
    for part in (kind.__name__, missing, str(folder), "nothing was downloaded", "guidance.folder"):
        assert part in str(caught.value)


def test_a_missing_shard_is_named(copy_of_vision):
    folder = copy_of_vision("dino in shards")
    sorted(folder.glob("model-*.safetensors"))[-1].unlink()
    with pytest.raises(WeightsError, match=r"DINOGuidance: the file .*model-0\d+-of-0\d+\.safetensors does not exist"):
        DINOGuidance(str(folder))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere/config\.json does not exist.*nothing was downloaded"):
        CLIPImageGuidance(str(tmp_path / "nowhere"))


def test_another_architecture_is_refused(vision):
    with pytest.raises(WeightsError, match="model_type 'dinov2'; wanted 'clip' or 'clip_vision_model'"):
        CLIPImageGuidance(str(vision["dino"]))
    with pytest.raises(WeightsError, match="model_type 'clip'; wanted 'dinov2'"):
        DINOGuidance(str(vision["clip"]))


def test_weights_that_lack_a_layer_are_refused_and_never_random(copy_of_vision):
    from safetensors.torch import load_file, save_file

    folder = copy_of_vision("dino")
    state = load_file(folder / "model.safetensors")
    del state["layernorm.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 weights of Dinov2Model are missing .*layernorm\.weight"):
        DINOGuidance(str(folder))(pictures())


def test_a_damaged_file_is_refused(copy_of_vision):
    folder = copy_of_vision("clip")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cannot be read"):
        CLIPImageGuidance(str(folder))(pictures())


@pytest.mark.parametrize("values", [[0.5, 0.5], "grey", [1, 2, None]])
def test_a_preparation_that_is_no_three_numbers_is_refused(values, copy_of_vision):
    folder = copy_of_vision("clip")
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_std": values}))
    with pytest.raises(WeightsError, match="image_std"):
        CLIPImageGuidance(str(folder))


@pytest.mark.parametrize(("kind", "layout"), [(CLIPImageGuidance, "clip"), (DINOGuidance, "dino")])
def test_without_a_preparation_file_the_published_numbers_serve(kind, layout, vision, copy_of_vision):
    folder = copy_of_vision(layout)
    (folder / "preprocessor_config.json").unlink()
    assert torch.equal(kind(str(folder))(pictures()).tokens, kind(str(vision[layout]))(pictures()).tokens)


def test_identity_is_of_options_and_content_and_not_of_the_place(vision, tmp_path):
    folder = str(vision["dino"])
    elsewhere = str(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert DINOGuidance(elsewhere).identity == DINOGuidance(folder, device="cpu").identity
    variants = [{}, {"side": 28}, {"keep_cls": True}, {"source": "hr"}, {"dtype": "bfloat16"}]
    identities = [DINOGuidance(folder, **options).identity for options in variants]
    clip = str(vision["clip"])
    identities += [CLIPImageGuidance(clip, hidden_layer=layer).identity for layer in (-1, -2)]
    identities += [DINOGuidance(str(vision["dino with registers"])).identity]
    assert len(set(identities)) == len(identities)


def test_without_transformers_the_extra_is_named(vision, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for kind, layout in ((CLIPImageGuidance, "clip"), (DINOGuidance, "dino")):
        with pytest.raises(MissingExtraError, match=r"linearsr\[guidance\]"):
            kind(str(vision[layout]))


def test_prompts_and_pictures_with_nan_are_refused(built):
    with pytest.raises(ConfigError, match="reads no prompts"):
        built(pictures(), ["cat", "dog"])
    broken = pictures()
    broken[0, 0, 0, 0] = float("nan")
    with pytest.raises(DataError, match="NaN"):
        built(broken)


def test_tokens_beyond_the_range_of_their_type_are_refused(copy_of_vision):
    from safetensors.torch import load_file, save_file

    folder = copy_of_vision("clip")
    state = load_file(folder / "model.safetensors")
    save_file({name: value * 1e4 for name, value in state.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"not finite in torch\.float16; set guidance\.dtype"):
        CLIPImageGuidance(str(folder), dtype="float16")(pictures())


@pytest.mark.parametrize("options", [{"dtype": "int8"}, {"device": "abacus"}, {"keep_cls": 1}, {"source": "sr"}])
def test_an_option_that_cannot_be_is_named(options, vision):
    with pytest.raises(ConfigError, match=rf"guidance\.{next(iter(options))}"):
        GUIDANCE.build({"type": "DINOGuidance", "folder": str(vision["dino"]), **options})
