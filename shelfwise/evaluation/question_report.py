"""Every question of `questions.measure` as a report shows it: one line a question, what each part of the engine is
worth, and the best baseline beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shelfwise.evaluation.engine_answers import WITHOUT
from shelfwise.evaluation.wording import WORDS
from shelfwise.metrics import Estimate

ENGINE = "engine"
OURS = (ENGINE, *(f"engine without {name}" for name in WITHOUT), "complements")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question. estimates: NDCG@12 by name, ours and the baselines. best: the best baseline. difference: the engine
    less that, paired over questions; None where the engine was not measured."""

    name: str
    asked: int
    estimates: dict[str, Estimate]
    best: str
    difference: Estimate | None

    @property
    def shown(self) -> dict[str, Estimate]:
        """Ours, then the best baseline."""
        names = [*(name for name in OURS if name in self.estimates), self.best]
        return {name: self.estimates[name] for name in names}


def asked_of(plain: Mapping[str, Any]) -> list[Asked]:
    """The questions of `measure`'s JSON in their order."""
    asked = []
    against = {(row["question"], row["name"]): row for row in plain["against"]}
    for question in dict.fromkeys(row["question"] for row in plain["rows"]):
        rows = [row for row in plain["rows"] if row["question"] == question]
        n = int(rows[0]["asked"])
        estimates = {row["name"]: Estimate(row["ndcg@12"], row["low"], row["high"], n) for row in rows}
        baselines = [name for name in estimates if name not in OURS]
        row = against.get((question, ENGINE))
        difference = None if row is None else Estimate(row["difference"], row["low"], row["high"], n)
        best = max(baselines, key=lambda name: estimates[name].mean)
        asked.append(Asked(name=question, asked=n, estimates=estimates, best=best, difference=difference))
    return asked


def question_name(name: str, language: str) -> str:
    """ "complements 6–50" → the question's words and the part's."""
    words = WORDS[language]
    whole = next((key for key in sorted(_named(words), key=len, reverse=True) if name.startswith(key)), name)
    part = name[len(whole) :].strip()
    text = words.get(f"question:{whole}", whole)
    return f"{text} ({words['sold'].format(sales=part)})" if part else text


def baseline_name(name: str, language: str) -> str:
    """ "co-occurrence 0.25" → its words and the power of popularity."""
    words = WORDS[language]
    stem, _, power = name.rpartition(" ")
    if f"model:{stem}" in words and power.replace(".", "").isdigit():
        return f"{words[f'model:{stem}']} {power}"
    return words.get(f"model:{name}", name)


def not_asked(plain: Mapping[str, Any], language: str) -> list[str]:
    """A sentence for each question that was not asked."""
    return [f"{question_name(name, language)}: {why}" for name, why in plain["not_asked"].items()]


def _named(words: Mapping[str, str]) -> list[str]:
    return [key.removeprefix("question:") for key in words if key.startswith("question:")]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table in words. rows: the first cell's text, then (value, interval or "", is it the better one?)."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str, bool], ...]], ...]


def grids(plain: Mapping[str, Any], language: str) -> list[Grid]:
    """The questions, what two pages share, and what diversity costs: those that were measured."""
    made = [_questions(plain, language), _pages(plain, language), _dial(plain, language)]
    return [grid for grid in made if grid.rows]


def _questions(plain: Mapping[str, Any], language: str) -> Grid:
    words, asked = WORDS[language], asked_of(plain)
    ours = [name for name in OURS if any(name in one.estimates for one in asked)]
    rows = []
    for one in asked:
        best = max(one.shown, key=lambda name: one.shown[name].mean)
        estimates = [one.estimates.get(name) for name in ours]
        cells = [
            ("–", "", False) if estimate is None else (*_said(estimate), name == best)
            for name, estimate in zip(ours, estimates, strict=True)
        ]
        value, interval = _said(one.estimates[one.best])
        baseline = (f"{value} {baseline_name(one.best, language)}", interval, one.best == best)
        gap = one.difference
        ahead = ("–", "", False) if gap is None else (*_said(gap, "+.4f"), gap.low > 0 or gap.high < 0)
        # The engine beside the best baseline first, then what its parts are worth.
        cells = [(f"{one.asked:,}", "", False), *cells[:1], baseline, ahead, *cells[1:]]
        rows.append((question_name(one.name, language), tuple(cells)))
    named = [words[f"model:{name}"] for name in ours]
    head = (words["asked"], *named[:1], words["best_baseline"], words["ahead_by"], *named[1:])
    note = words["questions_note"].format(days=plain["days"], cutoff=plain["cutoff"])
    return Grid(title=words["questions"], note=note, head=(words["question"], *head), rows=tuple(rows))


def _pages(plain: Mapping[str, Any], language: str) -> Grid:
    words = WORDS[language]
    rows = []
    for row in plain.get("pages", ()):
        name = row["pages"]
        title = words.get(f"pages:{name}") or words["sold"].format(sales=name.removeprefix("sold "))
        shares = [(f"{row[key]:.1%}", "", False) for key in ("overlap", "variants")]
        rows.append((title, ((f"{row['asked']:,}", "", False), *shares, (f"{row['distinct']:,}", "", False))))
    head = ("", words["asked"], words["pages_overlap"], words["pages_variants"], words["pages_distinct"])
    return Grid(title=words["pages"], note=words["pages_note"], head=head, rows=tuple(rows))


def _dial(plain: Mapping[str, Any], language: str) -> Grid:
    words = WORDS[language]
    rows = tuple(
        (f"{row['diversity']:g}", ((f"{row['ndcg@12']:.4f}", "", False), (f"{row['distance']:.3f}", "", False)))
        for row in plain.get("dial", ())
    )
    head = (words["dial_value"], "NDCG@12", words["distance"])
    return Grid(title=words["dial"], note=words["dial_note"], head=head, rows=rows)


def _said(one: Estimate, form: str = ".4f") -> tuple[str, str]:
    mean, low, high = (f"{value:{form}}".replace("-", "−") for value in (one.mean, one.low, one.high))
    return mean, f"{low} – {high}"
