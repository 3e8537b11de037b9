"""Weights files: safe to read, whole or not there, all or nothing."""

from pathlib import Path

import pytest
import torch
from torch import nn

from linearsr.core.errors import WeightsError
from linearsr.core.weights import load_strict, read_state_dict, write_safetensors


def state() -> dict[str, torch.Tensor]:
    return {"weight": torch.randn(3, 2), "bias": torch.randn(3)}


def test_what_is_written_is_read_again_with_its_metadata(tmp_path: Path) -> None:
    from safetensors import safe_open

    saved = state() | {"turned": torch.randn(4, 5).T, "half": torch.randn(2).bfloat16()}
    path = write_safetensors(tmp_path / "deep" / "w.safetensors", saved, {"config": "x"})
    read = read_state_dict(path)
    assert read.keys() == saved.keys()
    assert all(torch.equal(read[name], saved[name]) and read[name].dtype == saved[name].dtype for name in saved)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"config": "x"}


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "as in a checkpoint"])
def test_a_pickled_state_dict_is_read(tmp_path: Path, wrapped: bool) -> None:
    saved = state()
    torch.save({"state_dict": saved, "meta": {"iter": 3}} if wrapped else saved, tmp_path / "w.pth")
    assert torch.equal(read_state_dict(tmp_path / "w.pth")["weight"], saved["weight"])


class Payload:
    """What an attacker would pickle."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": Payload()}}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"evil\.pth asks for exec, which no checkpoint needs"):
        read_state_dict(tmp_path / "evil.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_named_with_its_size(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name} \({len(content)} bytes\) cannot be read"):
        read_state_dict(tmp_path / name)


def test_a_file_that_is_missing_a_folder_or_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not exist; wanted a \.safetensors or \.pth file at /"):
        read_state_dict(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        read_state_dict(tmp_path)
    (tmp_path / "w.txt").write_text("x")
    with pytest.raises(WeightsError, match=r"ends in '\.txt'"):
        read_state_dict(tmp_path / "w.txt")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_state_dict(tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"written as \.safetensors"):
        write_safetensors(tmp_path / "w.pth", state())


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_safetensors(tmp_path / "w.safetensors", state())
    before = path.read_bytes()

    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("linearsr.core.weights.files.save_file", broken)
    with pytest.raises(OSError, match="disk full"):
        write_safetensors(path, state())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


def test_loading_is_strict_and_all_or_nothing() -> None:
    module = nn.Linear(2, 3)
    load_strict(module, good := state(), "good.pth")
    assert torch.equal(module.weight, good["weight"])
    bad = {"weight": torch.zeros(3, 4), "extra": torch.zeros(1)}
    with pytest.raises(WeightsError) as caught:
        load_strict(module, bad, "bad.pth")
    text = str(caught.value)
    assert text.startswith("bad.pth does not fit Linear: 1 missing (bias); 1 unexpected (extra); 1 of another shape")
    assert "weight [3, 4] in the file, [3, 2] in the model" in text
    assert torch.equal(module.weight, good["weight"])
