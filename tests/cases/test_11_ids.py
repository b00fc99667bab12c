"""Case 11: ids and GTINs that spreadsheets or pandas changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from shelfwise.shop import Shop


def _products(shop: Shop) -> set[str]:
    return set().union(*(frame["product"].to_list() for frame in shop.store.event_frames()))


def _customers(shop: Shop) -> set[str]:
    return set().union(*(frame["customer"].to_list() for frame in shop.store.event_frames())) - {""}


def test_ids_of_the_case_are_text_as_given(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    folder, shop = case(11), new_shop()
    shop.load_products(folder / "feed.csv")
    ids = ["0017", "17", "12.0", "12", "90.750", "90.75", "219E01", "9007199254740993", "500", "1E3"]
    assert shop.store.product_ids() == ids
    report = shop.load_events(folder / "events.csv")
    assert report.kept == 10
    assert "17.0 is 17" in str([issue.examples for issue in report.issues if issue.kind == "float_ids_met"])
    assert _products(shop) == {"0017", "17", "12.0", "12", "90.750", "219E01", "9007199254740993", "500", "1E3"}
    assert _customers(shop) == {"42", "00042"}
    assert "unknown_product" not in {issue.kind for issue in shop.check().issues}


def test_floats_of_pandas_are_whole_numbers(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    folder = case(11)
    for feed in ("feed.csv", "feed-float-ids.parquet"):
        shop = new_shop()
        shop.load_products(folder / feed)
        report = shop.load_events(folder / "events-from-pandas.parquet")
        assert report.kept == 4
        assert _customers(shop) == {"12345", "77", "9007199254740992"}
        assert _products(shop) == {"17", "12"}
        assert {issue.kind for issue in report.issues} >= {"float_ids", "rounded_ids"}
        assert "unknown_product" not in {issue.kind for issue in shop.check().issues}


def test_numbers_of_json_keep_their_digits(
    case: Callable[[int], Path], tmp_path: Path, new_shop: Callable[..., Shop]
) -> None:
    shop = new_shop()
    shop.load_products(case(11) / "feed-numeric.jsonl")
    assert shop.store.product_ids() == ["9007199254740993", "17", "0017"]
    path = tmp_path / "long.jsonl"
    path.write_text('{"id": 12345678901234567890123, "title": "x"}\n{"id": "00000000000000000000001", "title": "y"}\n')
    shop.load_products(path)
    assert {"12345678901234567890123", "00000000000000000000001"} <= set(shop.store.product_ids())


def test_a_csv_of_pandas(tmp_path: Path, new_shop: Callable[..., Shop]) -> None:
    """Every id 12.0: whole numbers. One id that is not: as given, and only what the feed lacks is read otherwise."""
    shop = new_shop()
    (tmp_path / "feed.csv").write_text("id,title\n1,a\n2,b\n3.0,c\n")
    shop.load_products(tmp_path / "feed.csv")
    (tmp_path / "log.csv").write_text("time,user_id,product\n2026-01-01,7.0,1.0\n2026-01-02,,2.0\n2026-01-02,8.0,1.0\n")
    shop_log = shop.load_events(tmp_path / "log.csv", mapping={"session": "=s"})
    assert "float_ids" in {issue.kind for issue in shop_log.issues}
    assert _products(shop) == {"1", "2"}
    assert _customers(shop) == {"7", "8"}
    (tmp_path / "mixed.csv").write_text(
        "time,user_id,product\n2026-02-01,7,1.0\n2026-02-02,x.0,3.0\n2026-02-03,9.0,z\n"
    )
    shop.load_events(tmp_path / "mixed.csv")
    assert _products(shop) == {"1", "2", "3.0", "z"}
    assert _customers(shop) == {"7", "8", "x.0", "9.0"}
    (tmp_path / "float.csv").write_text("id,title,item_group_id\n21.0,a,5.0\n22.0,b,5.0\n")
    report = shop.load_products(tmp_path / "float.csv")
    assert "float_ids" in {issue.kind for issue in report.issues}
    assert shop.store.products(["21", "22"])["21"].item_group_id == "5"


def test_a_gtin_of_a_spreadsheet_is_no_barcode(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop()
    report = shop.load_products(case(11) / "feed.csv")
    damaged = next(issue for issue in report.issues if issue.kind == "damaged_gtin")
    assert damaged.examples == ((2, "4.01234E+12"),)
    products = shop.store.products(["0017", "17", "12.0"])
    assert [product.gtin for product in products.values()] == ["", "4006381333931", "04006381333931"]


def test_check_says_which_change_makes_ids_meet(tmp_path: Path, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop()
    pl.DataFrame({"sku": [f"00{n}" for n in range(10, 30)], "title": ["x"] * 20}).write_csv(tmp_path / "feed.csv")
    shop.load_products(tmp_path / "feed.csv")
    log = pl.DataFrame({"article": [str(n) for n in range(10, 30)], "user_id": ["u"] * 20, "time": ["2026-03-01"] * 20})
    log.write_csv(tmp_path / "log.csv")
    shop.load_events(tmp_path / "log.csv", mapping={"product": "article"})
    issue = next(issue for issue in shop.check().issues if issue.kind == "ids_meet_after")
    assert issue.count == 20
    assert "--map 'product=article|zeros:4'" in issue.explanation
    mended = new_shop()
    mended.load_products(tmp_path / "feed.csv")
    mended.load_events(tmp_path / "log.csv", mapping={"product": "article|zeros:4"})
    assert "unknown_product" not in {issue.kind for issue in mended.check().issues}
