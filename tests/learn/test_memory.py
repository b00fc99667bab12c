"""Large tables are taken and freed at every step of a training: the same memory each time."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from shelfwise.learn.memory import reused_memory

_TABLE = 64 << 20  # bytes


def cleared(times: int) -> int:
    """Pages that the system had to clear for so many large tables, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.empty(_TABLE, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def held() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc here, whose memory this is"
)
def test_freed_memory_is_used_again_within_and_given_back_at_the_end() -> None:
    asked, before = cleared(8), held()
    with reused_memory():
        cleared(8)
        assert cleared(8) < asked / 4
        tables = [np.ones(_TABLE, np.uint8) for _ in range(8)]
        del tables
        assert held() > before + 4 * _TABLE
    assert held() < before + 2 * _TABLE
