"""Does a router keep its contract? `check_router(mine).require()` raises with the laws broken."""

from linearsr.experts.conformance.checking import check_router

__all__ = ["check_router"]
