"""What "Similar" shows beside products of every number of sales, and content-kNN beside it: is it of their kind?

    python benchmarks/similar.py SHOP [--seeds 300] [--k 8] [--titles N] [--json]

Asks the bundle in use of a trained SHOP, by default the demo's made there. Of products drawn by how often they were
bought (0, 1–5, 6–50, 51 and more), of the k places of an answer: `filled`, the share that holds a product; of those
`department` and `leaf`, the shares of the same first level and the same whole category as the product asked about;
`repeated`, the share whose title an earlier place has. The baseline is the simplest that could do: the nearest by text
and photo, one product of each distinct content and of each group of variants, the most bought first. With --titles N
the answers about N products of each kind are printed, to be looked at.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from shelfwise.catalogue.products import GONE
from shelfwise.engine.catalogue import View
from shelfwise.models.index import equal_rows
from shelfwise.models.sequences import Ints
from shelfwise.shop import Shop

SOLD = (("0", 0, 0), ("1–5", 1, 5), ("6–50", 6, 50), ("51+", 51, np.inf))


class ContentKnn:
    """The nearest by content, one of each distinct content and of each group of variants."""

    def __init__(self, view: View, popularity: np.ndarray) -> None:
        assert view.content is not None
        rows = np.flatnonzero(view.sale[: view.n] != GONE)
        rows = rows[np.argsort(-popularity[rows], kind="stable")]
        first, _ = equal_rows(view.content[rows])
        self._rows, self._view, self._all = rows[first].astype(np.int32), view, view.content
        self._content = view.content[self._rows]

    def __call__(self, row: int, k: int) -> Ints:
        view, cosine = self._view, self._content @ self._all[row]
        shown, groups = [], {int(view.variant[row])} - {-1}
        for other in self._rows[np.argsort(-cosine, kind="stable")].tolist():
            group = int(view.variant[other])
            if other != row and group not in groups:
                shown.append(other)
                groups |= {group} - {-1}
            if len(shown) == k:
                break
        return np.array(shown, np.int32)


def measured(view: View, seeds: Ints, answers: list[Ints], k: int) -> dict[str, float]:
    shares: dict[str, list[np.ndarray]] = {"department": [], "leaf": [], "repeated": []}
    for seed, rows in zip(seeds.tolist(), answers, strict=True):
        category = view.category[rows]
        shares["department"].append(view.top[category] == view.top[view.category[seed]])
        shares["leaf"].append(category == view.category[seed])
        titles = [view.title(row) for row in rows.tolist()]
        shares["repeated"].append(np.array([title in titles[:place] for place, title in enumerate(titles)], np.bool_))
    filled = sum(map(len, answers)) / (k * len(answers))
    return {"filled": filled} | {name: float(np.concatenate(parts).mean()) for name, parts in shares.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("shop", type=Path)
    parser.add_argument("--seeds", type=int, default=300, help="products asked about of each number of sales")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--titles", type=int, default=0, help="print what is shown beside so many of each kind")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    k, result = arguments.k, []
    with Shop(arguments.shop) as shop:
        engine = shop.engine
        view = engine.catalogue.view
        sold = np.zeros(view.n, np.int64)
        for product, count in shop.store.sold().items():
            row = view.row(product)
            if row is not None:
                sold[row] = count
        simplest = ContentKnn(view, sold)
        for name, least, most in SOLD:
            there = np.flatnonzero((sold >= least) & (sold <= most) & (view.sale[: view.n] != GONE))
            seeds = np.random.default_rng(0).permutation(there)[: arguments.seeds].astype(np.int32)
            if not len(seeds):
                continue
            ours = [
                np.array([view.rows[item.product] for item in engine.similar(view.ids[seed], k).items], np.int32)
                for seed in seeds.tolist()
            ]
            theirs = [simplest(seed, k) for seed in seeds.tolist()]
            for model, answers in (("engine", ours), ("content-kNN", theirs)):
                shares = {key: round(value, 4) for key, value in measured(view, seeds, answers, k).items()}
                row: dict[str, Any] = {"sold": name, "name": model, "asked": len(seeds), **shares}
                result.append(row)
                if not arguments.json:
                    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            for seed, rows in list(zip(seeds.tolist(), ours, strict=True))[: arguments.titles]:
                print(f"\n{view.title(seed)}  [{view.categories.names[view.category[seed]]}]")
                for other in rows.tolist():
                    print(f"    {view.title(other)}  [{view.categories.names[view.category[other]]}]")
    if arguments.json:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
