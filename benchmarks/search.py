"""How fast search answers over HTTP: latency at a steady rate, of different queries, beside BM25 in memory.

    python benchmarks/search.py [--shop PATH] [--products FILE --judgments FILE] [--seconds 20] [--json]

Queries are the judged ones and pieces of products' titles, each asked once. One worker over a copy of the shop; the
shop is made of FILE when there is none at PATH (encoding 19,406 titles takes minutes). The open loop is serve.py's: a
request's time counts from when it was due. The baseline is bm25s over title and description in this process, without
HTTP, without reading the query, without filters: what a bare look-up of words costs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from shutil import copytree
from typing import Any
from urllib.parse import quote

from serve import encode, load, open_loop, server

K = 24
FACETS = ["brand", "category", "price"]
DATA = Path(os.environ.get("SHELFWISE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def different_queries(judged: Sequence[str], titles: Sequence[str], n: int) -> list[str]:
    """n different queries in random order: the judged ones, and one to four neighbouring words of titles."""
    chance = random.Random(0)
    found = dict.fromkeys(judged)
    words = [title.split() for title in titles if title.split()]
    while len(found) < n:
        title = chance.choice(words)
        start, size = chance.randrange(len(title)), chance.choice((1, 2, 2, 3, 4))
        found[" ".join(title[start : start + size])] = None
    queries = list(found)
    chance.shuffle(queries)
    return queries[:n]


def prefixes(queries: Sequence[str]) -> list[str]:
    chance = random.Random(1)
    return [query[: chance.randint(2, max(2, len(query)))] for query in queries]


def client(spec: dict[str, Any]) -> dict[str, Any]:
    """Run one load from its description, in a process of its own."""
    if spec["path"] == "/v1/suggest":
        heads = (f"GET /v1/suggest?q={quote(text)}&k=8 HTTP/1.1\r\nHost: localhost\r\n\r\n" for text in spec["texts"])
        requests = [head.encode() for head in heads]
    else:
        requests = [encode(spec["path"], {"query": text, "k": K, **spec["fields"]}) for text in spec["texts"]]
    return open_loop(spec["port"], requests, spec["rate"], spec["seconds"])


def bm25(texts: Sequence[str], queries: Sequence[str]) -> dict[str, Any]:
    """bm25s, one query at a time, its best K."""
    import bm25s

    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(texts), show_progress=False), show_progress=False)
    times = []
    for query in queries:
        begun = time.perf_counter()
        tokens = bm25s.tokenize(query, return_ids=False, show_progress=False)
        index.retrieve(tokens, k=K, show_progress=False, n_threads=0)
        times.append(time.perf_counter() - begun)
    times.sort()
    return {"requests": len(times)} | {
        f"p{share}_ms": round(times[int(len(times) * share / 100)] * 1000, 3) for share in (50, 90, 99)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path)
    parser.add_argument("--products", type=Path, default=DATA / "chorus_products.jsonl.gz")
    parser.add_argument("--judgments", type=Path, default=DATA / "chorus_judgments_dev.csv")
    parser.add_argument("--rate", type=float, default=100, help="searches a second")
    parser.add_argument("--suggest-rate", type=float, default=200, help="completions a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", action="store_true", help="only JSON on standard output")
    arguments = parser.parse_args()
    note = sys.stderr if arguments.json else sys.stdout

    from shelfwise.shop import Shop

    with tempfile.TemporaryDirectory(prefix="bench-search-") as room:
        copy = Path(room) / "shop"
        if arguments.shop is not None:
            copytree(arguments.shop, copy)
        else:
            with Shop.create(copy, image_encoder="none") as shop:
                shop.load_products(arguments.products)
        begun = time.perf_counter()
        with Shop(copy) as shop:
            shop.searching.indexes.complete()
            frame = shop.store.products_frame()
        opened = time.perf_counter() - begun
        with arguments.judgments.open(encoding="utf-8", newline="") as file:
            judged = sorted({row["query"] for row in csv.DictReader(file)})
        seconds, rate = arguments.seconds, arguments.rate
        titles = frame["title"].to_list()
        each, warm = int(rate * seconds), int(rate * 3)
        texts = different_queries(judged, titles, 2 * each + 2 * warm)
        typed = prefixes(different_queries(judged, titles, int(arguments.suggest_rate * (seconds + 3))))
        results: dict[str, Any] = {
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
            "products": frame.height,
            "open_seconds": round(opened, 2),
        }
        with server(copy, 1) as port:

            def measure(name: str, path: str, texts: Sequence[str], rate: float, **fields: Any) -> None:
                first = int(rate * 3)
                load(__file__, port=port, path=path, texts=texts[:first], rate=rate, seconds=3.0, fields=fields)
                results[name] = load(
                    __file__, port=port, path=path, texts=texts[first:], rate=rate, seconds=seconds, fields=fields
                )
                print(name, json.dumps(results[name]), file=note, flush=True)

            measure("search", "/v1/search", texts[: each + warm], rate)
            measure("search_with_facets", "/v1/search", texts[each + warm :], rate, facets=FACETS)
            measure("suggest", "/v1/suggest", typed, arguments.suggest_rate)
        described = zip(titles, frame["description"].to_list(), strict=True)
        results["bm25s"] = bm25([f"{title} {text}" for title, text in described], texts[:each])
        print("bm25s", json.dumps(results["bm25s"]), file=note, flush=True)
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    if sys.argv[1:] == ["--client"]:
        print(json.dumps(client(json.load(sys.stdin))))
    else:
        main()
