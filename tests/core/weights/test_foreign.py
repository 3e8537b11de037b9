"""Checkpoints that plain mmengine wrote are read for their weights; whatever asks for more is refused, and nothing runs."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from linearsr.core.errors import WeightsError
from linearsr.core.weights import load_strict, read_pickled, read_state_dict
from linearsr.core.weights.foreign import NAMES, Placeholder


class Scale(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x: Tensor, mode: str = "tensor") -> Any:
        return {"loss": self.linear(x).square().mean()} if mode == "loss" else self.linear(x)


class Numbers(torch.utils.data.Dataset):
    metainfo = {"mean": np.float64(0.5), "palette": np.arange(3)}  # noqa: RUF012

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": torch.full((2,), float(index))}


@pytest.fixture(scope="module")
def written_by_mmengine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A file of mmengine's own Runner and hooks after two iterations, and the weights that it had."""
    folder = tmp_path_factory.mktemp("mmengine")
    runner = Runner(
        Scale(),
        str(folder),
        train_dataloader={
            "dataset": Numbers(),
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "batch_size": 2,
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"by_epoch": False, "max_iters": 2},
        optim_wrapper={"optimizer": {"type": "AdamW", "lr": 1e-2}},
        param_scheduler=[{"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 2}],
        default_hooks={"checkpoint": {"type": "CheckpointHook", "by_epoch": False, "interval": 2}},
        default_scope="mmengine",
        experiment_name="foreign",
    )
    runner.train()
    return folder / "iter_2.pth", runner.model.state_dict()


def test_the_weights_of_a_checkpoint_of_mmengine_are_read(written_by_mmengine: tuple[Path, dict[str, Tensor]]) -> None:
    path, trained = written_by_mmengine
    with pytest.raises(pickle.UnpicklingError):  # else this file would test nothing
        torch.load(path, weights_only=True)
    state = read_state_dict(path)
    assert state.keys() == trained.keys()
    assert all(torch.equal(state[name], trained[name]) for name in trained)
    load_strict(Scale(), state, path)


def test_mmengines_objects_are_placeholders_and_its_plain_entries_are_kept(
    written_by_mmengine: tuple[Path, dict[str, Tensor]],
) -> None:
    content = read_pickled(written_by_mmengine[0])
    assert content["meta"]["iter"] == 2
    assert content["meta"]["mmengine_version"].startswith("0.10.7")
    assert {type(buffer) for buffer in content["message_hub"]["log_scalars"].values()} == {Placeholder}
    assert content["optimizer"]["param_groups"][0]["lr"] == pytest.approx(1e-2)


def test_no_other_load_is_changed(written_by_mmengine: tuple[Path, dict[str, Tensor]]) -> None:
    before = torch.serialization.get_safe_globals()
    read_pickled(written_by_mmengine[0])
    with pytest.raises(WeightsError):
        read_pickled(written_by_mmengine[0].with_name("last_checkpoint"))
    assert torch.serialization.get_safe_globals() == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(written_by_mmengine[0], weights_only=True)


@pytest.mark.parametrize("core", ["core", "_core"], ids=["numpy 1", "numpy 2"])
def test_numpys_names_of_both_versions_are_known(tmp_path: Path, core: str) -> None:
    content = {"state_dict": {"w": torch.ones(2)}, "meta": [np.float32(1), np.arange(2), HistoryBuffer([1.0], [1])]}
    torch.save(content, tmp_path / "new.pth")
    rewrite(tmp_path / "new.pth", tmp_path / "w.pth", lambda text: text.replace(b"numpy._core.", f"numpy.{core}.".encode()))
    assert torch.equal(read_state_dict(tmp_path / "w.pth")["w"], torch.ones(2))


def rewrite(source: Path, target: Path, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith("data.pkl") else content)


class Call:
    """Pickled as a call of `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def attacks(sentinel: Path) -> dict[str, tuple[Any, str]]:
    """What an attacker would pickle -> the name that it is refused by."""
    touch = f"touch {sentinel}"
    return {
        "os.system": (Call(os.system, touch), "posix.system"),
        "exec": (Call(exec, f"open({str(sentinel)!r}, 'w')"), "exec"),
        "eval beside mmengine's": ([HistoryBuffer([1.0], [1]), Call(eval, f"open({str(sentinel)!r}, 'w')")], "eval"),
        "a path object": (Call(type(sentinel), str(sentinel)), "pathlib"),
        "mmengine's code": (Call(Runner.from_cfg, {}), "mmengine.runner"),
    }


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", list(attacks(Path("x"))))
def test_an_attack_is_refused_by_name_and_nothing_of_it_runs(tmp_path: Path, name: str, legacy: bool) -> None:
    attack, refused = attacks(tmp_path / "sentinel")[name]
    content = {"state_dict": {"weight": torch.ones(2)}, "meta": attack}
    torch.save(content, tmp_path / "evil.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=refused) as caught:
        read_state_dict(tmp_path / "evil.pth")
    assert "evil.pth" in str(caught.value)
    assert not (tmp_path / "sentinel").exists()


REGISTER = (
    b"\x80\x02c__builtin__\ngetattr\ncmmengine.logging.history_buffer\nHistoryBuffer\nX\x13\x00\x00\x00register_statistics\x86R"
    b"ccollections\nOrderedDict\n\x85R."
)
"""getattr(HistoryBuffer, "register_statistics")(OrderedDict), in names that mmengine's own files hold."""


def test_what_getattr_gives_cannot_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Any] = {}
    monkeypatch.setattr(HistoryBuffer, "_statistics_methods", known)
    pickle.loads(REGISTER)
    assert known.pop("OrderedDict")  # to pickle alone it is a call
    torch.save({"weight": torch.ones(2)}, tmp_path / "good.pth")
    rewrite(tmp_path / "good.pth", tmp_path / "evil.pth", lambda _: REGISTER)
    with pytest.raises(WeightsError, match=r"evil\.pth .*cannot be read"):
        read_state_dict(tmp_path / "evil.pth")
    assert known == {}


def test_placeholders_do_nothing_with_what_they_are_given() -> None:
    made = Placeholder(os, "system")
    made.__setstate__({"x": 1})
    assert vars(made) == {}
    assert not callable(made)
    assert not any(name.startswith(("os.", "posix.", "subprocess.", "builtins.eval", "builtins.exec")) for name in NAMES)


def test_a_placeholder_is_no_weight(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": np.ones(2)}}, tmp_path / "array.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_state_dict(tmp_path / "array.pth")
