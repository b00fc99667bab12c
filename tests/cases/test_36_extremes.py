"""Case 36: one wholesale buyer and one tester lead nothing for anybody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from events_of import text_of

from shelfwise.catalogue.filters import Filters
from shelfwise.shop import Shop


def test_the_shop_of_the_case(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    folder = case(36)
    shop = new_shop(minutes=0.3, epochs=2, validation_days=10)
    shop.load_products(folder / "feed.csv")
    report = shop.load_events(folder / "log.csv")
    assert "hotel-1: 40 purchases, up to 5,000 pieces" in text_of(report, "outlandish_quantity")
    assert "shop-owner-test: 600" in text_of(report, "large_share")
    shop.train()
    lists = [shop.recommend(customer=customer, k=10) for customer in ("c000", "c001", "c002", "c003", "c004")]
    popular = shop.recommend(session="visitor-1", k=10)
    teas = Filters(categories=("Food > Tea",))
    category = shop.recommend(session="visitor-2", k=10, surface="category", filters=teas)
    for answer in (*lists, popular, category):
        shown = [item.product for item in answer.items]
        assert len(shown) == 10
        assert not {"T19", "W19"} & set(shown)
    assert "B19" not in [item.product for item in popular.items[:3]]
    best = [hit.product for hit in shop.search("tea", sort="best_selling", k=10).items]
    assert "T19" not in best
    again = shop.recommend(customer="hotel-1", k=10).items[0]
    assert again.product == "T19"
    assert "You buy this" in again.reason
    sold = shop.store.sold()
    assert sold["T19"] == 1.0
    assert sold["B19"] > 200


def test_who_is_ignored_is_answered_but_teaches_nothing(tmp_path: Path, new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(ignored_customers=["tester"])
    lines = [f"2026-01-{1 + n % 28:02}T10:00:{n % 60:02}Z,tester,purchase,t,1" for n in range(80)]
    lines += [f"2026-01-{1 + n % 28:02},c{n},purchase,p{n % 3},1" for n in range(30)]
    (tmp_path / "log.csv").write_text("\n".join(["time,customer,type,product,quantity", *lines, ""]))
    shop.load_events(tmp_path / "log.csv")
    from shelfwise.training.dataset import read_dataset

    dataset = read_dataset(shop.store, None, shop.settings)
    assert "t" not in dataset.items
    assert shop.store.sold(shop.settings.ignored_customers).keys() == {"p0", "p1", "p2"}
    assert shop.counts().events == 110
