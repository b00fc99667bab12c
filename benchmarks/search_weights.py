"""Fit the weights of search (search/ranking.py) to graded judgments, and measure them on queries held out.

    python benchmarks/search_weights.py [--shop PATH] [--products FILE --judgments FILE] [--folds 3] [--seeds 5]

LambdaRank (Burges 2010, MSR-TR-2010-82) on a linear score: pairs of products weigh by how much their exchange would
change NDCG@10, once among the judged products alone and, at UNJUDGED, among all that is found, unjudged ones being
irrelevant. Weights are kept small, and never change the sign that they have now. Held out: the queries are dealt
into folds, the weights of each fold come from the others; all that is printed as held out is of queries not seen.
Features that no judgment can tell of (who asks, clicks, sales, codes) keep their weights.

Put what is printed into `ranking.WEIGHTS` by hand, after looking at the held-out figures beside those of the weights
in use.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from shelfwise.catalogue.filters import SearchFilters
from shelfwise.evaluation.search_benchmark import Judgments, ndcg, read_judgments
from shelfwise.search.rank.score import WEIGHTS
from shelfwise.search.request import SearchRequest
from shelfwise.search.search import Search

DATA = Path(os.environ.get("SHELFWISE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
FITTED = ("phrase", "head", "every", "words", "text", "qualifies", "meaning", "alike")
FOUND = 100  # products of each query that are looked at beside the judged ones
UNJUDGED = 0.5
SMALL = 0.02  # how much weights are kept small
SCALE = 2.0  # a score's difference of 1 is this many nats of certainty
STEPS = 150

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Question:
    """features: float32 [c, FITTED]. fixed: float32 [c], what the other features add. rating: -1 for unjudged."""

    features: Floats
    fixed: Floats
    rating: Floats

    def measured(self, weights: Floats) -> tuple[float, float]:
        """NDCG@10 condensed, and with unjudged as irrelevant."""
        order = np.argsort(-(self.features @ weights + self.fixed), kind="stable")
        found = self.rating[order]
        judged = self.rating[self.rating >= 0].tolist()
        return ndcg(found[found >= 0].tolist(), judged), ndcg(np.maximum(found, 0).tolist(), judged)


def questions(search: Search, judgments: Judgments) -> list[Question]:
    """Of the queries with a relevant product."""
    known = search.indexes.products.view.rows
    made = []
    for query, ratings in judgments.items():
        ratings = {product: rating for product, rating in ratings.items() if product in known}
        if max(ratings.values(), default=0) <= 0:
            continue
        request = SearchRequest(query=query, k=FOUND, filters=SearchFilters(availability=None), group=False)
        products = list(dict.fromkeys([*ratings, *(hit.product for hit in search.search(request).items)]))
        parts = search.parts(query, products)
        none = np.zeros(len(products), np.float32)
        features = np.stack([parts.get(name, none) / WEIGHTS[name] for name in FITTED], axis=1)
        fixed = sum((part for name, part in parts.items() if name not in FITTED), start=none)
        made.append(Question(features, fixed, np.array([ratings.get(p, -1) for p in products], np.float32)))
    return made


def fit(asked: Sequence[Question]) -> Floats:
    begin = torch.tensor([WEIGHTS[name] for name in FITTED])
    weights = begin.clone().requires_grad_()
    steps = torch.optim.Adam([weights], lr=0.03)
    told = [
        (torch.tensor(one.features), torch.tensor(one.fixed), torch.tensor(one.rating), share)
        for one in asked
        for share in (1.0, UNJUDGED)
    ]
    for _ in range(STEPS):
        steps.zero_grad()
        loss = SMALL * (weights**2).sum()
        for features, fixed, rating, share in told:
            kept = rating >= 0 if share == 1 else slice(None)
            gain = 2 ** rating[kept].clamp(min=0) - 1
            score = features[kept] @ weights + fixed[kept]
            with torch.no_grad():
                place = torch.argsort(torch.argsort(-score, stable=True))
                discount = 1 / torch.log2(place + 2.0) * torch.where(place < 10, 1.0, 0.3)
                ideal = (
                    gain.sort(descending=True).values[:10] / torch.log2(torch.arange(min(10, len(gain))) + 2)
                ).sum()
                better = gain[:, None] - gain[None]
                worth = (better * (discount[:, None] - discount[None])).abs() * (better > 0) / ideal
            certain = SCALE * (score[:, None] - score[None])
            loss = loss + share / len(asked) * (worth * torch.nn.functional.softplus(-certain)).sum()
        loss.backward()
        steps.step()
        with torch.no_grad():
            weights.copy_(torch.where(weights * begin.sign() < 0, torch.zeros(()), weights))
    return weights.detach().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path)
    parser.add_argument("--products", type=Path, default=DATA / "chorus_products.jsonl.gz")
    parser.add_argument("--judgments", type=Path, default=DATA / "chorus_judgments_dev.csv")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="only JSON on standard output")
    arguments = parser.parse_args()
    note = sys.stderr if arguments.json else sys.stdout

    from shelfwise.shop import Shop

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="shelfwise-weights-") as room:
        if arguments.shop is not None:
            shop = Shop(arguments.shop)
        else:
            shop = Shop.create(Path(room) / "shop", image_encoder="none")
            print(f"importing {arguments.products}", file=note, flush=True)
            shop.load_products(arguments.products)
        with shop:
            shop.searching.indexes.complete()
            asked = questions(shop.searching, read_judgments(arguments.judgments))
    now = np.array([WEIGHTS[name] for name in FITTED], np.float32)
    held: list[tuple[float, float]] = []
    for seed in range(arguments.seeds):
        order = np.random.default_rng(seed).permutation(len(asked))
        for fold in range(arguments.folds):
            out = set(order[fold :: arguments.folds].tolist())
            weights = fit([one for at, one in enumerate(asked) if at not in out])
            held += [asked[at].measured(weights) for at in out]
    fitted = fit(asked)
    told = {
        "queries": len(asked),
        "weights": dict(zip(FITTED, [round(w, 2) for w in fitted.tolist()], strict=True)),
        **{
            name: dict(zip(("condensed_ndcg@10", "ndcg@10"), np.mean(values, axis=0).round(4).tolist(), strict=True))
            for name, values in (
                ("in_use", [one.measured(now) for one in asked]),
                ("fitted", [one.measured(fitted) for one in asked]),
                ("held_out", held),
            )
        },
    }
    print(json.dumps(told) if arguments.json else json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
