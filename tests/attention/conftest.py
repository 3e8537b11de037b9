"""What the tests of the attention room share."""

import pytest
import torch


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile does nothing: it is most of a check's time, and most breaches of a contract have nothing to do with it."""
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
