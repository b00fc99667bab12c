"""How fast Complete Journey comes in, and in how much memory: python benchmarks/intake.py [--folder DIR] [--json].

Two fresh processes: the transactions' part alone (products and 1.47 M purchases; to reach: 30 s, 1.5 GB), and the whole
(20.9 M promotions and the other tables too). Peak memory is the operating system's figure for the process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path


def measure(part: str, folder: Path) -> dict[str, object]:
    """Run one part in a process of its own, on a new store in `folder`."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        command = [sys.executable, __file__, "--part", part, "--folder", place]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_part(part: str, folder: Path) -> dict[str, object]:
    import resource

    from shelfwise.intake import check, datasets
    from shelfwise.store import open_store

    marks: dict[str, float] = {}
    start = time.perf_counter()

    def progress(_done: int, _total: int, status: str) -> None:
        marks[status.partition(":")[0]] = time.perf_counter() - start

    with open_store(f"sqlite:///{folder / 'record.db'}") as store:
        opened = time.perf_counter()
        report = datasets.complete_journey(store, progress, tables=part == "whole")
        seconds = time.perf_counter() - opened
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begun = time.perf_counter()
        if part == "whole":
            check(store)
        checked = time.perf_counter() - begun
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return {
        "part": part,
        "kept": report.kept,
        "dropped": report.dropped,
        "seconds": round(seconds, 2),
        "peak_mb": round(peak),
        "store_mb": round(size),
        "check_seconds": round(checked, 2) if part == "whole" else None,
        "last_progress": {name: round(at, 1) for name, at in marks.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("purchases", "whole"))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.part:
        print(json.dumps(run_part(options.part, options.folder)))
        return
    rows = [measure(part, options.folder) for part in ("purchases", "whole")]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}"
    if options.json:
        print(json.dumps({"date": datetime.now(UTC).isoformat(), "machine": machine, "rows": rows}))
        return
    print(f"{datetime.now(UTC):%Y-%m-%d} · {machine}")
    for row in rows:
        print(f"{row['part']:<10} {row['seconds']:>7} s   peak {row['peak_mb']:>5} MB   store {row['store_mb']} MB")


if __name__ == "__main__":
    main()
