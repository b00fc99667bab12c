"""Loading through a shop: columns named by its settings, and what is kept of what was said."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from shelfwise.cli.app import app
from shelfwise.schema import EventType
from shelfwise.shop import Shop

LOG = "wer,was,wann,cents\nann,tea,2024-05-01,250\nbob,tea,2024-05-02,x\n,tea,2024-05-03,100\n"
COLUMNS = {"customer": "wer", "product": "was", "time": "wann", "price": "cents|/100"}


def test_settings_name_the_columns_and_an_option_goes_before(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "feed.csv").write_text("nr,name,other\nA-1,Tea,Cha\n")
    with Shop.create(tmp_path / "shop", event_columns=COLUMNS, product_columns={"id": "nr"}, durable=False) as shop:
        assert shop.load_events(tmp_path / "log.csv").kept == 2
        (event,) = shop.last_events(customer="ann", n=5)
        assert (event.product, event.price, event.type) == ("tea", 2.5, EventType.PURCHASE)
        shop.load_events(tmp_path / "log.csv", mapping={"customer": "was", "product": "wer"})
        assert {event.product for event in shop.last_events(customer="tea", n=5)} == {"ann", "bob"}
        shop.load_products(tmp_path / "feed.csv")
        assert shop.title("A-1") == "Tea"
        shop.load_products(tmp_path / "feed.csv", mapping={"title": "other"})
        assert shop.title("A-1") == "Cha"


def test_ga4_needs_no_columns_of_the_settings(tmp_path: Path) -> None:
    told = {
        "event_name": "view_item",
        "event_timestamp": "1714564800000000",
        "user_pseudo_id": "v1",
        "items": [{"item_id": "tea", "price": 2.0}],
    }
    (tmp_path / "ga4.jsonl").write_text(json.dumps(told) + "\n")
    with Shop.create(tmp_path / "shop", event_columns=COLUMNS, durable=False) as shop:
        report = shop.load_events(tmp_path / "ga4.jsonl")
        assert (report.kept, report.facts["format"]) == (1, "ga4")


def test_check_tells_what_was_dropped_in_loading(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    with Shop.create(tmp_path / "shop", event_columns=COLUMNS, durable=False) as shop:
        shop.load_events(tmp_path / "log.csv")
        shop.load_events(tmp_path / "log.csv")
        again, first = shop.check().loads
    assert (first.read, first.kept, first.dropped) == (3, 2, 1)
    assert (again.kept, again.dropped) == (0, 3)
    (dropped,) = [issue for issue in first.issues if issue.outcome == "dropped"]
    assert dropped.kind == "invalid_customer"
    assert [line for line, _ in dropped.examples] == [4]
    written = (tmp_path / "shop" / "reports" / "quality.md").read_text("utf-8")
    assert written.count("# Loaded: log.csv") == 2
    assert "whose event is it?" in written
    result = CliRunner().invoke(app, ["check", "--shop", str(tmp_path / "shop")])
    assert result.exit_code == 0, result.output
    assert "Loaded: log.csv: 3 read, 2 kept, 1 dropped, 0 flagged" in result.output
    assert "invalid_customer" in result.output
    machine = CliRunner().invoke(app, ["check", "--json", "--shop", str(tmp_path / "shop")])
    shown = json.loads(machine.stdout)
    assert [load["kept"] for load in shown["loads"]] == [0, 2]
