"""Every registered attention keeps its contract: as it is, with qk_norm where it has that, and as the second block."""

from collections.abc import Iterator

import pytest

from linearsr.attention.conformance import check_attention
from linearsr.core.registries import ATTENTION
from linearsr.core.signatures import accepted_keys


def cases() -> Iterator[tuple[str, dict, int]]:
    """(name, options, layer). A new variant needs no line here."""
    for name, cls in ATTENTION.own().items():
        keys = accepted_keys(cls)
        yield name, {}, 0
        if "qk_norm" in keys.names:
            yield name, {"qk_norm": True}, 0
        if "layer" in keys.names:
            yield name, {}, 1


@pytest.mark.parametrize(("name", "options", "layer"), list(cases()))
def test_attention_keeps_its_contract_and_has_a_slow_twin(name: str, options: dict, layer: int) -> None:
    report = check_attention(ATTENTION.require(name), options, layer=layer).require()
    assert all(finding.status == "passed" for finding in report.findings if "forward_dense" in finding.law), str(report)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ATTENTION.own())
def test_attention_keeps_its_contract_on_a_gpu(name: str) -> None:
    check_attention(ATTENTION.require(name), device="cuda").require()
