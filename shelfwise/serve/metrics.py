"""What Prometheus reads of a server: requests, their times, events taken in, the catalogue.

With several workers each writes its numbers to files that all of them read (prometheus_client's
multiprocess mode, on when PROMETHEUS_MULTIPROC_DIR names a folder before this module is imported), so that any
worker answers for all. Labels carry routes, methods and statuses only: no customer, no product, no key.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
#: Seconds; dense where an answer should lie (3 ms) and where it hurts (10 ms).
_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class Answers:
    """Requests of some routes. refused: answered with a status of 400 to 499; failed: of 500 and more. within[i]: how
    many took at most the i-th of the histogram's bounds, the last of which is infinite."""

    count: float = 0.0
    refused: float = 0.0
    failed: float = 0.0
    within: tuple[float, ...] = (0.0,) * (len(_BUCKETS) + 1)

    def __add__(self, more: Answers) -> Answers:
        within = tuple(a + b for a, b in zip(self.within, more.within, strict=True))
        return Answers(self.count + more.count, self.refused + more.refused, self.failed + more.failed, within)

    def __sub__(self, before: Answers) -> Answers:
        within = tuple(a - b for a, b in zip(self.within, before.within, strict=True))
        return Answers(self.count - before.count, self.refused - before.refused, self.failed - before.failed, within)

    def percentile(self, share: float) -> float:
        """Seconds within which this share of them was answered: linear within a bucket, as Prometheus's
        histogram_quantile; infinite beyond the last bound, NaN without any."""
        wanted = share * self.within[-1]
        if self.within[-1] <= 0:
            return math.nan
        low, below = 0.0, 0.0
        for bound, upto in zip(_BUCKETS, self.within, strict=False):
            if upto >= wanted:
                return low + (bound - low) * (wanted - below) / (upto - below) if upto > below else bound
            low, below = bound, upto
        return math.inf


@dataclass(frozen=True, slots=True)
class Totals:
    """All workers' counts since the server began. routes: route → what was answered there."""

    events: float
    routes: Mapping[str, Answers]


class Metrics:
    """One app's counters. Cheap to write: a few microseconds a request."""

    def __init__(self) -> None:
        self._shared = bool(values.ValueClass._multiprocess)
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "shelfwise_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "shelfwise_request_seconds",
            "Seconds from the request's head to its answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._events = Counter("shelfwise_events_accepted", "Events recorded, durable.", registry=self._registry)
        self._duplicates = Counter(
            "shelfwise_events_duplicate", "Events sent again and not recorded twice.", registry=self._registry
        )
        self._searches = Counter("shelfwise_searches", "Searches answered.", registry=self._registry)
        self._empty = Counter("shelfwise_searches_empty", "Searches that found nothing.", registry=self._registry)
        self._unfollowed = Counter(
            "shelfwise_follow_failures",
            "Times that a worker could not follow the catalogue, the rules or the bundle in use.",
            registry=self._registry,
        )
        self._products = Gauge(
            "shelfwise_products", "Products in the catalogue.", registry=self._registry, multiprocess_mode="livemax"
        )
        self._workers = Gauge(
            "shelfwise_workers", "Server processes running.", registry=self._registry, multiprocess_mode="livesum"
        )
        self._workers.set(1)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answer. `route` is the route's template, never the path as sent."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def ingested(self, accepted: int, duplicates: int) -> None:
        self._events.inc(accepted)
        self._duplicates.inc(duplicates)

    def searched(self, products: int) -> None:
        self._searches.inc()
        if not products:
            self._empty.inc()

    def not_followed(self) -> None:
        self._unfollowed.inc()

    def catalogue(self, products: int) -> None:
        self._products.set(products)

    def text(self) -> bytes:
        """Prometheus's text format, all workers together."""
        return generate_latest(self._whole(dead=True))

    def totals(self) -> Totals:
        """The counts behind the console's overview: some milliseconds, more with more workers."""
        events = 0.0
        counts: dict[str, list[float]] = {}
        within: dict[str, dict[float, float]] = {}
        for name, labels, value in self._samples():
            if name == "shelfwise_events_accepted_total":
                events += value
            elif name == "shelfwise_requests_total":
                one = counts.setdefault(labels["route"], [0.0, 0.0, 0.0])
                one[0] += value
                one[1] += value if labels["status"].startswith("4") else 0.0
                one[2] += value if labels["status"].startswith("5") else 0.0
            elif name == "shelfwise_request_seconds_bucket":
                within.setdefault(labels["route"], {})[float(labels["le"])] = value
        # A route's two counters are written one after the other: between them only one may be there.
        return Totals(
            events,
            {
                route: Answers(count, refused, failed, tuple(value for _, value in sorted(within[route].items())))
                for route, (count, refused, failed) in counts.items()
                if len(within.get(route, ())) == len(_BUCKETS) + 1
            },
        )

    def _samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        for metric in self._whole(dead=False).collect():
            for sample in metric.samples:
                yield sample.name, sample.labels, float(sample.value)

    def _whole(self, *, dead: bool) -> CollectorRegistry:
        """All workers together. dead: take the gauges of those back that can no longer do so."""
        if not self._shared:
            return self._registry
        for path in Path(os.environ[DIRECTORY]).glob("gauge_live*.db") if dead else ():
            number = int(path.stem.rpartition("_")[2])
            if not _runs(number):  # killed hard: it could not take its gauges back itself
                multiprocess.mark_process_dead(number)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return registry

    def stopped(self) -> None:
        """This worker ends: its gauges no longer count."""
        if self._shared:
            multiprocess.mark_process_dead(os.getpid())


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
