"""RAM through a stand-in with its package's interface; not run on the real weights."""

import sys
import warnings

import pytest
import torch

from linearsr.core.errors import MissingExtraError, PluginLoadError, WeightsError
from linearsr.guidance import RAMTagger
from linearsr.guidance.taggers.conformance import check_tagger
from linearsr.guidance.taggers.names import prompt_name
from tests.guidance.taggers.stand_ins import THRESHOLDS, ram_state
from tests.strategies import normal

PICTURES = normal(0, 3, 3, 20, 30, dtype=torch.float32).sigmoid()


def all_scores(options, pictures=PICTURES):
    tags = RAMTagger(**options, threshold=0, drop_synonyms=False)(pictures)
    return torch.tensor([[tag.score for tag in told] for told in tags])


def test_each_class_has_the_threshold_of_the_package_and_the_order_is_that_of_its_list(ram_options):
    scores = all_scores(ram_options)
    told = RAMTagger(**ram_options, drop_synonyms=False)(PICTURES)
    names = ["man", "sports car", "sport car", "tabby", "cat", "horse cart", "water", "building", "tower", "sky"]
    wanted = [[name for name, score, bar in zip(names, row, THRESHOLDS, strict=True) if score > bar] for row in scores.tolist()]
    assert [[tag.name for tag in tags] for tags in told] == wanted
    alike = [(scores > bar).tolist() for bar in THRESHOLDS]
    assert (scores > torch.tensor(THRESHOLDS)).tolist() not in alike


def test_scores_are_those_that_the_package_s_own_head_compares(ram_options):
    from ram.models import ram

    model = ram(image_size=384, vit="swin_l", text_encoder_type=ram_options["tokenizer"])
    state = {name.replace("vision_multi", "tagging_head"): value for name, value in ram_state().items()}
    model.load_state_dict({name: value for name, value in state.items() if not name.endswith("index")}, strict=False)
    small = torch.nn.functional.interpolate(PICTURES, size=(384, 384), mode="bilinear", antialias=True)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        joined = model.generate_tag((small - mean[:, None, None]) / std[:, None, None])
    told = RAMTagger(**ram_options, drop_synonyms=False)(PICTURES)
    wanted = [[prompt_name(name.split(",")[0]) for name in line.split(" | ")] for line in joined]
    assert [[tag.name for tag in tags] for tags in told] == wanted


def test_your_threshold_is_not_ignored_and_is_strict(ram_options):
    scores = all_scores(ram_options)
    for bar in (0.2, 0.5):
        told = RAMTagger(**ram_options, threshold=bar, drop_synonyms=False)(PICTURES)
        assert [len(tags) for tags in told] == (scores > bar).sum(1).tolist()
    exact = RAMTagger(**ram_options, threshold=scores[0].tolist(), drop_synonyms=False)(PICTURES[:1])
    assert exact == [[]]


def test_a_batch_is_not_reduced_to_its_first_picture_and_the_contract_is_kept(ram_options):
    tagger = RAMTagger(**ram_options)
    told = tagger(PICTURES)
    assert len({tuple(tag.name for tag in tags) for tags in told}) > 1
    others = [RAMTagger(**ram_options, **more) for more in ({"threshold": 0.3}, {"max_tags": 3}, {"order": "score"})]
    check_tagger(tagger, PICTURES, others=others).require()


def test_the_package_s_lists_are_part_of_the_identity(ram_options, site):
    before = RAMTagger(**ram_options).identity
    lines = site / "ram" / "data" / "ram_tag_list_threshold.txt"
    lines.write_text(lines.read_text().replace("0.54", "0.55"))
    assert RAMTagger(**ram_options).identity != before


def test_a_package_that_does_not_import_is_blamed_with_its_reason(ram_options, site):
    (site / "ram" / "models" / "__init__.py").write_text("from transformers.modeling_utils import gone_in_version_5\n")
    with pytest.raises(PluginLoadError, match="'ram' does not import: ImportError: cannot import name 'gone_in_version_5'"):
        RAMTagger(**ram_options)(PICTURES)


def test_the_package_prints_nothing_and_warnings_are_heard_after_it_was_imported(ram_options, capsys):
    RAMTagger(**ram_options)(PICTURES)
    assert capsys.readouterr().out == ""
    assert "ram.models" in sys.modules
    with pytest.warns(UserWarning, match="still here"):
        warnings.warn("still here", UserWarning, stacklevel=1)


def test_without_the_package_the_error_says_where_it_is(tmp_path):
    with pytest.raises(MissingExtraError, match=r"not on PyPI: pip install git\+https"):
        RAMTagger(weights=str(tmp_path / "ram.pth"), tokenizer=str(tmp_path))


@pytest.mark.parametrize(("key", "place"), [("weights", "nowhere.pth"), ("tokenizer", "nowhere")])
def test_a_missing_file_is_named_and_nothing_is_downloaded(ram_options, tmp_path, key, place):
    with pytest.raises(WeightsError, match=rf"{place}.*nothing was downloaded; change tagger\.{key}"):
        RAMTagger(**{**ram_options, key: str(tmp_path / place)})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state.pop("fc.weight"),
        lambda state: state.update({"label_embed": torch.zeros(3, 4)}),
        lambda state: state.pop("vision_multi.query.bias"),
    ],
)
def test_weights_that_do_not_fit_are_refused_not_left_at_random(ram_options, spoil):
    state = ram_state()
    spoil(state)
    torch.save({"model": state}, ram_options["weights"])
    with pytest.raises(WeightsError, match="does not fit RAM: 1 weights are missing or of another shape"):
        RAMTagger(**ram_options)(PICTURES)


def test_code_in_the_weights_file_is_not_run(ram_options):
    class Evil:
        def __reduce__(self):
            return exec, ("raise SystemExit('code was run')",)

    torch.save({"model": ram_state(), "extra": Evil()}, ram_options["weights"])
    with pytest.raises(WeightsError, match="was refused and nothing of it was run"):
        RAMTagger(**ram_options)(PICTURES)
