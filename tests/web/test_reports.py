"""Reports on the console: the evaluation, the record day by day, downloads; texts in both languages."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from shelfwise.schema import Event, EventType, now
from shelfwise.serve.app import create_app
from shelfwise.serve.web.console import reports
from shelfwise.serve.web.console.guard import COOKIE
from shelfwise.serve.web.console.measures import BEYOND
from shelfwise.serve.web.console.reports import Record, _spread, reports_page, sources
from shelfwise.serve.web.console.training import _STEPS
from shelfwise.serve.wire import Refused
from shelfwise.shop import Shop
from shelfwise.trust.accounts import Accounts

PASSWORD = "a long enough passphrase"


@pytest.fixture(scope="module")
def folder(drawn_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an evaluation beside the bundle's own, and impressions of two days, not the newest: those made the record
    longer than 60 days towards midnight, which is told by week."""
    folder = Path(shutil.copytree(drawn_shop, tmp_path_factory.mktemp("reports") / "shop"))
    with Shop(folder) as shop:
        shop.evaluate(only=["popularity", "item-knn"])
        shown = [
            Event(type=EventType.VIEW_ITEM_LIST, customer="c1", product="mug-red", time=now() - timedelta(days=day))
            for day in (8, 15)
        ]
        shop.append_events(shown)
        Accounts(shop.store.accounts).create("ann", PASSWORD)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with Shop(folder) as shop, TestClient(create_app(shop), base_url="http://localhost") as client:
        client.cookies.set(COOKIE, Accounts(shop.store.accounts).sign_in("ann", PASSWORD, "here"))
        yield client


def test_the_report_shows_every_model_with_intervals(folder: Path) -> None:
    with Shop(folder) as shop:
        page = reports_page(shop, "", "en", Record(shop))
        assert page.source is not None
        assert page.source.bundle
        assert page.headline
        names = {row[0] for row in page.parts[0].chart.rows}
        ours, counting = {"Engine", "Network"}, {"Popularity", "Buy again", "Item-kNN", "EASE", "Next basket"}
        assert ours | counting == names, "networks that only evaluation needs are no part of a training"
        assert all("–" in row[2] for row in page.parts[0].chart.rows)
        assert page.parts[0].segments
        assert page.beyond is not None
        assert page.beyond.head[1:] == ("Coverage", "Diversity", "Novelty", "Concentration")
        alone = reports_page(shop, sources(shop)[1].name, "zh", Record(shop))
        assert len(alone.parts[0].chart.rows) == 2
        assert alone.headline != page.headline, "in Chinese"
        with pytest.raises(Refused):
            reports_page(shop, "../../secret", "en", Record(shop))


def test_the_record_by_day_tells_shown_from_chosen(folder: Path) -> None:
    with Shop(folder) as shop:
        record = Record(shop)
        charts = record.charts("en")
        assert [chart.title for chart in charts] == ["Coverage", "Diversity", "Novelty", "Concentration"]
        assert [name for name, _ in charts[0].key] == ["A", "B"]
        shown = [row[1] for row in charts[0].rows if row[1] != "–"]
        assert shown == ["0.025", "0.025"], "one of forty products a day"
        assert record.charts("en")[0].rows == charts[0].rows


def test_spread_of_known_days() -> None:
    even = pl.DataFrame({"len": [5, 5], "fame": [10, 5], "category": ["a", "b"]})
    found = _spread(even, crowd=10, products=2)
    assert found == {"coverage": 1.0, "diversity": 0.5, "novelty": 0.5, "gini": 0.0}
    one = _spread(even.head(1), crowd=10, products=4)
    assert (one["coverage"], one["diversity"], one["novelty"], one["gini"]) == (0.25, 0.0, 0.0, 0.75)


def test_pages_and_downloads(client: TestClient, folder: Path) -> None:
    for lang in ("en", "zh"):
        page = client.get(f"/console/reports?lang={lang}")
        assert page.status_code == 200
        assert page.text.count("<svg class=") >= 8
        assert "style=" not in page.text
        assert "'unsafe" not in page.headers["content-security-policy"]
    with Shop(folder) as shop:
        names = [source.name for source in sources(shop)]
    for format, begin in (("html", b"<!doctype html>"), ("md", b"# "), ("json", b"{")):
        for name in names:
            got = client.get("/console/reports/download", params={"source": name, "format": format, "lang": "en"})
            assert got.status_code == 200
            assert got.content.lower().startswith(begin)
            assert f'filename="shelfwise-{name}.{format}"' in got.headers["content-disposition"]
    for wrong in ({"source": "../bundles", "format": "md"}, {"source": names[0], "format": "toml"}, {}):
        assert client.get("/console/reports/download", params=wrong).status_code == 404


def test_every_text_is_there_in_both_languages() -> None:
    web = Path(reports.__file__).parents[1]
    texts: dict[str, dict[str, str]] = json.loads((web / "locale" / "console_charts.json").read_text("utf-8"))
    for key, said in texts.items():
        assert set(said) == {"en", "zh"}, key
        holes = [set(re.findall(r"\{(\w+)\}", text)) for text in said.values()]
        assert holes[0] == holes[1], key
    used = [f"console.training.state.{one}" for one in ("running", "done", "failed", "cancelled")]
    used += [f"console.reports.record.{name}" for name in BEYOND]
    used += [f"console.training.step.{step}" for step in _STEPS.values()]
    used += [f"console.training.task.{task}" for task in ("home", "new", "visit", "product", "cart")]
    for name in ("training", "training_job", "training_progress", "training_curves", "compare", "reports"):
        page = (web / "templates" / "console" / f"{name}.html").read_text("utf-8")
        used += re.findall(r't\("(console\.[\w.]+\w)"[,)]', page)
    for name in ("measures", "training", "reports"):
        source = (web / "console" / f"{name}.py").read_text("utf-8")
        used += re.findall(r'say(?:ing\(lang\))?\("(console\.[\w.]+\w)"', source)
    every = {key for file in (web / "locale").glob("*.json") for key in json.loads(file.read_text("utf-8"))}
    assert [key for key in used if key not in every] == []
