"""docs/training.md, from a folder of photos to a tested checkpoint: every command is run, in order, on tiny settings."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from linearsr.core.data import write_image

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "training.md").read_text()

TINY = """
model = dict(denoiser=dict(depth=1, width=16, head_width=8, lr_stem=dict(width=8, depth=1)))
train_cfg = dict(max_iters=4, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=3, save_best="psnr_y"))
train_dataloader["batch_size"] = 2
"""

SLURM = {
    "sbatch": """#!{python}
import os, re, subprocess, sys
text = open(sys.argv[1]).read()
asked = dict(re.findall(r"#SBATCH --([a-z-]+)=(\\S+)", text))
tasks = int(asked["nodes"]) * int(asked["ntasks-per-node"])
job = dict(SLURM_JOB_ID="123456", SLURM_NTASKS=str(tasks), SLURM_JOB_NODELIST="localhost", SLURM_CPUS_PER_TASK="1")
sys.exit(subprocess.run(["bash", sys.argv[1]], env=os.environ | job).returncode)
""",
    "scontrol": """#!{python}
raise SystemExit("the run was not stopped, so nothing is put into the queue")
""",
    "srun": """#!{python}
import os, subprocess, sys
tasks = range(int(os.environ["SLURM_NTASKS"]))
own = lambda task: dict(SLURM_PROCID=str(task), SLURM_LOCALID=str(task), SLURM_STEP_NODELIST="localhost")
command = sys.argv[1:]
while command[0].startswith("--"):
    command.pop(0)
started = [subprocess.Popen(command, env=os.environ | own(task)) for task in tasks]
sys.exit(max(process.wait() for process in started))
""",
}
"""Slurm as far as a training script sees it, on one machine."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    for name in ("tools", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    for index in range(4):
        picture = torch.rand(3, 160, 144, generator=torch.Generator().manual_seed(index))
        write_image(tmp_path / "photos" / ("test" if index == 0 else "train") / f"p{index}.png", picture)
    (config,) = blocks("python")
    (tmp_path / "my_x4.py").write_text(config + TINY)
    (tmp_path / "train.sbatch").write_text(blocks("slurm")[0])
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in SLURM.items():
        (programs / name).write_text(text.replace("{python}", sys.executable))
        (programs / name).chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    commands = [line for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) > 10
    commands.append("sbatch train.sbatch")  # once more, where there is a checkpoint
    for command in commands:
        done = subprocess.run(shlex.split(command), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    for run in ("my_x4", "my_x4_bf16", "my_x4_two", "my_x4_slurm", "my_x4_finetuned"):
        assert (tmp_path / "work_dirs" / run / "iter_4.pth").is_file(), run
    for folder in ("work_dirs/my_x4", "tested_best", "tested_export"):
        assert (tmp_path / folder / "metrics.json").is_file(), folder
    starts = json.loads((tmp_path / "work_dirs" / "my_x4_slurm" / "train.json").read_text())
    assert ["--resume" in start["command"] for start in starts] == [False, True]
    assert (tmp_path / "preview.png").is_file()
