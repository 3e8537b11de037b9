"""An identity tells whatever may change a token, and nothing else; no weights are loaded for it."""

import hashlib
import shutil

import pytest

from linearsr.guidance import CLIPTextEncoder, GemmaTextEncoder, MiniLMTextEncoder, T5TextEncoder
from linearsr.guidance.text_encoders.fingerprint import content_digest


def test_a_copy_has_the_same_identity(folders, copy_of):
    assert T5TextEncoder(copy_of("t5")).identity == T5TextEncoder(folders["t5"]).identity


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_any_flipped_byte_changes_it(copy_of, name):
    folder = copy_of("t5")
    encoder = T5TextEncoder(folder)
    before = encoder.identity
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert encoder.identity != before


def test_a_flipped_byte_in_a_shard_changes_it(copy_of):
    folder = copy_of("gemma in shards")
    encoder = GemmaTextEncoder(folder)
    before = encoder.identity
    path = folder / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    assert encoder.identity != before


def test_other_files_of_the_folder_do_not_count(copy_of):
    folder = copy_of("t5")
    encoder = T5TextEncoder(folder)
    before = encoder.identity
    (folder / "README.md").write_text("a model")
    (folder / "pytorch_model.bin").write_bytes(b"unread")
    assert encoder.identity == before


def test_every_option_that_changes_tokens_changes_it(folders):
    clip = [{}, {"max_tokens": 20}, {"dtype": "bfloat16"}, {"hidden_layer": -2}]
    gemma = [{}, {"instruction": "tell"}, {"instruction": "Tell"}]
    identities = [CLIPTextEncoder(folders["clip"], **options).identity for options in clip]
    identities += [GemmaTextEncoder(folders["gemma"], **options).identity for options in gemma]
    assert len(set(identities)) == len(identities)


def test_defaults_written_out_do_not_change_it(folders):
    spelled = CLIPTextEncoder(folders["clip"], hidden_layer=-1, max_tokens=77, dtype="float32", unload_after_use=True)
    assert spelled.identity == CLIPTextEncoder(folders["clip"]).identity


def test_classes_that_read_the_same_files_differ(folders):
    class Other(T5TextEncoder):
        pass

    assert Other(folders["t5"]).identity != T5TextEncoder(folders["t5"]).identity


def test_it_names_class_and_options_and_loads_no_weights():
    encoder = MiniLMTextEncoder(max_tokens=64)
    assert encoder.identity.startswith("MiniLMTextEncoder(max_tokens=64, dtype=float32) ")
    assert not encoder.loaded


def test_a_file_is_read_once_unless_it_changes(folders, tmp_path, monkeypatch):
    path = shutil.copy(folders["t5"] / "config.json", tmp_path / "config.json")
    reads = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: reads.append(1) or digest(*a))
    assert content_digest(path) == content_digest(path)
    assert len(reads) == 1
    path.write_text("{}")
    content_digest(path)
    assert len(reads) == 2
