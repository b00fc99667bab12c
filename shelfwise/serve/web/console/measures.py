"""What evaluations of bundles found, as charts and tables in the reader's language."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from shelfwise.evaluation.results import MAIN, Evaluation, Result, Table
from shelfwise.evaluation.wording import WORDS
from shelfwise.metrics import Estimate
from shelfwise.serve.web.chart import Bar, Chart, Line, bars, lines
from shelfwise.serve.web.render import known

Say = Callable[..., str]
BEYOND = ("coverage", "diversity", "novelty", "gini")
LETTERS = "ABCDEF"


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A table of figures: each cell (value, interval, is it the best of its column or row?)."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str, bool], ...]], ...]


def saying(lang: str) -> Say:
    """Texts of this language by key."""

    def say(key: str, **values: object) -> str:
        text: str = known(key)[lang]
        return text.format(**values)

    return say


def model_name(name: str, lang: str) -> str:
    return WORDS[lang].get(f"model:{name}", name)


def metric_name(name: str, lang: str) -> str:
    """ "ndcg@10" → "NDCG@10"."""
    stem, at, k = name.partition("@")
    return WORDS[lang].get(f"m:{stem}", WORDS[lang].get(stem, stem)) + at + k


def evaluation_of(bundle: Mapping[str, Any]) -> Evaluation | None:
    """What was measured of a bundle, None where the record was too young."""
    plain = bundle["metrics"].get("evaluation")
    return None if plain is None else Evaluation.from_json(plain)


def ours(table: Table) -> Result | None:
    """The engine, or what else of ours was measured."""
    mine = [row for row in table.rows if not row.baseline]
    return next((row for row in mine if row.name == "engine"), mine[0] if mine else None)


def figure(value: float, name: str = MAIN) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.2f}" if name == "novelty" else f"{value:.3f}"


def interval(one: Estimate, name: str = MAIN) -> str:
    return "" if math.isnan(one.low) else f"{figure(one.low, name)} – {figure(one.high, name)}"


def ranking_chart(
    estimates: Mapping[str, Estimate], mine: Iterable[str], lang: str, *, title: str, about: str, top: float = 0.0
) -> Chart:
    """NDCG@10 of every model, in the order given."""
    say, names = saying(lang), set(mine)
    return bars(
        [
            Bar(
                name=model_name(name, lang),
                value=estimates[name].mean,
                low=estimates[name].low,
                high=estimates[name].high,
                ours=name in names,
            )
            for name in estimates
        ],
        title=title,
        description=about,
        name=WORDS[lang]["model"],
        value=metric_name(MAIN, lang),
        interval=say("console.chart.interval"),
        number=figure,
        top=top,
    )


def best_first(table: Table) -> list[Result]:
    return sorted(table.rows, key=lambda row: -row.metrics[MAIN].mean)


def table_chart(table: Table, lang: str, title: str, *, top: float = 0.0) -> Chart:
    mine = [row.name for row in table.rows if not row.baseline]
    about = saying(lang)("console.chart.bars_about", n=f"{table.n:,}")
    estimates = {row.name: row.metrics[MAIN] for row in best_first(table)}
    return ranking_chart(estimates, mine, lang, title=title, about=about, top=top)


def metric_grid(table: Table, lang: str, title: str) -> Grid:
    """Every model, the best first, by every metric."""
    names = [name for name in table.rows[0].metrics if name.endswith(("@10", "@1"))] if table.rows else []
    best = {name: max((row.metrics[name].mean for row in table.rows), default=0.0) for name in names}
    return Grid(
        title=title,
        head=(WORDS[lang]["model"], *(metric_name(name, lang) for name in names)),
        rows=tuple(
            (
                model_name(row.name, lang),
                tuple(
                    (
                        figure(row.metrics[name].mean),
                        interval(row.metrics[name]),
                        row.metrics[name].mean == best[name] > 0,
                    )
                    for name in names
                ),
            )
            for row in best_first(table)
        ),
    )


def beyond_grid(table: Table, lang: str, title: str) -> Grid:
    """Coverage, diversity, novelty and concentration of every model."""
    return Grid(
        title=title,
        head=(WORDS[lang]["model"], *(WORDS[lang][name] for name in BEYOND)),
        rows=tuple(
            (
                model_name(row.name, lang),
                tuple((figure(one.mean, name), interval(one, name), False) for name, one in _beyond(row)),
            )
            for row in best_first(table)
        ),
    )


def _beyond(row: Result) -> list[tuple[str, Estimate]]:
    nothing = Estimate(math.nan, math.nan, math.nan, 0)
    return [(name, row.beyond.get(name, nothing)) for name in BEYOND]


def bundles_grid(measured: Sequence[tuple[str, Evaluation]], lang: str, title: str) -> Grid:
    """A row a metric, a column a bundle: what ours reached there. measured: (name of the bundle, its evaluation)."""
    rows = [row for _, one in measured if (row := ours(one.tables[0])) is not None]
    if not rows:
        return Grid(title=title, head=(), rows=())
    lines = []
    for name in (*(one for one in rows[0].metrics if one.endswith(("@10", "@1"))), *BEYOND):
        estimates = [{**row.metrics, **row.beyond}.get(name) for row in rows]
        means = [one.mean for one in estimates if one is not None and math.isfinite(one.mean)]
        best = max(means) if means and name not in BEYOND and len(set(means)) > 1 else None
        cells = tuple(
            ("–", "", False) if one is None else (figure(one.mean, name), interval(one, name), one.mean == best)
            for one in estimates
        )
        lines.append((metric_name(name, lang), cells))
    return Grid(
        title=title, head=(saying(lang)("console.compare.metric"), *(n for n, _ in measured)), rows=tuple(lines)
    )


def over_bundles(entries: Sequence[Mapping[str, Any]], lang: str) -> tuple[Chart, ...]:
    """NDCG@10 and what lies beyond it, from the oldest measured bundle to the newest; nothing with fewer than two.
    entries: as `Shop.bundles` gives them."""
    say = saying(lang)
    measured = []
    for entry in reversed(entries):
        evaluation = evaluation_of(entry)
        row = ours(evaluation.tables[0]) if evaluation is not None and evaluation.tables else None
        if row is not None:
            measured.append((datetime.fromisoformat(entry["created"]), row))
    if len(measured) < 2:
        return ()
    charts = []
    for name in (MAIN, *BEYOND):
        points = [(x, {**row.metrics, **row.beyond}.get(name)) for x, (_, row) in enumerate(measured)]
        there = [(float(x), one) for x, one in points if one is not None]
        charts.append(
            lines(
                [
                    Line(
                        name=metric_name(name, lang),
                        points=[(x, one.mean) for x, one in there],
                        band=[(x, one.low, one.high) for x, one in there if math.isfinite(one.low)],
                    )
                ],
                title=metric_name(name, lang),
                description=WORDS[lang].get(f"{name}_help", say("console.reports.ndcg_help")),
                x_name=say("console.bundle"),
                number=partial(figure, name=name),
                x_text=lambda x: f"{measured[round(x)][0]:%m-%d %H:%M}",
                height=190,
            )
        )
    return tuple(charts)


def curve_charts(curves: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], lang: str) -> tuple[Chart, ...]:
    """Validation NDCG@10 and loss by epoch. curves: (name, epochs as `metrics["network"]` keeps them)."""
    say = saying(lang)
    charts = []
    for key, title in (("ndcg", "validation"), ("loss", "loss")):
        series = [
            Line(
                name=name,
                letter=LETTERS[place % len(LETTERS)],
                points=[(float(one["epoch"]), math.nan if one.get(key) is None else float(one[key])) for one in epochs],
            )
            for place, (name, epochs) in enumerate(curves)
        ]
        if any(sum(math.isfinite(y) for _, y in line.points) > 1 for line in series):
            charts.append(
                lines(
                    series,
                    title=WORDS[lang][title],
                    description=say(f"console.training.{key}_about"),
                    x_name=WORDS[lang]["epoch"],
                    number=figure,
                )
            )
    return tuple(charts)
