"""What answers before anything was learned counts as learning would: lately first, likes alone, nobody ignored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from shelfwise.fallback import unlearned
from shelfwise.models.encoders import VectorCache
from shelfwise.schema import Event, EventType, Product
from shelfwise.shop import Shop


def test_what_was_bought_lately_is_popular_and_what_was_disliked_is_not(tmp_path: Path) -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    quiet = {"text_encoder": "none", "image_encoder": "none", "ignored_customers": ["tester"]}
    with Shop.create(tmp_path / "shop", **quiet) as shop:
        shop.put_products([Product(id=id, title=id) for id in ("once", "now", "bad", "tested")])

        def event(kind: EventType, customer: str, product: str, days: float, value: float | None = None) -> Event:
            when = now - timedelta(days=days)
            return Event(type=kind, customer=customer, product=product, time=when, value=value)

        shop.append_events(
            [event(EventType.PURCHASE, f"a{i}", "once", 85) for i in range(6)]
            + [event(EventType.PURCHASE, f"b{i}", "now", 1) for i in range(5)]
            + [event(EventType.RATE, f"c{i}", "bad", 1, value=1) for i in range(9)]
            + [event(EventType.PURCHASE, "tester", "tested", day) for day in range(9)]
        )
        bundle = unlearned(shop.store, shop.folder, shop.settings, VectorCache(shop.folder / "cache"))
        weight = dict(zip(bundle.items.outside, bundle.popularity.weight.tolist(), strict=True))
    assert weight["now"] > weight["once"] > 0
    assert weight["bad"] == weight["tested"] == 0
