"""How building, memory and the latency of search grow with the catalogue: simulated products, 10,000 to a million.

    OMP_NUM_THREADS=1 python benchmarks/search_growth.py [--products 10000 100000 1000000] [--out bench-out]

Each size runs in a process of its own, one thread. Writes search_growth.json, .md and .png to --out. Titles are drawn
from a vocabulary whose words are as unequal as in a shop (Zipf), vectors from clusters; a query is some words of a
title, and the time of encoding it (about 1.5 ms) is not in the figures. Memory is the process's peak. Garbage is
collected as rarely as in the server. On a machine that does other work too, the seconds of this thread (cpu in the
JSON) tell more than those of the clock.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

QUERIES = 300
KINDS = 400  # of products
COLOURS = ("black", "white", "red", "blue", "green", "silver", "grey", "pink")


class Simulated:
    """A record of n products that do not change."""

    url = "simulated"

    def __init__(self, n: int) -> None:
        import numpy as np
        import polars as pl

        from shelfwise.schema import PRODUCT_COLUMNS

        draw = np.random.default_rng(0)
        letters = np.array(list("abcdefghiklmnoprstuvw"))
        words = ["".join(draw.choice(letters, size)) for size in draw.integers(4, 10, 30_000)]
        self.kind = draw.integers(KINDS, size=n)
        picked = np.minimum(draw.zipf(1.3, size=(n, 4)) - 1, len(words) - 1)
        brand = np.minimum(draw.zipf(1.5, size=n) - 1, 499)
        titles = [
            f"{words[29_000 + b]} {' '.join(words[w] for w in row)} {words[k]} {COLOURS[i % 8]} {i % 997}"
            for i, (b, row, k) in enumerate(zip(brand.tolist(), picked.tolist(), self.kind.tolist(), strict=True))
        ]
        columns = {
            "id": [f"p{i}" for i in range(n)],
            "title": titles,
            "description": [title[::-1][:60] for title in titles],
            "brand": [words[29_000 + b] for b in brand.tolist()],
            "product_type": [f"Aisle {k % 20} > {words[k]}" for k in self.kind.tolist()],
            "price": draw.lognormal(3, 1, n).round(2),
            "availability": ["in_stock"] * n,
            "created": draw.integers(1, 10**15, n),
            "attributes": [f'{{"colour": "{COLOURS[i % 8]}", "weight": {i % 500}}}' for i in range(n)],
        }
        empty: dict[str, list[Any]] = {
            name: ["" if kind == pl.String else None] * n
            for name, kind in PRODUCT_COLUMNS.items()
            if name not in columns
        }
        self.frame = pl.DataFrame(columns | empty, schema_overrides=PRODUCT_COLUMNS).select(list(PRODUCT_COLUMNS))
        self.titles = titles

    def product_revision(self) -> int:
        return 1

    def products_frame(self) -> Any:
        return self.frame

    def product_changes(self, _since: int) -> tuple[int, list[Any]]:
        return 1, []


class Clusters:
    """Vectors of 512 numbers: a centre for each kind of product, and noise."""

    def __init__(self, record: Simulated) -> None:
        import numpy as np

        self._draw = np.random.default_rng(1)
        self._centres = self._draw.standard_normal((KINDS, 512)).astype(np.float32)
        self._kinds = record.kind

    def _unit(self, kinds: Any) -> Any:
        import numpy as np

        noise = self._draw.standard_normal((len(kinds), 512), dtype=np.float32)
        found = self._centres[kinds] + noise
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def products(self, frame: Any) -> tuple[Any, None]:
        rows = frame["id"].str.slice(1).cast(int).to_numpy()
        return self._unit(self._kinds[rows]), None

    def query(self, text: str) -> Any:
        return self._unit([hash(text) % KINDS])[0]

    def photo(self, image: bytes) -> None:  # noqa: ARG002 - no product has one
        return None


def one(n: int) -> dict[str, Any]:
    import numpy as np

    from shelfwise.catalogue.filters import SearchFilters
    from shelfwise.search.request import SearchRequest
    from shelfwise.search.search import Search

    record = Simulated(n)
    draw = np.random.default_rng(2)
    queries = []
    for row in draw.integers(n, size=2 * QUERIES).tolist():
        words = record.titles[row].split()
        queries.append(" ".join(words[i] for i in sorted(draw.choice(6, draw.integers(1, 4), replace=False))))
    found: dict[str, Any] = {"products": n}
    with tempfile.TemporaryDirectory(prefix="shelfwise-") as folder:
        began = time.perf_counter()
        search = Search(record, Path(folder), Clusters(record))
        search.indexes.complete()
        found["build_s"] = round(time.perf_counter() - began, 1)
        gc.collect()
        gc.freeze()
        gc.set_threshold(2_000, 20, 100)
        for query in queries[:QUERIES]:
            search.search(SearchRequest(query=query, facets=("brand", "price")))
        filters = SearchFilters(attributes={"colour": ("red",)}, price_max=30)
        for name, ask in (
            ("search", lambda query: search.search(SearchRequest(query=query, facets=("brand", "price")))),
            ("filtered", lambda query: search.search(SearchRequest(query=query, filters=filters))),
            ("suggest", lambda query: search.suggest(query[:5])),
        ):
            times = []
            for query in queries[QUERIES:]:
                before, worked = time.perf_counter(), time.thread_time()
                ask(query)
                times.append((1_000 * (time.perf_counter() - before), 1_000 * (time.thread_time() - worked)))
            p50, p99 = np.quantile(times, [0.5, 0.99], axis=0).round(2).tolist()
            found[name] = {"p50_ms": p50[0], "p99_ms": p99[0], "cpu_p50_ms": p50[1], "cpu_p99_ms": p99[1]}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found["peak_memory_mib"] = round(peak / (1024 if sys.platform != "darwin" else 1024 * 1024))
    return found


def table(rows: list[dict[str, Any]]) -> str:
    names = ("search", "filtered", "suggest")
    lines = ["| products | build, s | peak memory, MiB |" + "".join(f" {n} p50, ms | p99, ms |" for n in names)]
    lines.append("|" + "---:|" * (3 + 2 * len(names)))
    for row in rows:
        cells = "".join(f" {row[name]['p50_ms']} | {row[name]['p99_ms']} |" for name in names)
        lines.append(f"| {row['products']:,} | {row['build_s']} | {row['peak_memory_mib']:,} |{cells}")
    return "\n".join(lines) + "\n"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), constrained_layout=True)
    products = [row["products"] for row in rows]
    for name in ("search", "filtered", "suggest"):
        for share, style in (("p50_ms", "-o"), ("p99_ms", "--o")):
            axes.plot(products, [row[name][share] for row in rows], style, label=f"{name} {share[:3]}")
    axes.set(xscale="log", xlabel="products", ylabel="milliseconds", title="Search, one thread", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one)))
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for n in sorted(arguments.products):
        command = [sys.executable, __file__, "--one", str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(f"{n} products: {done.stderr[-2000:] or f'ended by signal {-done.returncode}'}")
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]), flush=True)
        (arguments.out / "search_growth.json").write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
        (arguments.out / "search_growth.md").write_text(table(rows), "utf-8")
        plot(rows, arguments.out / "search_growth.png")
    print(table(rows))


if __name__ == "__main__":
    main()
