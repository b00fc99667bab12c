"""The report: whole without the network, safe whatever a shop calls its things, and true to the figures."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from shelfwise.evaluation.plots import round_step
from shelfwise.evaluation.report import write_report
from shelfwise.evaluation.results import MAIN, Evaluation, Facts, Result, Segment, Table
from shelfwise.evaluation.wording import WORDS
from shelfwise.metrics import Estimate

EVIL = '<script>alert(1)</script> | *Pots* & "pans"'
NAMES = ["precision", "recall", "hit_rate", "ndcg", "mrr", "map"]


def estimate(mean: float) -> Estimate:
    return Estimate(mean, mean - 0.01, mean + 0.01, 500)


def result(name: str, mean: float, others: dict[str, float], *, baseline: bool) -> Result:
    return Result(
        name=name,
        baseline=baseline,
        fit_seconds=61.0,
        score_seconds=0.25,
        metrics={"accuracy@1": estimate(mean)} | {f"{n}@{k}": estimate(mean) for k in (10, 20) for n in NAMES},
        beyond={
            "coverage": estimate(0.4),
            "novelty": estimate(5.25),
            "gini": Estimate(0.9, math.nan, math.nan, 500),
        },
        against={other: estimate(mean - value) for other, value in others.items()},
    )


@pytest.fixture
def evaluation() -> Evaluation:
    means = {"engine": 0.3, "network": 0.15, "repurchase": 0.2, "popularity": 0.1}
    rows = tuple(
        result(
            name,
            mean,
            {other: value for other, value in means.items() if other in ("repurchase", "popularity") and other != name},
            baseline=name in ("repurchase", "popularity"),
        )
        for name, mean in means.items()
    )
    segments = tuple(
        Segment(
            group=group,
            name=name,
            size=7,
            n=120,
            results={row.name: {MAIN: estimate(row.metrics[MAIN].mean)} for row in rows},
        )
        for group, name in (("customers", "new"), ("products", "tail"), ("categories", EVIL))
    )
    return Evaluation(
        shop=EVIL,
        language="en",
        made=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        facts=Facts(
            products=1_000,
            customers=600,
            events=123_456,
            first=0,
            cutoff=86_400 * 30,
            until=86_400 * 44,
            days=14,
            with_text=900,
            with_photo=0,
            relevant="purchase",
        ),
        tables=(
            Table(key="everything", n=500, rows=rows, segments=segments),
            Table(key="new", n=300, rows=rows[:2], segments=()),
        ),
        curves={"network": [{"epoch": i, "loss": 5.0 / i, "ndcg": 0.1 if i == 3 else 0.05} for i in range(1, 6)]},
        settings={"name": EVIL, "width": 128},
    )


class Tags(HTMLParser):
    """Every element is closed; remembers what was opened and every attribute."""

    VOID = frozenset({"meta", "link", "br", "img", "polyline", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(path: Path) -> Tags:
    tags = Tags()
    tags.feed(path.read_text("utf-8"))
    assert not tags.open
    return tags


@pytest.mark.parametrize("language", sorted(WORDS))
def test_page_holds_everything_and_loads_nothing(evaluation: Evaluation, tmp_path: Path, language: str) -> None:
    page = write_report(evaluation, tmp_path, language)
    tags = parsed(page)
    assert "script" not in tags.seen
    assert not {name for name, _ in tags.attributes} & {"src", "href", "onclick", "onload", "srcset"}
    source = page.read_text("utf-8")
    assert not re.search(r"https?:|url\(|@import", source)
    assert ("lang", language) in tags.attributes
    text = " ".join(" ".join(tags.text).split())
    for shown in ("0.3000", "0.2900 – 0.3100", "1,000", "123,456", "128", "1970-01-31", "1970-02-14"):
        assert shown in text
    assert EVIL in text
    assert WORDS[language]["model:engine"] in text


def test_markdown_tells_the_same_and_stays_markdown(evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(evaluation, tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "<script>" not in text
    assert "| Engine | **0.3000** (0.2900 – 0.3100)" in text
    tables = [block for block in text.split("\n\n") if block.lstrip().startswith("|")]
    assert len(tables) >= 7
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().splitlines()}) == 1


def test_figures_are_kept_beside(evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(evaluation, tmp_path / "new" / "folder")
    plain = json.loads((tmp_path / "new" / "folder" / "evaluation.json").read_text("utf-8"))
    assert Evaluation.from_json(plain).to_json() == evaluation.to_json()
    assert plain["tables"][0]["rows"][0]["beyond"]["gini"]["low"] is None


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (Estimate(0.1, 0.05, 0.15, 9), "ahead of every baseline"),
        (Estimate(0.1, -0.05, 0.15, 9), "level with the best baseline"),
        (Estimate(-0.1, -0.2, -0.05, 9), "Buy again is still ahead"),
    ],
)
def test_headline_claims_no_more_than_the_interval_shows(
    evaluation: Evaluation, tmp_path: Path, difference: Estimate, said: str
) -> None:
    evaluation.tables[0].rows[0].against["repurchase"] = difference
    assert said in write_report(evaluation, tmp_path).read_text("utf-8")


@pytest.mark.parametrize(
    ("language", "stopped", "left"),
    [
        ("en", "Buy again was stopped after 0.5 minutes", "NCF was left out: baseline_minutes is 0."),
        ("zh", "复购训练 0.5 分钟后被叫停", "NCF未参与评测：baseline_minutes 为 0。"),
    ],
)
def test_who_was_stopped_or_left_out_is_said(
    evaluation: Evaluation, tmp_path: Path, language: str, stopped: str, left: str
) -> None:
    table = evaluation.tables[0]
    rows = tuple(replace(row, stopped_after=30.0) if row.name == "repurchase" else row for row in table.rows)
    tables = (replace(table, rows=rows), *evaluation.tables[1:])
    told = replace(evaluation, tables=tables, left_out={"ncf": "minutes", "described": "data"})
    again = Evaluation.from_json(json.loads(json.dumps(told.to_json())))
    assert again.left_out == told.left_out
    assert [row.stopped_after for row in again.rows] == [row.stopped_after for row in rows]
    page = write_report(again, tmp_path, language).read_text("utf-8")
    for text in (page, (tmp_path / "report.md").read_text("utf-8").replace("\\_", "_")):
        assert text.count(stopped) == 1
        assert text.count(left) == 1
        assert WORDS[language]["left_out:data"].format(name="LSTM + CNN") in text


def test_a_report_of_before_these_notes_reads(evaluation: Evaluation) -> None:
    plain = evaluation.to_json()
    del plain["left_out"]
    for table in plain["tables"]:
        for row in table["rows"]:
            del row["stopped_after"]
    assert Evaluation.from_json(plain).to_json() == evaluation.to_json()


def test_nothing_measured_still_makes_a_page(evaluation: Evaluation, tmp_path: Path) -> None:
    page = write_report(replace(evaluation, tables=()), tmp_path)
    assert WORDS["en"]["headline_none"] in page.read_text("utf-8")
    assert "polyline" in parsed(page).seen


def test_languages_have_the_same_words_with_the_same_gaps() -> None:
    english, chinese = WORDS["en"], WORDS["zh"]
    assert set(english) == set(chinese)
    for key, text in english.items():
        assert set(re.findall(r"{\w+}", chinese[key])) <= set(re.findall(r"{\w+}", text)), key
        assert text
        assert chinese[key]


@pytest.mark.parametrize("top", [1e-4, 0.0033, 0.02, 0.11, 0.5, 0.9999, 1.0])
def test_axes_have_a_few_round_ticks(top: float) -> None:
    assert 2 <= math.ceil(top / round_step(top) - 1e-9) <= 6


def asked() -> dict[str, Any]:
    """What `questions.measure` gives: one question well answered, one not."""

    def row(question: str, name: str, mean: float) -> dict[str, Any]:
        return {
            "question": question,
            "name": name,
            "ndcg@12": mean,
            "low": mean - 0.01,
            "high": mean + 0.01,
            "asked": 80,
        }

    return {
        "rows": [
            row("complements 6–50", "engine", 0.21),
            row("complements 6–50", "engine without texts", 0.17),
            row("complements 6–50", "co-occurrence 0.25", 0.15),
            row("complements 6–50", "ease", 0.12),
            row("cart", "engine", 0.3),
            row("cart", "ease", 0.31),
        ],
        "against": [
            {"question": "complements 6–50", "name": "engine", "difference": 0.06, "low": 0.04, "high": 0.08},
            {"question": "cart", "name": "engine", "difference": -0.01, "low": -0.02, "high": 0.01},
        ],
        "not_asked": {"substitutes": f"the catalogue has no categories {EVIL}"},
        "pages": [{"pages": "never sold", "overlap": 0.0312, "variants": 0.0, "distinct": 321, "asked": 100}],
        "dial": [{"diversity": 0.1, "ndcg@12": 0.2871, "distance": 0.654}],
        "cutoff": "2024-03-01",
        "days": 14,
        "seed": 0,
    }


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_question_is_in_the_report(evaluation: Evaluation, tmp_path: Path, language: str) -> None:
    write_report(replace(evaluation, questions=asked()), tmp_path, language)
    page, words = " ".join(parsed(tmp_path / "report.html").text), WORDS[language]
    markdown = (tmp_path / "report.md").read_text("utf-8")
    for text in (page, markdown):
        assert words["question:complements"] in text
        assert words["sold"].format(sales="6–50") in text
        assert words["model:engine without texts"] in text
        assert f"0.1500 {words['model:co-occurrence']} 0.25" in text  # the best baseline, not each
        assert "+0.0600" in text
        assert "−0.0100" in text
        assert "3.1%" in text
        assert "0.2871" in text
        assert words["question:substitutes"] in text  # not asked, and why
    assert "<script>alert" not in (tmp_path / "report.html").read_text("utf-8")
    again = Evaluation.from_json(json.loads((tmp_path / "evaluation.json").read_text("utf-8")))
    assert again.questions == asked()


def test_a_report_says_that_nothing_else_was_asked(evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(evaluation, tmp_path)
    assert "shelfwise evaluate --questions" in (tmp_path / "report.md").read_text("utf-8")
