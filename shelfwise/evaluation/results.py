"""What an evaluation found, as records: kept as JSON beside the report, read back to draw it again."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shelfwise.metrics import Estimate

MAIN = "ndcg@10"  # what models are ordered and compared by
SEGMENT_METRICS: tuple[str, ...] = ("ndcg@10", "recall@10", "hit_rate@10")


@dataclass(frozen=True, kw_only=True)
class Result:
    """A model's row of a table. metrics: "ndcg@10" → mean and interval. beyond: "coverage", "diversity", "novelty"
    over the top 10, and "gini", which has no interval. against: model minus baseline, paired, for `MAIN`.
    stopped_after: seconds, where a limit of time ended its fit early."""

    name: str
    baseline: bool
    fit_seconds: float
    score_seconds: float
    metrics: dict[str, Estimate]
    beyond: dict[str, Estimate]
    against: dict[str, Estimate]
    stopped_after: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The means alone, flat, as benchmarks print them. (`Evaluation.to_json` has the intervals.)"""
        means = {name: estimate.mean for name, estimate in (self.metrics | self.beyond).items()}
        stopped = {} if self.stopped_after is None else {"stopped_after": self.stopped_after}
        seconds = {"fit_seconds": self.fit_seconds, "score_seconds": self.score_seconds}
        return {"name": self.name, **means, **seconds, **stopped}


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Some customers, or some products: every model on them alone.

    group: "customers", "products" or "categories". name: "new", "old", "head", "tail" or a category's name.
    size: what tells the segment apart (at most or over how many events; how many products). n: customers measured.
    results: model → metric of SEGMENT_METRICS → mean and interval.
    """

    group: str
    name: str
    size: int
    n: int
    results: dict[str, dict[str, Estimate]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One question put to every model. key: "everything" (repeats allowed) or "new" (products new to the customer)."""

    key: str
    n: int
    rows: tuple[Result, ...]
    segments: tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was measured on. Times are seconds since 1970 UTC; the window is [cutoff, until)."""

    products: int
    customers: int
    events: int
    first: int
    cutoff: int
    until: int
    days: int
    with_text: int
    with_photo: int
    relevant: str  # "purchase", or "any" in a record without purchases


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything a report shows. curves: model → one entry an epoch (epoch, seconds, loss, ndcg where measured).
    left_out: model → why it was not measured, "minutes" (the setting baseline_minutes is 0) or "data".
    questions: what `questions.measure` found on the same days; None where they were not asked."""

    shop: str
    language: str
    made: datetime
    facts: Facts
    tables: tuple[Table, ...]
    curves: dict[str, list[dict[str, float]]]
    settings: dict[str, Any]
    left_out: dict[str, str] = field(default_factory=dict)
    questions: dict[str, Any] | None = None

    @property
    def rows(self) -> tuple[Result, ...]:
        """The rows of the first table, everything a customer bought."""
        return self.tables[0].rows

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN becomes None, since JSON has none. `from_json` reads it back."""
        plain = {
            "shop": self.shop,
            "language": self.language,
            "made": self.made.isoformat(timespec="seconds"),
            "facts": dataclasses.asdict(self.facts),
            "tables": [
                {
                    "key": table.key,
                    "n": table.n,
                    "rows": [dataclasses.asdict(row) for row in table.rows],
                    "segments": [dataclasses.asdict(segment) for segment in table.segments],
                }
                for table in self.tables
            ],
            "curves": self.curves,
            "settings": self.settings,
            "left_out": self.left_out,
            "questions": self.questions,
        }
        cleaned: dict[str, Any] = _without_nan(plain)
        return cleaned

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Evaluation:
        return cls(
            shop=plain["shop"],
            language=plain["language"],
            made=datetime.fromisoformat(plain["made"]),
            facts=Facts(**plain["facts"]),
            tables=tuple(
                Table(
                    key=table["key"],
                    n=table["n"],
                    rows=tuple(Result(**{**row, **_all_estimates(row)}) for row in table["rows"]),
                    segments=tuple(
                        Segment(**{**one, "results": {name: _estimates(row) for name, row in one["results"].items()}})
                        for one in table["segments"]
                    ),
                )
                for table in plain["tables"]
            ),
            curves=plain["curves"],
            settings=plain["settings"],
            left_out=plain.get("left_out", {}),
            questions=plain.get("questions"),
        )


def _all_estimates(row: dict[str, Any]) -> dict[str, dict[str, Estimate]]:
    return {name: _estimates(row[name]) for name in ("metrics", "beyond", "against")}


def _estimates(plain: dict[str, Any]) -> dict[str, Estimate]:
    def number(value: float | None) -> float:
        return math.nan if value is None else value

    return {
        name: Estimate(number(one["mean"]), number(one["low"]), number(one["high"]), one["n"])
        for name, one in plain.items()
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
