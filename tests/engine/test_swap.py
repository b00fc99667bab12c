"""Another bundle comes into use while requests are answered: none of them fails."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from shelfwise.schema import Event, EventType, Product
from shelfwise.shop import Shop

from .conftest import Simulated

SWAPS = 8


def test_no_request_fails_while_bundles_are_swapped(simulated: Simulated, tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop:
        bundle = simulated.bundle
        shop.put_products([Product(id=name, title=name, price=1.0) for name in bundle.items.outside])
        when = datetime.fromtimestamp(bundle.until, UTC)
        shop.append_events(
            [
                Event(type=EventType.PURCHASE, customer=f"c{who}", product=bundle.items.outside[7 * who], time=when)
                for who in range(20)
            ]
        )
        versions = [shop._bundles.add(bundle), shop._bundles.add(replace(bundle))]
        assert len(set(versions)) == 2
        shop.refresh()
        used: list[str] = []
        failed: list[Exception] = []

        def swap() -> None:
            try:
                for turn in range(SWAPS):
                    shop.use_bundle(versions[turn % 2])
                    # A product that no bundle knows, before one swap and after another.
                    shop.put_products([Product(id=f"new-{turn}", title="New", price=2.0)])
                    shop.refresh()
                    used.append(shop.bundle_version)
            except Exception as error:
                failed.append(error)

        other = threading.Thread(target=swap)
        other.start()
        answered = 0
        while other.is_alive() or answered < 50:
            answer = shop.recommend(customer=f"c{answered % 20}", k=12, now=when)
            assert len({item.product for item in answer.items}) == 12
            assert len(shop.similar(bundle.items.outside[answered % 500], k=5).items) == 5
            answered += 1
        other.join()
        assert not failed
        assert used == [versions[turn % 2] for turn in range(SWAPS)]
        assert all(f"new-{turn}" in shop.engine.catalogue for turn in range(SWAPS))
