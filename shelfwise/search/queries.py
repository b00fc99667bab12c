"""What shoppers ask for: recorded queries counted, and how each would be answered now.

A recorded search does not say what it found; each query is asked again instead, so that one mended since (by a synonym,
a rule, a new product) no longer counts as failing. Queries that may name a person are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from shelfwise.schema import EventType, from_micros
from shelfwise.search.query.synonyms import LOOKED_BACK, TURNED_TO
from shelfwise.search.query.text import normal
from shelfwise.search.request import SearchRequest
from shelfwise.search.search import Search
from shelfwise.search.suggest import private


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryCount:
    """A query in its commonest spelling, forms that `normal` makes one counted as one. times: how often. people:
    distinct customers, and sessions of nobody known. turned: times its asker turned to a product within the hour."""

    query: str
    times: int
    people: int
    turned: int
    last: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a query is answered now. total: products found; 0 where only popular products could be shown instead.
    corrected: the spelling looked for instead. relaxed: see SearchAnswer."""

    counted: QueryCount
    total: int
    corrected: str = ""
    did_you_mean: str = ""
    relaxed: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """none, corrected, relaxed (something was given up) or found."""
        if not self.total:
            return "none"
        if self.corrected or self.did_you_mean:
            return "corrected"
        return "relaxed" if self.relaxed else "found"


def count_queries(events: pl.DataFrame, limit: int = 200) -> list[QueryCount]:
    """The commonest queries of events (EVENT_COLUMNS, searches and what people turned to), most asked first."""
    who = pl.when(pl.col("customer") != "").then("c" + pl.col("customer")).otherwise("s" + pl.col("session"))
    people = events.select("time", "type", "query", "product", who.alias("person"))
    search = people.filter((pl.col("type") == str(EventType.SEARCH)) & (pl.col("query") != ""))
    if search.is_empty():
        return []
    said = {query: normal(query) for query in search["query"].unique().to_list()}
    said = {query: "" if private(form) else form for query, form in said.items()}
    search = (
        search.select("person", "time", "query", said=pl.col("query").replace_strict(said, return_dtype=pl.String))
        .with_columns(pl.col("time").alias("turned"))
        .sort("person", "time", maintain_order=True)
    )
    turned = people.filter(pl.col("type").is_in([str(kind) for kind in TURNED_TO]) & (pl.col("product") != ""))
    led = (
        turned.select("person", pl.col("time").alias("turned"))
        .sort("person", "turned")
        .join_asof(search, on="turned", by="person", tolerance=LOOKED_BACK, check_sortedness=False)
        .filter(pl.col("said").is_not_null())
        .select("person", "time", "said")
        .unique()
        .group_by("said")
        .agg(pl.len().alias("led"))
    )
    counted = (
        search.filter(pl.col("said") != "")
        .group_by("said")
        .agg(
            pl.col("query").mode().sort().first(),
            pl.len().alias("times"),
            pl.col("person").n_unique().alias("people"),
            pl.col("time").max().alias("last"),
        )
        .join(led, on="said", how="left")
        .sort(["times", "people", "said"], descending=[True, True, False])
        .head(limit)
    )
    return [
        QueryCount(query=query, times=times, people=several, turned=turned or 0, last=from_micros(last))
        for _, query, times, several, last, turned in counted.iter_rows()
    ]


def outcomes(search: Search, queries: Sequence[QueryCount]) -> list[Outcome]:
    """How each is answered now, for a stranger."""
    outcomes_now = []
    for one in queries:
        answer = search.search(SearchRequest(query=one.query, k=1, personal=False))
        outcomes_now.append(
            Outcome(
                counted=one,
                total=0 if "popular" in answer.relaxed else answer.total,
                corrected=answer.corrected,
                did_you_mean=answer.did_you_mean,
                relaxed=answer.relaxed,
            )
        )
    return outcomes_now
