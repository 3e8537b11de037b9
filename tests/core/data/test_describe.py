"""Describe: a whole photo's tokens, looked at once or looked up, the same either way."""

import pickle
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from linearsr.core.data import BundledPhotos, Describe, DrawSampler, HRFolder, collate_pictures, write_image
from linearsr.core.data.samplers import DrawIndex
from linearsr.core.data.token_filling import fill_tokens
from linearsr.core.data.token_jobs import jobs_of
from linearsr.core.data.token_looking import Lookers, description_of
from linearsr.core.data.token_sights import build_guidance, look
from linearsr.core.errors import ConfigError, DataError
from tests.core.data import toy_guidance
from tests.core.data.conftest import picture
from tests.core.data.toy_guidance import TYPE, ToyGuidance
from tests.guidance.fakes import ENCODER, TAGGER, ToyEncoder, ToyTagger

TOY = {"type": TYPE}
LOAD = {"type": "LoadPictures"}
CROP = {"type": "RandomCrop", "size": 16, "scale": 2}
DEGRADE = {"type": "BicubicDegradation", "scale": 2}
TAIL = [CROP, {"type": "RandomFlipRotate"}, DEGRADE]


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyGuidance, "looks", 0)


def live(**options: object) -> dict:
    return {"type": "Describe", "guidance": TOY, **options}


def filled(root: Path, before: Sequence[dict], describe: dict, phase: str = "train") -> HRFolder:
    """The folder's pictures through `before` and `describe`, whose cache has been filled."""
    dataset = {"type": "HRFolder", "root": str(root), "pipeline": [*before, describe]}
    fill_tokens(jobs_of({f"{phase}_dataloader": {"dataset": dataset}}), Lookers())
    return HRFolder(str(root), [*before, describe])


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one["guidance"], other["guidance"], strict=True))


def no_more_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, *given: object) -> None:
        raise AssertionError("an encoder was asked")

    monkeypatch.setattr(ToyGuidance, "__call__", refuse)


def sample(seed: int = 0, **more: object) -> dict:
    return {"name": f"p{seed}", "dataset": "d", "hr": picture(seed), "seed": 1, **more}


@pytest.mark.parametrize("load", [LOAD, {"type": "LoadPictures", "cache": True}])
def test_the_cache_gives_what_a_look_gives_and_asks_no_encoder(photos: Path, tmp_path: Path, monkeypatch, load: dict) -> None:
    described = live(cache=str(tmp_path / "c"))
    filled(photos, [load], described)
    draws = [DrawIndex(index % 6, index) for index in range(12)]
    looked = HRFolder(str(photos), [load, live(), *TAIL])
    wanted = [looked[draw] for draw in draws]
    no_more_looks(monkeypatch)
    looked_up = HRFolder(str(photos), [load, described, *TAIL])
    for draw, want in zip(draws, wanted, strict=True):
        got = looked_up[draw]
        assert same(got, want)
        assert torch.equal(got["lr"], want["lr"])


def test_data_workers_read_the_cache_and_load_no_encoder(photos: Path, tmp_path: Path, monkeypatch) -> None:
    dataset = filled(photos, [LOAD], live(cache=str(tmp_path / "c"), picture="hr"))
    want = [one["guidance"] for one in HRFolder(str(photos), [LOAD, live(picture="hr")])]
    no_more_looks(monkeypatch)  # forked workers have this class
    loader = DataLoader(dataset, 3, sampler=DrawSampler(dataset, seed=1), num_workers=2, collate_fn=list)
    for found in (one for batch in islice(loader, 4) for one in batch):
        assert torch.equal(found["guidance"][0], want[int(found["name"][1])][0])


def test_a_look_is_taken_once_for_each_picture_and_prompt() -> None:
    describe = Describe(TOY)
    for _ in range(3):
        for seed in (0, 1):
            for more in ({}, {"prompt": "cat"}, {"prompt": "horse"}):
                describe(sample(seed, **more))
    assert ToyGuidance.looks == 6
    describe(sample(0) | {"hr": picture(7)})  # another picture under an old name
    assert ToyGuidance.looks == 7


def test_without_memory_every_draw_is_a_look() -> None:
    describe = Describe(TOY, memory_mib=0)
    for _ in range(3):
        describe(sample())
    assert ToyGuidance.looks == 3


@pytest.mark.parametrize("cached", [False, True])
def test_a_process_that_is_spawned_describes_alike(photos: Path, tmp_path: Path, cached: bool) -> None:
    filled(photos, [LOAD], live(cache=str(tmp_path)))
    describe = Describe(TOY, cache=str(tmp_path) if cached else None)
    results = HRFolder(str(photos), [LOAD])[DrawIndex(0, 0)]
    want = describe(results)
    assert same(pickle.loads(pickle.dumps(describe))(results), want)


def test_prompts_reach_the_guidance_and_are_part_of_the_key(photos: Path, tmp_path: Path) -> None:
    for index in range(6):
        (photos / f"p{index}.txt").write_text("word " * index)
    before = [{"type": "ReadSidecarText"}, LOAD]
    dataset = filled(photos, before, live(cache=str(tmp_path / "c")))
    looked = HRFolder(str(photos), [*before, live()])
    assert all(same(dataset[DrawIndex(i, 0)], looked[DrawIndex(i, 0)]) for i in range(6))
    (photos / "p3.txt").write_text("another")
    with pytest.raises(DataError, match=r"photos/p3 \(HR\) is not in the cache .*: the picture or its prompt is new"):
        dataset[DrawIndex(3, 0)]
    with pytest.raises(DataError, match="the prompt of p0 is 3; wanted a text"):
        Describe(TOY)(sample(prompt=3))


def test_a_picture_that_is_not_in_the_cache_is_named_with_the_command(photos: Path, tmp_path: Path) -> None:
    dataset = filled(photos, [LOAD], live(cache=str(tmp_path / "c")))
    write_image(photos / "p2.png", picture(99))  # under its old name
    assert dataset[DrawIndex(1, 0)]["name"] == "p1"
    with pytest.raises(
        DataError, match=r"photos/p2 \(HR\) is not in the cache .*; fill it: python tools/cache_guidance.py CONFIG"
    ):
        dataset[DrawIndex(2, 0)]


def test_a_moved_and_renamed_picture_is_found(photos: Path, tmp_path: Path) -> None:
    filled(photos, [LOAD], live(cache=str(tmp_path / "c")))
    (photos / "p4.png").rename(tmp_path / "photo.png")
    moved = HRFolder(str(tmp_path), [LOAD, live(cache=str(tmp_path / "c"), picture="hr")], name="another")
    [found] = [one for one in moved if one["name"] == "photo"]
    assert same(found, Describe(TOY)(sample() | {"hr": found["hr"]}))


def test_in_training_it_looks_at_the_guidances_source_and_else_at_the_lr() -> None:
    def looked_at(source: str, picture_: str | None, **more: object) -> str:
        describe = Describe({"type": TYPE, "source": source}, picture=picture_)
        results = {"name": "x", "dataset": "d", "hr": torch.ones(3, 8, 8), "lr": torch.zeros(3, 4, 4), **more}
        return "hr" if len(describe(results)["guidance"][0]) == 5 else "lr"  # bright: five tokens

    assert [looked_at(source, None, seed=1) for source in ("hr", "lr")] == ["hr", "lr"]
    assert [looked_at(source, None) for source in ("hr", "lr")] == ["lr", "lr"]
    assert [looked_at(source, kind) for source in ("hr", "lr") for kind in ("hr", "lr")] == ["hr", "lr"] * 2


@pytest.mark.parametrize(
    ("options", "results", "message"),
    [
        ({}, {"drawn_by": "RandomCrop"}, "RandomCrop draws before Describe"),
        ({"picture": "lr"}, {}, "is to look at the LR of p0, which is not there; .* Describe.picture='hr'"),
        ({"picture": "middle"}, {}, "Describe.picture is 'middle'; wanted 'hr', 'lr' or None"),
        ({"memory_mib": -1}, {}, "Describe.memory_mib is -1"),
        ({"guidance": {"type": f"{toy_guidance.__name__}.Changing"}}, {}, "its cacheable is False"),
        ({"guidance": {"type": f"{toy_guidance.__name__}.Nameless"}, "cache": "c"}, {}, "Nameless has no identity"),
    ],
)
def test_what_cannot_be_described_is_refused(options: dict, results: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Describe(**{"guidance": TOY, **options})(sample(**results))


def test_tokens_that_are_not_finite_are_refused_with_the_pictures_name() -> None:
    describe = Describe({"type": f"{toy_guidance.__name__}.Broken"})
    describe(sample() | {"hr": torch.full((3, 8, 8), 0.2)})
    with pytest.raises(DataError, match=r"Broken gives NaN or Inf in 16 of 16 values for d/p0 \(HR\)"):
        describe(sample() | {"hr": torch.full((3, 8, 8), 0.7)})


def test_a_cache_of_another_guidance_is_refused_before_the_first_picture(photos: Path, tmp_path: Path) -> None:
    filled(photos, [LOAD], live(cache=str(tmp_path / "c")))
    with pytest.raises(ConfigError, match=r"holds tokens of ToyGuidance\(width=4\), and .* is ToyGuidance\(width=6\)"):
        Describe({"type": TYPE, "width": 6}, cache=str(tmp_path / "c"))


def test_every_variant_of_a_cached_degradation_is_described(photos: Path, tmp_path: Path, monkeypatch) -> None:
    noisy = {"type": "tests.core.data.test_cached.NoisyLR"}
    before = [LOAD, {"type": "Cached", "folder": str(tmp_path / "lr"), "variants": 3, "transforms": [noisy]}]
    dataset = filled(photos, before, live(cache=str(tmp_path / "c"), picture="lr"))
    assert len(list((tmp_path / "c").glob("*/*.safetensors"))) == 18
    no_more_looks(monkeypatch)
    assert len([dataset[DrawIndex(index, seed)] for index in range(6) for seed in range(8)]) == 48


def test_bundled_photos_are_described_with_tags_that_can_be_read(tmp_path: Path) -> None:
    guidance = {
        "type": "TagGuidance",
        "tagger": {"type": "tests.guidance.fakes.ToyTagger"},
        "text_encoder": {"type": "tests.guidance.fakes.ToyEncoder"},
    }
    pipeline = [LOAD, {"type": "Describe", "guidance": guidance, "cache": str(tmp_path), "picture": "hr"}]
    dataset = {"type": "BundledPhotos", "split": "held_out", "pipeline": pipeline}
    fill_tokens(jobs_of({"val_dataloader": {"dataset": dataset}}), Lookers())
    text = (tmp_path / "bundled_held_out.jsonl").read_text()
    assert '"name": "coffee", "kind": "hr", "told": {"tags": ["red"], "scores": [0.6' in text
    [tokens, mask] = BundledPhotos("held_out", pipeline)[0]["guidance"]
    assert tokens.shape == (len(mask), 8)


def test_guidance_whose_words_and_tokens_are_had_apart_looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy_guidance.Reader, "looks", 0)
    reader, sight = toy_guidance.Reader(), Describe(TOY).sight(sample())
    found = description_of(reader, sight)
    assert toy_guidance.Reader.looks == 1
    assert found.told == {"prompt": "brightness 0.50"}
    assert torch.equal(found.tokens, look(reader, sight)[0])


def test_a_picture_is_tagged_once_for_its_words_and_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    tagged, encoded = [], []
    tag, encode = ToyTagger.__call__, ToyEncoder.__call__
    monkeypatch.setattr(ToyTagger, "__call__", lambda self, image: tagged.append(1) or tag(self, image))
    monkeypatch.setattr(ToyEncoder, "__call__", lambda self, texts: encoded.append(1) or encode(self, texts))
    guidance = build_guidance({"type": "TagGuidance", "tagger": TAGGER, "text_encoder": ENCODER})
    sight = Describe(TOY).sight(sample())
    found = description_of(guidance, sight)
    assert (len(tagged), len(encoded)) == (1, 1)
    tokens, mask = look(guidance, sight)
    assert torch.equal(found.tokens, tokens)
    assert torch.equal(found.mask, mask)


def test_pictures_of_several_lengths_make_one_batch(photos: Path, tmp_path: Path) -> None:
    for index, level in enumerate((0.1, 0.5, 0.9)):
        write_image(photos / f"p{index}.png", torch.full((3, 40, 48), level))
    dataset = filled(photos, [LOAD], live(cache=str(tmp_path / "c")))
    samples = [HRFolder(str(photos), [LOAD, live(cache=str(tmp_path / "c")), *TAIL])[DrawIndex(i, 3)] for i in range(3)]
    given = collate_pictures(samples)["guidance"]
    tokens, mask = given["tokens"], given["mask"]
    assert mask.sum(1).tolist() == [1, 3, 5]
    for index in range(3):
        assert torch.equal(tokens[index][mask[index]], dataset[DrawIndex(index, 0)]["guidance"][0])
