"""Spelling: of catalogue queries with one random edit each, how many keep their top result in the top three?

    python benchmarks/spelling.py ../shared/data/chorus_products.jsonl.gz [--queries 500] [--seed 1] [--shop PATH]

A query is one to three significant words of a title. Results are SQLite's FTS5 (bm25 on titles, any word), so that the
figure is of the correction alone; an uncertain correction is used where the typed words find nothing or, one of
several words being unknown, beside them. `none` is the same without correction. With --shop (of these products) they
are those of `Shop.search`, where meaning helps too; an answer that only asks "did you mean" counts as it stands.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import sqlite3
import string
import time
from collections.abc import Sequence
from pathlib import Path

from shelfwise.search.query.spelling import Spelling, words
from shelfwise.search.query.text import STOP_WORDS, normal


def edited(query: str, chance: random.Random) -> str:
    """One letter or digit inserted, deleted, replaced or swapped with the next, anywhere in the query."""
    while True:
        at = chance.randrange(len(query))
        kind = chance.choice(("insert", "delete", "substitute", "transpose"))
        letter = chance.choice(string.ascii_lowercase)
        if kind == "insert":
            out = query[:at] + letter + query[at:]
        elif kind == "delete":
            out = query[:at] + query[at + 1 :]
        elif kind == "substitute":
            out = query[:at] + letter + query[at + 1 :]
        else:
            out = query[:at] + query[at + 1 : at + 2] + query[at : at + 1] + query[at + 2 :]
        if query[at] != " " and out != query and len(out.split()) == len(query.split()):
            return out


def queries(titles: Sequence[str], n: int, chance: random.Random) -> list[str]:
    out: list[str] = []
    while len(out) < n:
        found = [w for w in words(normal(chance.choice(titles))) if len(w) > 2 and w not in STOP_WORDS]
        found = [w for w in dict.fromkeys(found) if not w.isdecimal()][:8]
        if found:
            start = chance.randrange(len(found))
            query = " ".join(found[start : start + chance.randint(1, 3)])
            if len(query) >= 4:
                out.append(query)
    return out


class Titles:
    def __init__(self, titles: Sequence[str]) -> None:
        self._db = sqlite3.connect(":memory:")
        self._db.execute("create virtual table t using fts5(title, tokenize='porter')")
        self._db.executemany("insert into t(rowid, title) values (?, ?)", list(enumerate(map(normal, titles), 1)))

    def best(self, query: str, k: int) -> list[int]:
        said = " OR ".join(f'"{word}"' for word in re.findall(r"[^\W_]+", query))
        if not said:
            return []
        rows = self._db.execute(
            "select rowid, bm25(t) s from t where t match ? order by s, rowid limit ?", (said, k)
        ).fetchall()
        return [row for row, _ in rows]


def through(shop: Path, titles: Sequence[str], n: int, seed: int) -> dict[str, float | int | list[list[str]]]:
    """The same queries through a shop's search."""
    from shelfwise.shop import Shop

    chance = random.Random(seed)
    kept = bare = asked = 0
    took: list[float] = []
    lost: list[list[str]] = []
    with Shop(shop) as opened:
        opened.searching.indexes.complete()
        for query in queries(titles, n, chance):
            typed = edited(query, chance)
            top = opened.search(query, k=1).items[0].product
            start = time.perf_counter()
            answer = opened.search(typed, k=3)
            took.append(time.perf_counter() - start)
            hit = any(item.product == top for item in answer.items)
            kept += hit
            bare += any(item.product == top for item in opened.search(typed, k=3, correct=False).items)
            if not hit:
                asked += opened.search(answer.did_you_mean or typed, k=1).items[0].product == top
                lost.append([query, typed, answer.corrected or f"? {answer.did_you_mean}"])
    took.sort()
    times = {"p50_ms": 1e3 * took[n // 2], "p99_ms": 1e3 * took[int(n * 0.99)]}
    return {"queries": n, "kept": kept / n, "none": bare / n, "asked": asked / n, **times, "lost": lost}


def measure(titles: Sequence[str], n: int, seed: int) -> dict[str, float | int | list[list[str]]]:
    chance = random.Random(seed)
    start = time.perf_counter()
    spelling = Spelling(titles)
    spelling.correct("")
    built = time.perf_counter() - start
    index = Titles(titles)
    kept = bare = model = model_kept = 0
    took: list[float] = []
    lost: list[list[str]] = []
    for query in queries(titles, n, chance):
        typed = edited(query, chance)
        top = index.best(query, 1)[0]
        start = time.perf_counter()
        correction = spelling.correct(typed)
        took.append(time.perf_counter() - start)
        hit = top in index.best(correction.text, 3)
        bare += top in index.best(typed, 3)
        kept += hit
        changed = [w for w in query.split() if w not in typed.split()]
        if any(c.isdecimal() for w in changed for c in w):
            model += 1
            model_kept += hit
        if not hit:
            lost.append([query, typed, correction.text])
    took.sort()
    return {
        "queries": n,
        "kept": kept / n,
        "none": bare / n,
        "models_edited": model,
        "models_kept": model_kept / max(1, model),
        "build_s": built,
        "p50_ms": 1e3 * took[n // 2],
        "p99_ms": 1e3 * took[int(n * 0.99)],
        "lost": lost,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("products", type=Path)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shop", type=Path)
    told = parser.parse_args()
    with gzip.open(told.products, "rt", encoding="utf-8") as lines:
        titles = [json.loads(line)["title"] for line in lines]
    found = (
        measure(titles, told.queries, told.seed)
        if told.shop is None
        else through(told.shop, titles, told.queries, told.seed)
    )
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
