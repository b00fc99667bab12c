"""Shelfwise: the search and recommendation engine an online shop installs instead of renting one."""

import os

__version__ = "0.1.0"

# Before PyTorch, LightGBM and NumPy load their thread pools, which read these once: threads that wait by spinning on
# cores that others need made a small training ten times as long, and OpenBLAS's, which know no other way, one inverse
# of 3,000 products 37 times. Who has chosen a policy keeps it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
