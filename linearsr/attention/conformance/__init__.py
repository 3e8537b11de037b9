"""Does an attention keep its contract? `check_attention(Mine).require()` raises with the laws broken."""

from linearsr.attention.conformance.checking import check_attention

__all__ = ["check_attention"]
