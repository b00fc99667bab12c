"""The engine's forecasts on drawn demand of many kinds, beside the per-series baselines: where does it lose?

    python benchmarks/demand_stress.py [--kind jump …] [--seeds 2] [--peers] [--json]

Each kind is a panel drawn by chance with one trait that real shops have; nothing of it is known to the model. `lost` is
the engine's WQL over that of the best baseline, less one. --peers: statsforecast's AutoETS and AutoTheta too (slow).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np

from shelfwise.plan.demand.benchmark import measure
from shelfwise.plan.demand.panel import FREQUENCIES, Panel

Array = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator], tuple[Panel, int]]


def counts(rng: np.random.Generator, mean: Array, spread: float = 8.0) -> Array:
    """Negative binomial counts of this mean; the less `spread`, the more they vary."""
    mean = np.maximum(mean, 1e-6)
    return rng.poisson(mean * rng.gamma(spread, 1 / spread, mean.shape)).astype(np.float32)


def panel(y: Array, frequency: str, known: dict[str, Array] | None = None, **facts: Array) -> Panel:
    ids = tuple(f"p{i}" for i in range(len(y)))
    season = FREQUENCIES[frequency][1]
    known = known or {}
    return Panel(ids=ids, y=y, start=date(2021, 1, 4), frequency=frequency, season=season, known=known, static=facts)


def levels(rng: np.random.Generator, n: int, middle: float = 20.0, spread: float = 1.0) -> Array:
    return np.exp(rng.normal(np.log(middle), spread, n))[:, None]


def yearly(rng: np.random.Generator, n: int, t: int, period: float, strength: float = 0.4) -> Array:
    """A season of two harmonics, each product's own."""
    at = 2 * np.pi * np.arange(t) / period
    waves = [rng.normal(0, strength / k, (n, 1)) * np.sin(k * at + rng.normal(0, 0.4, (n, 1))) for k in (1, 2)]
    return np.asarray(np.exp(np.sum(waves, axis=0)))


def jump(rng: np.random.Generator) -> tuple[Panel, int]:
    t = 112
    by = np.where(np.arange(t) >= t - 8 - 6, 2.0, 1.0)
    return panel(counts(rng, levels(rng, 80, 60) * by, 200), "week"), 8


def fall(rng: np.random.Generator) -> tuple[Panel, int]:
    t = 160
    by = np.where(np.arange(t) >= t - 8 - 5, 0.5, 1.0)
    return panel(counts(rng, levels(rng, 80, 60) * by * yearly(rng, 80, t, 52, 0.2), 200), "week"), 8


def passed(rng: np.random.Generator) -> tuple[Panel, int]:
    t = 120
    at = np.arange(t) - (t - 8)
    by = np.where((at >= -16) & (at < -6), 0.4, 1.0)
    return panel(counts(rng, levels(rng, 80, 60) * by, 200), "week"), 8


def jumps(rng: np.random.Generator) -> tuple[Panel, int]:
    n, t = 200, 120
    mean = np.repeat(levels(rng, n), t, 1)
    for i in range(n):
        for _ in range(rng.poisson(1.5)):
            mean[i, rng.integers(5, t) :] *= np.exp(rng.normal(0, 0.8))
    return panel(counts(rng, mean, 12), "week"), 8


def growing(rng: np.random.Generator) -> tuple[Panel, int]:
    n, t = 120, 110
    rate = rng.normal(0.008, 0.008, (n, 1))
    return panel(counts(rng, levels(rng, n) * np.exp(rate * (np.arange(t) - t)), 20), "week"), 13


def walk(rng: np.random.Generator) -> tuple[Panel, int]:
    n, t = 150, 130
    return panel(counts(rng, levels(rng, n, 100) * np.exp(rng.normal(0, 0.08, (n, t)).cumsum(1)), 60), "week"), 8


def months(rng: np.random.Generator) -> tuple[Panel, int]:
    n, t = 80, 84
    rate = rng.normal(0.004, 0.006, (n, 1))
    mean = levels(rng, n, 80) * np.exp(rate * np.arange(t)) * yearly(rng, n, t, 12)
    return panel(counts(rng, mean, 30), "month"), 12


def departments(rng: np.random.Generator) -> tuple[Panel, int]:
    """Weeks of a chain's departments, with Easter, Thanksgiving and Christmas, from February on."""
    n, t = 200, 143
    week = (np.arange(t) + 5) % 52
    mean = (
        levels(rng, n, 8_000, 1.2) * yearly(rng, n, t, 52, 0.15) * np.exp(rng.normal(0, 0.001, (n, 1)) * np.arange(t))
    )
    for place, size in ((47, 0.3), (51, 0.5), (50, 0.4), (6, 0.15), (13, 0.12)):
        mean *= np.exp(np.where(week == place, 1.0, 0.0) * rng.gamma(1.0, size, (n, 1)))
    noise = np.exp(rng.normal(0, 0.05, (n, t)) + 0.03 * rng.normal(0, 1, (1, t)))
    return panel((mean * noise).astype(np.float32), "week"), 13


def promoted(rng: np.random.Generator) -> tuple[Panel, int]:
    """Promotions and prices known ahead, whose effect is each product's own."""
    n, t, h = 200, 130, 8
    on = (rng.random((n, t)) < 0.12).astype(np.float32)
    price = (5 * (1 - 0.3 * on * rng.random((n, t)))).astype(np.float32)
    mean = levels(rng, n) * np.exp(on * rng.gamma(4, 0.25, (n, 1))) * (price / 5) ** -rng.gamma(4, 0.5, (n, 1))
    return panel(counts(rng, mean, 15), "week", {"promo": on, "price": price}), h


def daily(rng: np.random.Generator) -> tuple[Panel, int]:
    """Days of a grocer's products: weekday, year, snaps of price, from one a week to fifty a day."""
    n, t = 250, 730
    weekday = (
        np.exp(rng.normal(0, 0.25, (n, 7)))[:, np.arange(t) % 7]
        * np.array([0.9, 0.85, 0.9, 0.95, 1.1, 1.4, 1.3])[np.arange(t) % 7]
    )
    price = np.repeat(np.exp(rng.normal(0, 0.08, (n, t // 14 + 1))), 14, 1)[:, :t].astype(np.float32)
    drift = np.exp(rng.normal(0, 0.02, (n, t)).cumsum(1))
    mean = levels(rng, n, 1.5, 1.3) * weekday * price**-2.0 * drift * yearly(rng, n, t, 364, 0.15)
    return panel(counts(rng, mean, 3), "day", {"price": price}), 28


def sparse(rng: np.random.Generator) -> tuple[Panel, int]:
    n, t = 300, 100
    sold = rng.random((n, t)) < rng.beta(1, 4, (n, 1))
    return panel((sold * counts(rng, levels(rng, n, 4) * np.ones((1, t)), 2)).astype(np.float32), "week"), 8


def begun(rng: np.random.Generator) -> tuple[Panel, int]:
    """Half the products begin (and settle) or end somewhere in the span."""
    n, t = 200, 110
    y = counts(rng, levels(rng, n) * np.ones((1, t)), 10)
    for i in range(0, n, 2):
        start = int(rng.integers(10, t - 12))
        if i % 4:
            y[i, start:] = counts(rng, y[i, start:].mean() * np.linspace(1, 0, t - start) ** 2, 10)
        else:
            y[i, :start] = np.nan
            y[i, start:] = counts(rng, y[i, start:].mean() * (1 + np.exp(-np.arange(t - start) / 5)), 10)
    return panel(y, "week"), 8


def few(rng: np.random.Generator) -> tuple[Panel, int]:
    n, t = 8, 150
    mean = levels(rng, n, 300) * yearly(rng, n, t, 52, 0.3) * np.exp(rng.normal(0, 0.02, (n, t)).cumsum(1))
    return panel(counts(rng, mean, 60), "week"), 8


def short(rng: np.random.Generator) -> tuple[Panel, int]:
    n, t = 200, 34
    return panel(counts(rng, levels(rng, n) * np.exp(rng.normal(0, 0.05, (n, t)).cumsum(1)), 12), "week"), 8


def weekdays(rng: np.random.Generator) -> tuple[Panel, int]:
    """A few shops by day with strong weekdays, closed on Sundays, pay days, and growth."""
    n, t = 40, 420
    at = np.arange(t)
    week = rng.dirichlet(np.full(6, 6.0), n) * 7
    shape = np.concatenate([week, np.zeros((n, 1))], axis=1)[:, at % 7]
    pay = 1 + 0.3 * ((at % 30) < 3)
    return panel(counts(rng, levels(rng, n, 60) * shape * pay * np.exp(0.0008 * at), 30), "day"), 28


def fresh(rng: np.random.Generator) -> tuple[Panel, int]:
    """Days of which the level of all products moved two weeks before the end."""
    n, t = 80, 300
    week = np.array([0.9, 0.8, 0.9, 1.0, 1.1, 1.3, 1.0])[np.arange(t) % 7]
    by = np.where(np.arange(t) >= t - 14 - 14, 1.8, 1.0)
    return panel(counts(rng, levels(rng, n, 30) * week * by, 100), "day"), 14


KINDS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        jump, fall, passed, jumps, growing, walk, months, departments, promoted, daily, sparse, begun, few, short,
        weekdays, fresh,
    )
}  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--kind", action="append", choices=tuple(KINDS))
    ask.add_argument("--seeds", type=int, default=1)
    ask.add_argument("--peers", action="store_true")
    ask.add_argument("--only", action="append", help="only this row; repeatable")
    ask.add_argument("--json", action="store_true")
    given = ask.parse_args()
    for kind in given.kind or KINDS:
        for seed in range(given.seeds):
            drawn, horizon = KINDS[kind](np.random.default_rng(seed))
            peers = {}
            if given.peers:
                from demand_peers import by_statsforecast

                season = drawn.season if drawn.season < 25 else 1
                peers = {
                    name: lambda p, h, name=name, season=season: by_statsforecast(p, h, name, season)
                    for name in ("AutoETS", "AutoTheta")
                }
            rows = measure(drawn, horizon, only=given.only, peers=peers)["rows"]
            if given.json:
                print(json.dumps({"kind": kind, "seed": seed, "rows": rows}), flush=True)
                continue
            engine = next((row for row in rows if row["name"] == "engine"), rows[0])
            best = min((row for row in rows if row is not engine), key=lambda row: row["wql"], default=engine)
            lost = engine["wql"] / best["wql"] - 1
            print(
                f"{kind:12s} {seed} engine {engine['wql']:.4f} mase {engine['mase']:.3f} bias {engine['bias']:+.2f}"
                f" cover {engine['cover80']:.3f} {engine['cover90']:.3f} best {best['wql']:.4f} {best['mase']:.3f}"
                f" {best['name']}, lost {lost:+.1%}, {engine['fit_seconds']:.0f} s",
                flush=True,
            )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
