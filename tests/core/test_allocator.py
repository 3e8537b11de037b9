"""What a process does with memory that is freed: asked of one of its own, since it cannot be taken back."""

import os
import platform
import subprocess
import sys

import pytest

from linearsr.core.allocator import OWN
from tests.shipped import ROOT

FAULTS = """
import resource, sys
from linearsr.core.allocator import keep_freed_memory
import numpy as np
done = keep_freed_memory() if sys.argv[1] == "kept" else None
def use():
    own = [np.ones(5 * 2**20, np.float32) for _ in range(3)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **environment: str) -> tuple[str, int]:
    """What keep_freed_memory says, and the page faults of using 60 MiB (15,360 pages of 4 KiB) for the second time."""
    plain = {key: value for key, value in os.environ.items() if key not in OWN}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], cwd=ROOT, capture_output=True, text=True, check=True, env=plain | environment
    )
    said, count = done.stdout.split()
    return said, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_was_freed_is_used_again_without_page_faults_unless_the_user_decides() -> None:
    _, plain = faults("plain")
    said, kept = faults("kept")
    assert said == "True"
    assert kept < 100 < 1000 < plain
    said, decided = faults("kept", MALLOC_TRIM_THRESHOLD_="0")
    assert said == "False"
    assert decided > 1000
