"""CLIP as a tagger, on tiny random weights in the real file layout."""

import json
import shutil

import pytest
import torch

from linearsr.core.errors import ConfigError, DataError, WeightsError
from linearsr.guidance import CLIPZeroShotTagger
from linearsr.guidance.taggers.clip_folder import MEAN, STD
from linearsr.guidance.taggers.clip_zero_shot import against_last
from linearsr.guidance.taggers.conformance import check_tagger
from tests.strategies import normal

VOCABULARY = ["cat", "dog", "sofa, couch", "car", "tree", "house"]
TOLD = ["cat", "dog", "sofa", "car", "tree", "house"]
PICTURES = normal(0, 3, 3, 32, 32, dtype=torch.float32).sigmoid()  # of the network's own size: not resized
ALL = {"vocabulary": VOCABULARY, "threshold": 0, "max_tags": None, "order": "index"}


def told_scores(tagger):
    told = tagger(PICTURES)
    assert [[tag.name for tag in tags] for tags in told] == [TOLD] * 3
    return torch.tensor([[tag.score for tag in tags] for tags in told])


@pytest.fixture(scope="module")
def logits(clip_folder):
    """Of the real CLIPModel, asked in its own way: names and the neutral text "a photo" last."""
    from transformers import AutoTokenizer, CLIPModel

    model = CLIPModel.from_pretrained(clip_folder).eval()
    texts = [f"a photo of a {name}." for name in TOLD] + ["a photo"]
    words = AutoTokenizer.from_pretrained(clip_folder)(texts, padding=True, return_tensors="pt")
    pixels = (PICTURES - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        return model(**words, pixel_values=pixels).logits_per_image


def test_scores_are_the_softmax_of_clip_s_own_logits(clip_folder, logits):
    scores = told_scores(CLIPZeroShotTagger(str(clip_folder), **ALL))
    torch.testing.assert_close(scores, logits[:, :-1].softmax(1), rtol=1e-4, atol=1e-5)  # float32, batches of other sizes


def test_against_a_neutral_text_each_score_is_a_softmax_of_two(clip_folder, logits):
    scores = told_scores(CLIPZeroShotTagger(str(clip_folder), neutral="a photo", **ALL))
    pairs = torch.stack([logits[:, :-1], logits[:, -1:].expand(3, 6)], -1)
    torch.testing.assert_close(scores, pairs.softmax(-1)[..., 0], rtol=1e-4, atol=1e-5)


def test_a_neutral_text_makes_scores_independent_of_the_rest_of_the_vocabulary():
    logits = normal(0, 5)
    assert torch.equal(against_last(logits[[0, 4]]), against_last(logits)[:1])


def test_logit_scale_and_template_change_scores_as_they_say(clip_folder):
    flat = told_scores(CLIPZeroShotTagger(str(clip_folder), logit_scale=1e-6, **ALL))
    torch.testing.assert_close(flat, torch.full((3, 6), 1 / 6), rtol=1e-4, atol=0)
    one, other = (told_scores(CLIPZeroShotTagger(str(clip_folder), template=text, **ALL)) for text in ("{}", "no {}!"))
    assert not torch.allclose(one, other, atol=1e-3)


def test_the_folder_s_own_normalisation_is_used(clip_folder, tmp_path, logits):
    shutil.copytree(clip_folder, tmp_path / "clip")
    (tmp_path / "clip" / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}))
    scores = told_scores(CLIPZeroShotTagger(str(tmp_path / "clip"), **ALL))
    assert not torch.allclose(scores, logits[:, :-1].softmax(1), atol=1e-3)


def test_the_contract_is_kept_and_each_option_is_another_identity(clip_folder):
    tagger = CLIPZeroShotTagger(str(clip_folder), VOCABULARY, threshold=0)
    more = [{"template": "{}"}, {"neutral": "a photo"}, {"logit_scale": 10}, {"grid": 2}, {"threshold": 0.1}, {"max_tags": 2}]
    more += [{"order": "index"}, {"drop_synonyms": False}, {"dtype": "bfloat16"}]
    others = [CLIPZeroShotTagger(str(clip_folder), VOCABULARY, **{"threshold": 0, **options}) for options in more]
    others.append(CLIPZeroShotTagger(str(clip_folder), VOCABULARY[:-1], threshold=0))
    check_tagger(tagger, PICTURES, others=others).require()


def test_bfloat16_scores_are_float32_s_roughly(clip_folder):
    fine, coarse = (told_scores(CLIPZeroShotTagger(str(clip_folder), logit_scale=1, dtype=dtype, **ALL)) for dtype in
                    ("float32", "bfloat16"))  # fmt: skip
    assert (fine - coarse).abs().max() < 0.02  # 2⁻⁸ of a cosine, times a few layers; scores are near 1/6


def test_a_vocabulary_may_be_a_text_file(clip_folder, tmp_path):
    (tmp_path / "names.txt").write_bytes("\ufeffcat\n\nsofa, couch\n富士山\n".encode())
    tagger = CLIPZeroShotTagger(str(clip_folder), str(tmp_path / "names.txt"), threshold=0, order="index")
    assert [tag.name for tag in tagger(PICTURES[:1])[0]] == ["cat", "sofa", "富士山"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"vocabulary": []}, ConfigError, r"tagger\.vocabulary is \[\]"),
        ({"vocabulary": ["cat", "Cat, kitty"]}, ConfigError, "told alike"),
        ({"vocabulary": "nowhere.txt"}, DataError, r"nowhere\.txt cannot be read"),
        ({"template": "a photo"}, ConfigError, r"tagger\.template"),
        ({"logit_scale": 0}, ConfigError, r"tagger\.logit_scale"),
        ({"dtype": "bf16"}, ConfigError, r"tagger\.dtype is 'bf16'"),
        ({"device": "gpu"}, ConfigError, r"tagger\.device is 'gpu'"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(clip_folder, options, error, said):
    with pytest.raises(error, match=said):
        CLIPZeroShotTagger(str(clip_folder), **{"vocabulary": VOCABULARY, **options})


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named_and_nothing_is_downloaded(clip_folder, tmp_path, name):
    shutil.copytree(clip_folder, tmp_path / "clip", ignore=lambda _, names: [name, *({"vocab.json"} & {*names})])
    with pytest.raises(WeightsError, match=rf"{name}.*nothing was downloaded; change tagger\.folder"):
        CLIPZeroShotTagger(str(tmp_path / "clip"), VOCABULARY)


def test_weights_in_several_files_are_the_same_and_each_is_asked_for(clip_folder, tmp_path):
    from transformers import CLIPModel

    from linearsr.guidance.text_encoders.loading import quiet

    shutil.copytree(clip_folder, tmp_path / "clip", ignore=shutil.ignore_patterns("*.safetensors"))
    with quiet():
        CLIPModel.from_pretrained(clip_folder).save_pretrained(tmp_path / "clip", max_shard_size="30KB")
    shards = sorted((tmp_path / "clip").glob("*.safetensors"))
    assert len(shards) > 1
    whole, parts = (CLIPZeroShotTagger(str(folder), **ALL)(PICTURES) for folder in (clip_folder, tmp_path / "clip"))
    assert parts == whole
    shards[-1].unlink()
    with pytest.raises(WeightsError, match=rf"{shards[-1].name} does not exist.*nothing was downloaded"):
        CLIPZeroShotTagger(str(tmp_path / "clip"), **ALL)


def test_a_damaged_json_file_is_named(clip_folder, tmp_path):
    shutil.copytree(clip_folder, tmp_path / "clip")
    (tmp_path / "clip" / "preprocessor_config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"preprocessor_config\.json cannot be read"):
        CLIPZeroShotTagger(str(tmp_path / "clip"), VOCABULARY)


def test_weights_that_are_missing_are_refused_not_drawn_at_random(clip_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(clip_folder, tmp_path / "clip")
    state = load_file(tmp_path / "clip" / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, tmp_path / "clip" / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks 1 weights of a CLIPModel, visual_projection\.weight"):
        CLIPZeroShotTagger(str(tmp_path / "clip"), VOCABULARY)(PICTURES)


def test_a_damaged_file_is_an_error_of_the_folder(clip_folder, tmp_path):
    shutil.copytree(clip_folder, tmp_path / "clip")
    whole = (tmp_path / "clip" / "model.safetensors").read_bytes()
    (tmp_path / "clip" / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"holds no CLIPModel that loads.*tagger\.folder"):
        CLIPZeroShotTagger(str(tmp_path / "clip"), VOCABULARY)(PICTURES)


def test_directions_do_not_depend_on_the_length_of_the_vocabulary(clip_folder):
    few = CLIPZeroShotTagger(str(clip_folder), VOCABULARY, neutral="a photo", threshold=0, max_tags=None)(PICTURES)
    many = [*VOCABULARY, *(f"other{i}x" for i in range(100))]
    found = CLIPZeroShotTagger(str(clip_folder), many, neutral="a photo", threshold=0, max_tags=None)(PICTURES)
    for one, other in zip(few, found, strict=True):
        scores = {tag.name: tag.score for tag in other}
        for tag in one:
            assert abs(scores[tag.name] - tag.score) < 1e-5  # prompts are encoded 64 at once: float32 rounding
