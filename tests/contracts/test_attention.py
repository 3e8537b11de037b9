"""Every registered attention keeps its contract, alone and with each of its options."""

import pytest

from linearsr.attention.conformance import check_attention
from linearsr.core.registries import ATTENTION

OPTIONS = {"ReLULinearAttention": [{"qk_norm": True}], "SoftmaxAttention": [{"qk_norm": True}]}
"""Tried beside the defaults."""


@pytest.mark.parametrize(("name", "options"), [(name, o) for name in ATTENTION.own() for o in ({}, *OPTIONS.get(name, ()))])
def test_attention_keeps_its_contract_and_has_a_slow_twin(name, options):
    report = check_attention(ATTENTION.require(name), options).require()
    assert all(finding.status == "passed" for finding in report.findings if "forward_dense" in finding.law), str(report)
