"""What customers buy next, on the two public shops of the issue: the table of every row, with what must be reached.

    python benchmarks/next_period.py [complete_journey | online_retail] [--minutes 5] [--only engine] [--json]

A shop is made in a temporary folder (or `--shop`, kept for the next run), imported, and measured by `next_period`.
Online Retail needs online_retail.csv.gz in SHELFWISE_DATA or ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from shelfwise.intake import datasets
from shelfwise.shop import Shop

#: cutoff, days, and what others were measured at: NDCG@12 of everything and of products new to the customer.
SHOPS = {
    "complete_journey": (datetime(2017, 12, 1, tzinfo=UTC), 14, 0.348, 0.0299),
    "online_retail": (datetime(2011, 11, 9, tzinfo=UTC), 30, 0.316, 0.099),
}
COLUMNS = ("recall@12", "ndcg@12", "map@12", "new_recall@12", "new_ndcg@12", "new_map@12")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shops", nargs="*", default=list(SHOPS), metavar="SHOP", help=", ".join(SHOPS))
    parser.add_argument("--minutes", type=float, default=5, help="of training the network")
    parser.add_argument("--only", action="append", help="a row; repeatable")
    parser.add_argument("--shop", type=Path, help="folder that keeps the imported shops")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.shops:
            one(name, options.shop or Path(temporary), options)


def one(name: str, parent: Path, options: argparse.Namespace) -> None:
    cutoff, days, everything, new = SHOPS[name]
    folder = parent / name
    kept = (folder / "shelfwise.toml").exists()
    with Shop(folder) if kept else Shop.create(folder, name=name, minutes=options.minutes) as shop:
        if not shop.counts().events:
            if name == "online_retail":
                data = Path(os.environ.get("SHELFWISE_DATA", Path(__file__).parents[2] / "shared" / "data"))
                datasets.online_retail(data / "online_retail.csv.gz", shop.store)
            else:
                datasets.complete_journey(shop.store)
        started = time.perf_counter()
        found = shop.next_period(cutoff, days, only=options.only, progress=_told)
    found["seconds"] = round(time.perf_counter() - started, 1)
    if options.json:
        print(json.dumps({"shop": name, **found}))
        return
    print(f"\n{name}: " + ", ".join(f"{key} {value}" for key, value in found.items() if key != "rows"))
    print(f"{'':12}" + "".join(f"{column:>15}" for column in COLUMNS) + f"{'fit s':>9}{'score s':>9}")
    for row in found["rows"]:
        values = "".join(f"{row[column]:15.4f}" for column in COLUMNS)
        print(f"{row['name']:12}{values}{row['fit_seconds']:9.1f}{row['score_seconds']:9.1f}")
    print(f"others measured: NDCG@12 {everything}, of new products {new}")


_last = [0.0]


def _told(done: int, total: int, status: str) -> None:
    if time.monotonic() - _last[0] > 10:
        _last[0] = time.monotonic()
        print(f"  {done}/{total} {status}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
