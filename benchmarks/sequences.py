"""Prints the benchmark `sequences` on Amazon Beauty, without and with refit: python benchmarks/sequences.py"""

from __future__ import annotations

import json
import os
from pathlib import Path

from shelfwise.evaluation.sequences_benchmark import sequences

if __name__ == "__main__":
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    file = Path(os.environ.get("SHELFWISE_DATA", beside)) / "beauty.txt.gz"
    for refit in (False, True):
        print(json.dumps(sequences(file, refit=refit), indent=1), flush=True)
