"""How long one answer takes in process, and where the time goes: one thread, a different customer each time.

    OMP_NUM_THREADS=1 python benchmarks/engine.py --shop PATH [--customers 500] [--json]
    OMP_NUM_THREADS=1 python benchmarks/engine.py --products 10000 [--customers 500] [--json]

With --shop the shop's own record and bundle answer (`Shop.recommend`); without it a bundle learned from a simulated
catalogue does (`Engine.recommend`). Each customer is asked once for warmth and once on the clock; stages are timed in a
third pass by wrapping what the answer calls, so that the totals do not pay for the stopwatch.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine
from shelfwise.engine.request import Request
from shelfwise.engine.state import states_of
from shelfwise.models.bundle import Bundle
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.ease import Ease
from shelfwise.models.network import NetworkConfig
from shelfwise.models.popularity import Popularity
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import IdMap
from shelfwise.shop import Shop
from shelfwise.testing import simulated_catalogue
from shelfwise.training.network_module import NetworkModule


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    values = np.asarray(seconds) * 1000
    return {
        "mean_ms": round(float(values.mean()), 3),
        "p50_ms": round(float(np.quantile(values, 0.5)), 3),
        "p99_ms": round(float(np.quantile(values, 0.99)), 3),
    }


@contextmanager
def stopwatch(stages: Sequence[tuple[str, Any, str]]) -> Iterator[dict[str, list[float]]]:
    """Time each call of (name, owner, attribute); a stage within another is counted in both."""
    times: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*values: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return call(*values, **named)
            finally:
                times[name].append(time.perf_counter() - begun)

        return run

    kept = []
    for name, owner, attribute in stages:
        inside = owner.__dict__ if hasattr(owner, "__dict__") else {}
        kept.append((owner, attribute, inside.get(attribute), attribute in inside))
        object.__setattr__(owner, attribute, timed(name, getattr(owner, attribute)))
    try:
        yield times
    finally:
        for owner, attribute, before, own in kept:
            if own:
                object.__setattr__(owner, attribute, before)
            else:
                object.__delattr__(owner, attribute)


def stages_of(engine: Engine, shop: Shop | None) -> list[tuple[str, Any, str]]:
    stages: list[tuple[str, Any, str]] = []
    if shop is not None:
        stages += [("read the record", shop.store, "last_rows"), ("state", engine, "state")]
    stages.append(("hydrate", engine, "_hydrate"))
    stages += [(f"  {source.name}: prepare", source, "prepare") for source in engine.sources]
    stages.append(("retrieve", engine, "_retrieve"))
    stages += [(f"  {source.name}: retrieve", source, "retrieve") for source in engine.sources]
    stages.append(("features", engine, "_features"))
    stages += [(f"  {source.name}: compute", source, "compute") for source in engine.sources]
    if engine.bundle.ranker is not None:
        stages.append(("rank (and rank again for reasons)", engine.bundle.ranker, "score"))
    return [*stages, ("arrange", engine, "_arrange"), ("explain", engine._explainer, "reasons")]


def measured(
    ask: Callable[[Any], Any], who: Sequence[Any], stages: Sequence[tuple[str, Any, str]]
) -> dict[str, dict[str, float]]:
    for each in who:
        ask(each)
    times, spent_by_cpu = [], time.process_time()
    for each in who:
        begun = time.perf_counter()
        ask(each)
        times.append(time.perf_counter() - begun)
    spent_by_cpu = time.process_time() - spent_by_cpu
    with stopwatch(stages) as spent:
        for each in who:
            ask(each)
    # A stage may run more than once an answer: its time is the sum.
    by_stage = {
        name: quantiles(np.asarray(spent[name]).reshape(len(who), -1).sum(1))
        for name, _, _ in stages
        if spent[name] and len(spent[name]) % len(who) == 0
    } | {
        name: {"mean_ms": round(sum(spent[name]) / len(who) * 1000, 3)}
        for name, _, _ in stages
        if len(spent[name]) % len(who)
    }
    # What others run on the machine adds to the times, hardly to the processor's.
    return {"all": quantiles(times) | {"cpu_ms": round(spent_by_cpu / len(who) * 1000, 3)}} | by_stage


def of_shop(folder: Path, customers: int) -> dict[str, Any]:
    begun = time.perf_counter()
    with Shop(folder) as shop:
        engine = shop.engine
        started = time.perf_counter() - begun
        who = np.random.default_rng(0).permutation(sorted(shop.store.customers()))[:customers].tolist()
        found = measured(lambda name: shop.recommend(customer=name), who, stages_of(engine, shop))
        return {"products": shop.product_count, "start_s": round(started, 2), "customers": len(who), "times": found}


def simulated(n: int, *, events_each: int = 120, seed: int = 0) -> tuple[Engine, Sequence[Any]]:
    """An engine over a simulated catalogue, and states to ask it with. No training: times do not depend on weights."""
    made = simulated_catalogue(n, customers=2500, events_each=events_each, seed=seed)
    items, sequences = made.items, made.sequences
    config = NetworkConfig(items=n, text=0 if items.text is None else items.text.shape[1])
    bundle = Bundle.make(
        items=IdMap([f"p{row}" for row in range(n)]),
        features=items,
        artefacts={
            "popularity": Popularity(half_life=30.0).fit(sequences, items),
            "repurchase": Repurchase(half_life=90.0, rhythm=0.25).fit(sequences, items),
            "cooccurrence": Cooccurrence().fit(sequences, items),
            "ease": Ease().fit(sequences, items),
            "network": NetworkModule(config, items).frozen(),
        },
        until=int(sequences.time.max()),
    )
    return Engine(bundle, Catalogue(bundle)), states_of(sequences, bundle.until)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path)
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.shop:
        result = of_shop(arguments.shop, arguments.customers)
    else:
        engine, states = simulated(arguments.products)
        request = Request(customer="c")
        who = states[: arguments.customers]
        found = measured(lambda state: engine.recommend(request, state), who, stages_of(engine, None))
        result = {"products": arguments.products, "customers": len(who), "times": found}
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in result.items() if name != "times"))
    for name, row in result["times"].items():
        print(f"{name:36}", "  ".join(f"{key} {value:7.3f}" for key, value in row.items()))


if __name__ == "__main__":
    main()
