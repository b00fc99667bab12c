"""An evaluation as a page: report.html (one file, nothing from outside), report.md, and the figures as evaluation.json.

Charts are plain HTML and inline SVG drawn by the template, so text keeps its size on a phone. What a shop named
(products' categories, its own name, settings) is escaped by the template engine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from shelfwise.evaluation.plots import Chart, Curve, curve, highest, intervals, number
from shelfwise.evaluation.question_report import Grid, asked_of, baseline_name, grids, not_asked, question_name
from shelfwise.evaluation.results import MAIN, Evaluation, Facts, Result, Segment, Table
from shelfwise.evaluation.wording import WORDS
from shelfwise.metrics import Estimate
from shelfwise.models.bundle import Bundle
from shelfwise.settings import Settings

_BEYOND = ("coverage", "diversity", "novelty", "gini")


def write_report(evaluation: Evaluation, folder: Path, language: str = "") -> Path:
    """Write report.html, report.md and evaluation.json into `folder` (made if need be); the path of the page.

    language: "en" or "zh"; the evaluation's own when empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = _Page(evaluation, language or evaluation.language)
    path = folder / "report.html"
    path.write_text(page.html(), "utf-8")
    (folder / "report.md").write_text(page.markdown(), "utf-8")
    (folder / "evaluation.json").write_text(json.dumps(evaluation.to_json(), ensure_ascii=False, indent=1), "utf-8")
    return path


def write_training_report(bundle: Bundle, settings: Settings, folder: Path) -> Path:
    """The report that training ends with; the path of the page.

    It shows what the pipeline kept in the bundle: metrics["evaluation"] (an `Evaluation` as JSON; absent where the
    record was too young to measure) and metrics["network"], the network's epochs.
    """
    curve = list(bundle.metrics.get("network", ()))
    if plain := bundle.metrics.get("evaluation"):
        evaluation = Evaluation.from_json(plain)
    else:
        learned = bundle.learned
        evaluation = Evaluation(
            shop=settings.name,
            language=settings.language,
            made=datetime.now(UTC),
            facts=Facts(
                products=learned["products"],
                customers=learned["customers"],
                events=learned["events"],
                first=learned["first"],
                cutoff=learned["last"],
                until=learned["last"],
                days=settings.validation_days,
                with_text=0,
                with_photo=0,
                relevant="any",
            ),
            tables=(),
            curves={},
            settings=settings.model_dump(mode="json", exclude={"store", "host", "port", "workers"}),
        )
    if curve and "network" not in evaluation.curves:
        evaluation = replace(evaluation, curves={**evaluation.curves, "network": curve})
    return write_report(evaluation, folder, settings.language)


def verdict(evaluation: Evaluation, language: str) -> tuple[str, str]:
    """The report's first two sentences: who is ahead, and by how much."""
    page = _Page(evaluation, language)
    return page.headline, page.verdict


def notes(evaluation: Evaluation, language: str) -> list[str]:
    """What a reader has to know of some rows: whose fit was stopped by time, who was left out and why."""
    words = WORDS[language]

    def called(name: str) -> str:
        return words.get(f"model:{name}", name)

    return [
        *(
            words["stopped"].format(name=called(row.name), minutes=f"{row.stopped_after / 60:.1f}")
            for row in (evaluation.tables[0].rows if evaluation.tables else ())
            if row.stopped_after is not None
        ),
        *(words[f"left_out:{why}"].format(name=called(name)) for name, why in evaluation.left_out.items()),
    ]


class _Page:
    """What the template shows, in one language."""

    def __init__(self, evaluation: Evaluation, language: str) -> None:
        self.evaluation = evaluation
        self.language = language
        self.words = WORDS[language]

    def html(self) -> str:
        environment = Environment(
            loader=PackageLoader("shelfwise.evaluation", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("report.html").render(page=self, w=self.words, lang=self.language) + "\n"

    # Words and numbers

    def model(self, name: str) -> str:
        return self.words.get(f"model:{name}", name)

    def metric(self, name: str) -> str:
        kind, _, k = name.partition("@")
        return f"{self.words[f'm:{kind}']}@{k}"

    def number(self, value: float, digits: int = 4) -> str:
        return number(value, digits)

    def signed(self, value: float) -> str:
        return "–" if math.isnan(value) else f"{value:+.4f}".replace("-", "−")

    def count(self, value: int) -> str:
        return f"{value:,}"

    def seconds(self, value: float) -> str:
        if value < 60:
            return f"{value:.1f} s"
        return f"{value / 60:.1f} min"

    def date(self, seconds: int) -> str:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"

    @property
    def made(self) -> str:
        return f"{self.evaluation.made:%Y-%m-%d %H:%M} UTC"

    # What is said first

    @property
    def ordered(self) -> list[Result]:
        return _ordered(self.evaluation.tables[0]) if self.evaluation.tables else []

    @property
    def comparison(self) -> tuple[str, Result | None, Result | None]:
        """Our best model beside the best baseline: "better", "worse" or "unclear"; "only" where one of them is
        missing, "none" where nothing was measured."""
        rows = self.ordered
        if not rows:
            return "none", None, None
        ours = next((row for row in rows if not row.baseline), None)
        theirs = next((row for row in rows if row.baseline), None)
        if ours is None or theirs is None or theirs.name not in ours.against:
            return "only", rows[0], None
        difference = ours.against[theirs.name]
        kind = "better" if difference.low > 0 else "worse" if difference.high < 0 else "unclear"
        return kind, ours, theirs

    @property
    def headline(self) -> str:
        kind, ours, theirs = self.comparison
        return self.words[f"headline_{kind}"].format(
            name="" if ours is None else self.model(ours.name),
            baseline="" if theirs is None else self.model(theirs.name),
        )

    @property
    def verdict(self) -> str:
        kind, ours, theirs = self.comparison
        if ours is None:
            return self.words[f"verdict_{kind}"]
        shown = ours.metrics[MAIN] if theirs is None else ours.against[theirs.name]
        sign = self.number if theirs is None else self.signed
        other = math.nan if theirs is None else theirs.metrics[MAIN].mean
        return self.words[f"verdict_{kind}"].format(
            name=self.model(ours.name),
            baseline="" if theirs is None else self.model(theirs.name),
            mean=self.number(ours.metrics[MAIN].mean),
            other=self.number(other),
            percent=f"{shown.mean / other:.0%}" if other > 0 else "–",
            difference=sign(shown.mean),
            low=sign(shown.low),
            high=sign(shown.high),
        )

    @property
    def figures(self) -> list[tuple[str, str]]:
        facts, words = self.evaluation.facts, self.words
        figures = [(self.count(facts.products), words["products"]), (self.count(facts.events), words["events"])]
        if self.evaluation.tables:
            figures.insert(0, (self.count(self.evaluation.tables[0].n), words["customers_measured"]))
            figures.append((str(facts.days), words["window"]))
        return figures

    @property
    def notes(self) -> list[str]:
        return notes(self.evaluation, self.language)

    # Tables and charts

    def best_first(self, table: Table) -> list[Result]:
        return _ordered(table)

    def heading(self, table: Table) -> tuple[str, str]:
        key = table.key
        if key == "everything" and self.evaluation.facts.relevant == "any":
            key = "everything_any"
        return self.words[key], self.words[f"{key}_note"].format(n=self.count(table.n))

    def chart(self, table: Table) -> Chart:
        rows = _ordered(table)
        estimates = {row.name: row.metrics[MAIN] for row in rows}
        return self._chart(self.metric(MAIN), "", estimates, highest(estimates.values()))

    def segments(self, table: Table) -> list[Chart]:
        """All on one scale, so that a newer customer's bar may be held against an older one's."""
        parts = table.segments
        if not parts:
            return []
        top = highest(one[MAIN] for part in parts for one in part.results.values())
        order = [row.name for row in _ordered(table)]
        return [
            self._chart(*self.segment_words(part), {name: part.results[name][MAIN] for name in order}, top)
            for part in parts
        ]

    def segment_words(self, segment: Segment) -> tuple[str, str]:
        key = f"{segment.group}:{segment.name}"
        title = self.words.get(key, segment.name)
        size = self.words[f"{key}_size" if key in self.words else "categories_size"]
        people = self.words["n_customers"].format(n=self.count(segment.n))
        return title, f"{size.format(size=self.count(segment.size))} · {people}"

    def _chart(self, title: str, note: str, estimates: Mapping[str, Estimate], top: float) -> Chart:
        ours = {row.name for table in self.evaluation.tables for row in table.rows if not row.baseline}
        return intervals(title, note, estimates, top, ours=ours, called=self.model)

    def table(self, table: Table, k: int) -> list[tuple[Result, list[tuple[Estimate, bool]]]]:
        """Every model's estimates of `columns(k)`, and whether it is the best of its column."""
        names = self.columns(table, k)
        best = {name: max(row.metrics[name].mean for row in table.rows) for name in names}
        return [
            (row, [(row.metrics[name], row.metrics[name].mean == best[name] > 0) for name in names])
            for row in _ordered(table)
        ]

    def columns(self, table: Table, k: int) -> list[str]:
        return [
            name
            for name in table.rows[0].metrics
            if name.endswith(f"@{k}") or (k == self.ks[0] and name.endswith("@1"))
        ]

    @property
    def ks(self) -> list[int]:
        return sorted({int(name.partition("@")[2]) for row in self.ordered for name in row.metrics} - {1})

    def rival(self, table: Table) -> Result | None:
        """The best baseline of a table: what every other model is held against."""
        return next((row for row in _ordered(table) if row.baseline), None)

    def beyond(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """(model, [(value, interval)]) for each of `_BEYOND`."""
        groups = []
        for row in self.ordered:
            cells = []
            for name in _BEYOND:
                one = row.beyond.get(name)
                if one is None or math.isnan(one.mean):
                    cells.append(("–", ""))
                    continue
                digits = 2 if name == "novelty" else 3
                interval = (
                    "" if math.isnan(one.low) else f"{self.number(one.low, digits)} – {self.number(one.high, digits)}"
                )
                cells.append((self.number(one.mean, digits), interval))
            groups.append((self.model(row.name), cells))
        return groups

    # Every question its own answer

    @property
    def asked(self) -> list[Grid]:
        plain = self.evaluation.questions
        return [] if plain is None else grids(plain, self.language)

    @property
    def not_asked(self) -> list[str]:
        plain = self.evaluation.questions
        if plain is None:
            return [self.words["questions_none"]]
        return not_asked(plain, self.language)

    def question_charts(self) -> list[Chart]:
        """What each part of the engine is worth for each question, and its best baseline."""
        charts = []
        for one in asked_of(self.evaluation.questions or {"rows": (), "against": ()}):
            title, note = question_name(one.name, self.language), f"{self.words['asked']}: {one.asked:,}"
            ours = [name for name in one.shown if name != one.best]

            def called(name: str) -> str:
                return baseline_name(name, self.language)

            charts.append(intervals(title, note, one.shown, highest(one.shown.values()), ours=ours, called=called))
        return charts

    @property
    def beyond_names(self) -> tuple[str, ...]:
        return _BEYOND

    def curves(self) -> list[tuple[str, list[Curve]]]:
        """(model, its lines) for every model that learned over epochs."""
        curves = []
        for name, history in self.evaluation.curves.items():
            lines = []
            for key, title in (("loss", self.words["loss"]), ("ndcg", self.words["validation"])):
                values = [
                    (epoch["epoch"], epoch[key])
                    for epoch in history
                    if epoch.get(key) is not None and math.isfinite(epoch[key])
                ]
                if values:
                    best = key == "ndcg"
                    lines.append(curve(title, values, self.words["best_epoch" if best else "last_value"], best=best))
            if lines:
                curves.append((self.model(name), lines))
        return curves

    def data(self) -> list[tuple[str, str]]:
        facts, words = self.evaluation.facts, self.words
        facts_shown = [(words["first"], self.date(facts.first)), (words["cutoff"], self.date(facts.cutoff))]
        if self.evaluation.tables:
            facts_shown.append((words["until"], self.date(facts.until)))
        facts_shown.append((words["customers"], self.count(facts.customers)))
        if facts.with_text:
            facts_shown.append((words["with_text"], self.count(facts.with_text)))
        if facts.with_photo:
            facts_shown.append((words["with_photo"], self.count(facts.with_photo)))
        return facts_shown

    # The same in Markdown

    def markdown(self) -> str:
        words, evaluation = self.words, self.evaluation
        lines = [
            f"# {_plain(evaluation.shop)}: {words['title']}",
            "",
            f"{words['made']}: {self.made}",
            "",
            self.verdict,
        ]
        lines += ["", " · ".join(f"{value} {name}" for value, name in self.figures)]
        lines += [line for note in self.notes for line in ("", _plain(note))]
        for table in evaluation.tables:
            title, note = self.heading(table)
            lines += ["", f"## {title}", "", note]
            for k in self.ks:
                names = self.columns(table, k)
                body = [
                    [self.model(row.name), *(self._cell(estimate, best) for estimate, best in cells)]
                    for row, cells in self.table(table, k)
                ]
                lines += ["", *_grid([words["model"], *map(self.metric, names)], body)]
            rival = self.rival(table)
            if rival is not None and len(table.rows) > 1:
                body = [
                    [self.model(row.name), self._difference(row.against[rival.name])]
                    for row in _ordered(table)
                    if rival.name in row.against
                ]
                title = words["against"].format(name=self.model(rival.name))
                lines += ["", *_grid([words["model"], title], body), "", words["against_note"]]
            if table.segments:
                names = [row.name for row in _ordered(table)]
                body = [
                    [
                        ", ".join(self.segment_words(one)),
                        *(self._cell(one.results[name][MAIN], False) for name in names),
                    ]
                    for one in table.segments
                ]
                lines += ["", f"### {words['segments']} ({self.metric(MAIN)})", ""]
                lines += _grid(["", *map(self.model, names)], body)
        if self.ordered:
            lines += self._asked_markdown()
            lines += ["", f"## {words['beyond']}", ""]
            body = [[name, *(f"{value} ({i})" if i else value for value, i in cells)] for name, cells in self.beyond()]
            lines += _grid([words["model"], *(f"{words[name]}: {words[f'{name}_help']}" for name in _BEYOND)], body)
        for name, curves in self.curves():
            lines += ["", f"## {words['curves']}: {_plain(name)}", ""]
            lines += [f"- {curve.title}: {curve.summary}" for curve in curves]
        if self.ordered:
            lines += ["", f"## {words['cost']}", ""]
            body = [
                [self.model(r.name), self.seconds(r.fit_seconds), self.seconds(r.score_seconds)] for r in self.ordered
            ]
            lines += _grid([words["model"], words["fit_seconds"], words["score_seconds"]], body)
        lines += ["", f"## {words['data']}", "", *(f"- {name}: {value}" for name, value in self.data())]
        lines += ["", f"## {words['settings']}", ""]
        lines += [f"- `{name}` = {_plain(value)}" for name, value in evaluation.settings.items()]
        if self.ordered:
            lines += ["", f"## {words['reading']}", "", *(f"{words[f'reading_{i}']}\n" for i in range(1, 5))]
        return "\n".join(lines).rstrip() + "\n"

    def _asked_markdown(self) -> list[str]:
        lines = []
        for grid in self.asked:
            body = [
                [first, *(f"{value} ({interval})" if interval else value for value, interval, _ in cells)]
                for first, cells in grid.rows
            ]
            lines += ["", f"## {grid.title}", "", grid.note, "", *_grid(list(grid.head), body)]
        if self.not_asked:
            lines += ["", f"### {self.words['not_asked']}", "", *(f"- {_plain(one)}" for one in self.not_asked)]
        return lines

    def _cell(self, one: Estimate, best: bool) -> str:
        mean = f"**{self.number(one.mean)}**" if best else self.number(one.mean)
        return f"{mean} ({self.number(one.low)} – {self.number(one.high)})"

    def _difference(self, one: Estimate) -> str:
        text = f"{self.signed(one.mean)} ({self.signed(one.low)} – {self.signed(one.high)})"
        return f"**{text}**" if one.low > 0 or one.high < 0 else text


def _ordered(table: Table) -> list[Result]:
    """Best first."""
    return sorted(table.rows, key=lambda row: -row.metrics[MAIN].mean)


def _grid(head: list[str], body: list[list[str]]) -> list[str]:
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *body]
    return ["| " + " | ".join(_plain(cell) if row is not rows[1] else cell for cell in row) + " |" for row in rows]


def _plain(value: Any) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, one line. (Bold of our own stays.)"""
    text = " ".join(str(value).split())
    for sign, harmless in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("`", "\\`"), ("[", "\\["), ("_", "\\_")):
        text = text.replace(sign, harmless)
    return text
