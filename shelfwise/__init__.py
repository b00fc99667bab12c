"""Shelfwise: the search and recommendation engine an online shop installs instead of renting one."""

import os

__version__ = "0.1.0"

# Before PyTorch and LightGBM load their OpenMP, which reads these once: threads that wait by spinning on cores that
# others need made a small training ten times as long. Who has chosen a policy keeps it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
