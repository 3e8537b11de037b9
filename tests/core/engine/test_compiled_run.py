"""A whole run whose denoiser is compiled: averaging, validation, checkpoints and a resume."""

import shutil
from pathlib import Path

import pytest
import torch

from linearsr.core.engine import NEWEST, run_training
from linearsr.core.weights import read_state_dict

# dynamo asks every tensor for .grad and hides the warning itself, but only where warnings are no errors
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


def test_a_run_with_averaging_validation_and_a_resume_is_that_of_the_model_that_is_not_compiled(
    config: Path, tmp_path: Path
) -> None:
    options = {"model.compile_denoiser": {"backend": "aot_eager"}}
    plain = run_training(config, tmp_path / "plain")
    compiled = run_training(config, tmp_path / "compiled", options=options)
    (tmp_path / "halves").mkdir()
    shutil.copy(compiled / "iter_3.pth", tmp_path / "halves")
    halves = run_training(config, tmp_path / "halves", resume=NEWEST, options=options)
    want, got, again = (read_state_dict(folder / "iter_6.pth") for folder in (plain, compiled, halves))
    assert list(got) == list(want)
    for name in want:
        torch.testing.assert_close(got[name], want[name], rtol=1e-5, atol=1e-6, msg=name)
        assert torch.equal(again[name], got[name]), name
