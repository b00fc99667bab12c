"""Speed of the record: bulk import, appending through EventWriter, reading last events.

    python benchmarks/store.py [--rows 1469307] [--url sqlite:///…]

Rows are simulated in the shape of The Complete Journey (2,469 customers, 92,331 products, about ten rows a basket).
Prints one JSON object: seconds, rates, peak memory (MiB).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shelfwise.schema import EVENT_COLUMNS, Event, Product
from shelfwise.store import EventWriter, Store, open_store

CUSTOMERS, PRODUCTS = 2_469, 92_331


def frames(rows: int, size: int = 100_000) -> Iterator[pl.DataFrame]:
    random = np.random.default_rng(0)
    for start in range(0, rows, size):
        place = np.arange(start, min(start + size, rows))
        basket = place // 10
        yield pl.DataFrame(
            {
                "id": pl.Series([f"cj-{basket[i]}-{place[i]}" for i in range(len(place))]),
                "type": pl.repeat("purchase", len(place), eager=True),
                "time": 1_483_228_800_000_000 + basket * 200_000_000 + random.integers(0, 10**9, len(place)),
                "customer": pl.Series(basket * 7919 % CUSTOMERS).cast(pl.String),
                "session": pl.Series(basket).cast(pl.String),
                "product": pl.Series(random.zipf(1.3, len(place)) % PRODUCTS).cast(pl.String),
                "quantity": np.ones(len(place)),
                "price": np.round(random.gamma(2, 2, len(place)), 2),
                "value": pl.repeat(None, len(place), dtype=pl.Float64, eager=True),
                "query": pl.repeat("", len(place), eager=True),
                "request_id": pl.repeat("", len(place), eager=True),
            }
        ).select(list(EVENT_COLUMNS))


def memory() -> float:
    """Peak of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)


def percentiles(work: Callable[[int], Any], times: int = 2_000) -> dict[str, float]:
    """Milliseconds a call."""
    took = []
    for number in range(times):
        start = time.perf_counter()
        work(number)
        took.append((time.perf_counter() - start) * 1e3)
    return {"p50_ms": round(float(np.percentile(took, 50)), 3), "p99_ms": round(float(np.percentile(took, 99)), 3)}


async def acknowledged(store: Store, connections: int = 32, seconds: float = 3) -> float:
    """Single durable events a second, `connections` at once."""
    done = 0
    async with EventWriter(store) as writer:
        end = time.perf_counter() + seconds

        async def one(number: int) -> None:
            nonlocal done
            while time.perf_counter() < end:
                await writer.append([Event(type="view_item", customer=f"w{number}", product=str(done % PRODUCTS))])
                done += 1

        await asyncio.gather(*(one(number) for number in range(connections)))
    return done / seconds


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    answer = work()
    return round(time.perf_counter() - start, 2), answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_469_307)
    parser.add_argument("--url", default="", help="a new, empty record; default: SQLite in a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'record.db'}"
        with open_store(url) as store:
            report: dict[str, Any] = {"machine": platform.platform(), "rows": options.rows}
            making, made = timed(lambda: list(frames(options.rows)))
            report["making_the_rows_s"], report["memory_before_mib"] = making, round(memory())
            del made
            progress: list[tuple[float, str]] = []
            start = time.perf_counter()

            def said(_done: int, _total: int, status: str) -> None:
                if not progress or progress[-1][1] != status:
                    progress.append((round(time.perf_counter() - start, 1), status))

            report["import_s"], outcome = timed(lambda: store.import_events(frames(options.rows), said))
            report["import_s"] = round(report["import_s"] - making, 2)
            report["import_steps"], report["accepted"] = progress, outcome.accepted
            report["memory_after_import_mib"] = round(memory())
            report["last_50"] = percentiles(lambda i: store.last_events(customer=str(i % CUSTOMERS), n=50))
            report["rows_600"] = percentiles(lambda i: store.last_rows(customer=str(i % CUSTOMERS), n=600))
            report["session_50"] = percentiles(lambda i: store.last_events(session=str(i), n=50))
            report["counts"] = percentiles(lambda _: store.counts(), 200)
            report["event_frames_s"], _ = timed(lambda: sum(frame.height for frame in store.event_frames()))
            report["append_one"] = percentiles(
                lambda _: store.append_events([Event(type="view_item", customer="x", product="p")]), 500
            )
            report["writer_acknowledged_per_s"] = round(asyncio.run(acknowledged(store)))
            products = [Product(id=str(i), title=f"Product {i}", price=i / 100) for i in range(PRODUCTS)]
            report["put_products_s"], _ = timed(lambda: store.put_products(products))
            report["products_frame_s"], frame = timed(store.products_frame)
            changed = [frame.with_columns(title=pl.col("title") + "!")]
            report["import_products_s"], _ = timed(lambda: store.import_products(changed))
            report["open_s"], again = timed(lambda: open_store(url))
            again.close()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
