"""Large tables are taken and freed at every step of a training: the same memory each time."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys

import pytest

# In a process of its own: what earlier tests freed would be used again, too.
_COUNTED = """
import json, resource
from pathlib import Path
import numpy as np
from shelfwise.training.memory import reused_memory

TABLE = 64 << 20  # bytes

def cleared(times):  # pages that the system had to clear for so many tables, one after the other
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.empty(TABLE, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():  # tables' worth of memory that the process has
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / TABLE

usual, before = cleared(8), held()
with reused_memory():
    cleared(8)
    within = cleared(8)
    tables = [np.ones(TABLE, np.uint8) for _ in range(8)]
    del tables
    kept = held() - before
smaller = [np.ones(6 << 20, np.uint8) for _ in range(100)]
del smaller
again = held() - before
print(json.dumps({"again": again, "usual": usual, "within": within, "kept": kept, "after": held() - before}))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc here, whose memory this is"
)
def test_freed_memory_is_used_again_within_and_given_back_at_the_end() -> None:
    told = subprocess.run([sys.executable, "-c", _COUNTED], capture_output=True, text=True, check=True)
    counted = json.loads(told.stdout)
    assert counted["within"] < counted["usual"] / 4, counted
    assert counted["kept"] > 4, counted
    assert counted["after"] < 2, counted
    assert counted["again"] < 2, counted  # nor are later tables kept, the smaller neither
