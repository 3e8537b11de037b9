"""Weights & Biases without its service: which run is gone on with, what it is told, and that it cannot end a training run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb

from linearsr.core.engine import NEWEST, WandbBackend
from linearsr.core.engine.logging.wandb_identity import wandb_run_id
from linearsr.core.errors import ConfigError
from tests.core.engine.logging.conftest import Train, wandb_rows, without_checkpoints


class Service:
    """What wandb.init was called with, and what was logged; a run that goes wrong where told to."""

    def __init__(self, fails: str = "") -> None:
        self.calls: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.finished, self.fails = 0, fails
        self.config: dict[str, Any] = {}

    def init(self, **options: Any) -> SimpleNamespace:
        self.calls.append(options)
        if self.fails == "init":
            raise wandb.errors.CommError("no route to host\nConsider this and that")
        config = SimpleNamespace(update=lambda values, allow_val_change: self.config.update(values))
        return SimpleNamespace(
            url="https://wandb.test/run", config=config, log=self.log, finish=self.finish, define_metric=lambda *_, **__: None
        )

    def log(self, row: dict[str, Any]) -> None:
        if self.fails == "log":
            raise ConnectionResetError("Connection lost")
        self.rows.append(row)

    def finish(self) -> None:
        self.finished += 1
        if self.fails == "log":
            raise ConnectionResetError("Connection lost")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()
    monkeypatch.setattr(wandb, "init", made.init)
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    return made


def test_a_run_is_told_where_it_belongs_and_what_it_is(train: Train, service: Service, tmp_path: Path) -> None:
    backend = {
        "type": "WandbBackend", "project": "my-sr", "entity": "team", "group": "ablation", "tags": ["x4"], "mode": "online"
    }  # fmt: skip
    folder = train(tmp_path / "run", options={"visualizer.vis_backends": [backend]})
    (call,) = service.calls
    assert call.pop("settings").init_timeout < 600  # seconds: it gives up before a person would
    assert call == {
        "project": "my-sr", "entity": "team", "group": "ablation", "tags": ("x4",), "mode": "online", "name": "run",
        "dir": str(folder), "resume": "allow", "id": json.loads((folder / "wandb_run.json").read_text())["id"],
    }  # fmt: skip
    assert service.config["train_cfg"]["max_iters"] == 6
    assert service.finished == 1
    assert [row["iteration"] for row in service.rows if "train/loss" in row] == [1, 2, 3, 4, 5, 6]
    assert [row["iteration"] for row in service.rows if "val/psnr_y" in row] == [3, 6]


def test_a_resumed_run_is_the_same_run_of_wandb_and_a_new_one_is_another(
    train: Train, service: Service, tmp_path: Path
) -> None:
    folder = train(tmp_path / "run", "WandbBackend", stop=5)
    train(folder, "WandbBackend", resume=NEWEST)
    without_checkpoints(folder)
    train(folder, "WandbBackend", options={"train_cfg.max_iters": 1})
    first, resumed, new = (call["id"] for call in service.calls)
    assert first == resumed != new
    assert {call["resume"] for call in service.calls} == {"allow"}


def test_a_copied_folder_is_another_run_and_a_moved_one_is_the_same(tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.mkdir()
    run_id = wandb_run_id(original, 0)
    copy = Path(shutil.copytree(original, tmp_path / "copy"))
    assert wandb_run_id(copy, 5) not in (run_id, None)
    assert wandb_run_id(copy, 6) == wandb_run_id(copy, 7) != run_id  # and stays what it has become
    moved = original.rename(tmp_path / "moved")
    assert wandb_run_id(moved, 5) == run_id
    replaced = tmp_path / "replaced"  # the same path on another file system has another inode
    shutil.copytree(moved, replaced)
    note = replaced / "wandb_run.json"
    note.write_text(json.dumps({"id": "abc", "folder": str(replaced), "inode": -1}))
    assert wandb_run_id(replaced, 5) == "abc"


def test_a_folder_without_a_note_gets_one_and_a_damaged_note_is_refused(tmp_path: Path) -> None:
    assert wandb_run_id(tmp_path, 5) == wandb_run_id(tmp_path, 6)
    (tmp_path / "wandb_run.json").write_text("[]")
    with pytest.raises(ConfigError, match="delete it"):
        wandb_run_id(tmp_path, 7)


def test_the_run_of_a_sweep_keeps_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "of-a-sweep")
    assert wandb_run_id(tmp_path, 0) == "of-a-sweep"


def test_online_without_a_login_is_one_line_and_no_question(
    train: Train, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(wandb, "login", lambda **options: asked.append(options))
    backend = {"type": "WandbBackend", "mode": "online"}
    with pytest.raises(ConfigError, match=r"without a login; run `wandb login`.*mode='offline'"):
        train(tmp_path / "run", options={"visualizer.vis_backends": [backend]})
    assert asked == [{"prompt": False, "verify": False}]
    assert not service.calls


@pytest.mark.slow
def test_no_login_on_a_real_terminal_asks_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    program = (
        "import sys; from pathlib import Path; from linearsr.core.engine import WandbBackend\n"
        "WandbBackend(sys.argv[1], mode='online').start(Path(sys.argv[1]), 0)"
    )
    words = ["script", "-qec", f'{sys.executable} -c "{program}" {tmp_path}', "/dev/null"]
    if shutil.which("script") is None:
        pytest.skip("no `script` here to make a terminal with")
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=300, env=os.environ | {"HOME": str(tmp_path), "NETRC": "/nowhere"}
    )
    assert "ConfigError: WandbBackend: mode='online' without a login" in done.stdout
    assert "Enter your choice" not in done.stdout


def test_a_service_that_does_not_answer_is_one_line(train: Train, service: Service, tmp_path: Path) -> None:
    service.fails = "init"
    with pytest.raises(ConfigError, match=r"^WandbBackend: wandb does not start: no route to host; run `wandb login`.*$"):
        train(tmp_path / "run", "WandbBackend")


def test_a_service_that_is_lost_in_mid_run_costs_a_warning_and_not_the_run(
    train: Train, service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.fails = "log"
    folder = train(tmp_path / "run", "JSONLinesBackend", "WandbBackend")
    assert (folder / "iter_6.pth").is_file()
    assert len((folder / "log.jsonl").read_text().splitlines()) == 8
    assert capsys.readouterr().err.count("WandbBackend does not log at present (ConnectionResetError") == 1


LOSES_WANDB = """
import os, signal, subprocess, sys
from pathlib import Path
from linearsr.core.engine import WandbBackend

folder = Path(sys.argv[1])
backend = WandbBackend(str(folder))
backend.start(folder, 0)
backend.add_scalars({"train/loss": 1.0}, step=1)
words = ["pgrep", "-f", f"wandb-core.* --pid {os.getpid()}"]
(core,) = subprocess.run(words, capture_output=True, text=True).stdout.split()
os.kill(int(core), signal.SIGKILL)
os.waitpid(int(core), 0)
for step in range(2, 5):
    backend.add_scalars({"train/loss": 1.0}, step=step)
backend.close()
print("trained on")
"""


@pytest.mark.slow
def test_the_death_of_wandbs_real_process_does_not_end_ours(tmp_path: Path) -> None:
    alone = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}  # else it shares this one's process
    words = [sys.executable, "-c", LOSES_WANDB, tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=alone)
    assert done.returncode == 0
    assert "trained on" in done.stdout


def test_offline_rows_of_a_resumed_run_lie_at_their_iterations(train: Train, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", "WandbBackend", stop=4)
    train(folder, "WandbBackend", resume=NEWEST)
    folders = sorted(path.name for path in folder.glob("wandb/offline-run-*"))
    assert len({name.split("-")[3] for name in folders}) == 1 < len(folders)  # one id; a start in the same second ends in "-1"
    assert [int(row["iteration"]) for row in wandb_rows(folder) if "train/loss" in row] == [1, 2, 3, 4, 4, 5, 6]


def test_disabled_leaves_no_folder(train: Train, tmp_path: Path) -> None:
    backend = {"type": "WandbBackend", "mode": "disabled"}
    folder = train(tmp_path / "run", options={"visualizer.vis_backends": [backend], "train_cfg.max_iters": 1})
    assert not (folder / "wandb").exists()


@pytest.mark.parametrize(("option", "value"), [("mode", "onlin"), ("tags", "x4")])
def test_a_wrong_option_is_refused(tmp_path: Path, option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} is '{value}'; wanted"):
        WandbBackend(str(tmp_path), **{option: value})
