"""The demo: a shop that answers at once, and one event changes the next answer.

`grocer` is a real retailer's year. `vendure` is a sample catalogue with photos and SIMULATED shoppers who like what the
photos show; its pages say so.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from shelfwise.errors import ShopError
from shelfwise.intake import vendure
from shelfwise.models.encoders import VectorCache, encode_products
from shelfwise.models.recommender import Progress
from shelfwise.schema import Event, EventType, now
from shelfwise.settings import FILE
from shelfwise.shop import Shop
from shelfwise.testing import Shown, simulated_visits

Data = Literal["grocer", "vendure"]
#: What a new demo's shop is set to.
_SETTINGS: dict[Data, dict[str, Any]] = {
    "grocer": {"name": "Complete Journey grocer", "currency": "USD", "minutes": 0.5},
    "vendure": {
        "name": "Vendure sample shop",
        "currency": "USD",
        "minutes": 0.5,
        "simulated": True,
    },
}
#: A household of The Complete Journey with an ordinary year behind it, and one of the simulated shoppers.
CUSTOMER: dict[Data, str] = {"grocer": "1", "vendure": "shopper-001"}
Bar = Callable[[str], AbstractContextManager[Progress]]


def prepare(folder: Path, bar: Bar, note: Console, data: Data = "grocer") -> None:
    """Make the demo's shop in `folder`, load it and learn; whatever is done already is not done again."""
    if not (folder / FILE).exists():
        if data == "vendure":
            vendure.fetch(folder / "cache")  # without it, there shall be no shop half made
        Shop.create(folder, **_SETTINGS[data]).close()
    with Shop(folder) as shop:
        if not shop.counts().events:
            begun = time.monotonic()
            if shop.settings.simulated:
                with bar("Loading Vendure's sample catalogue") as progress:
                    loaded = load_vendure(shop, progress)
            else:
                with bar("Loading a grocer's year") as progress:
                    loaded = shop.load_dataset("complete_journey", progress=progress).kept
            note.print(f"Loaded {loaded:,} records in {time.monotonic() - begun:.0f} s.")
        if not shop.settings.simulated and shop.planner.stock().is_empty():
            count = shop.planner.simulate_stock()
            note.print(f"Put SIMULATED stock of {count:,} products on record: the data have none.")
        if not shop.bundles():
            begun = time.monotonic()
            with bar("Learning from it") as progress:
                version = shop.train(progress=progress)
            note.print(f"Learned bundle {version} in {time.monotonic() - begun:.0f} s.")


def load_vendure(shop: Shop, progress: Progress) -> int:
    """Vendure's sample catalogue and four months of SIMULATED visits up to now, into an empty shop; records stored.

    The shoppers' taste is the likeness of the photos' vectors. Raises MissingDependency when npm's registry is out of
    reach.
    """
    report = vendure.load(shop.folder, shop.store, vendure.fetch(shop.folder / "cache"), progress)
    products = shop.store.products_frame()
    with VectorCache(shop.folder / "cache") as cache:
        _, image = encode_products(products, shop.folder, shop.settings, cache, progress)
    if image is None:
        raise ShopError("the simulated shoppers choose by photos; set image_encoder to efficientnet-lite0")
    together: dict[str, list[int]] = {}
    for row, (product, group) in enumerate(products.select("id", "item_group_id").iter_rows()):
        together.setdefault(group or product, []).append(row)
    shown = []
    for rows in together.values():
        first = products.row(rows[0], named=True)
        kind = first["product_type"].split(" > ")[-1].lower()
        name = first["title"].split(",")[0].lower()
        shown.append(
            Shown(
                look=image[rows[0]],
                variants=tuple(products["id"][rows]),
                prices=tuple(products["price"][rows]),
                words=(kind, name, name.split()[-1]),
            )
        )
    visits = simulated_visits(shown, end=now())
    return report.kept + shop.store.import_events([visits]).accepted


def show(folder: Path, out: Console) -> None:
    """Print a customer's answer, then a visitor's before and after one event."""
    with Shop(folder) as shop:
        customer = CUSTOMER["vendure" if shop.settings.simulated else "grocer"]
        if shop.settings.simulated:
            out.print("The shoppers of this shop are SIMULATED: they like what the photos show.", style="bold")
        recent = shop.last_events(customer=customer, n=50)
        bought = [shop.title(event.product) for event in recent if event.type is EventType.PURCHASE][-4:]
        title = f"Customer {customer}, who last bought {'; '.join(bought)}"
        table(out, title, shop, shop.recommend(customer=customer, k=8))
        session = f"visitor-{uuid.uuid4().hex[:8]}"
        before = shop.recommend(session=session, k=5)
        table(out, "A visitor nobody knows", shop, before)
        seen = before.items[0].product
        shop.append_events([Event(type=EventType.VIEW_ITEM, session=session, product=seen)])
        table(out, f"The same visitor, having looked at {shop.title(seen)}", shop, shop.recommend(session=session, k=5))
    out.print("The same over HTTP:", style="bold")
    out.print(
        f"""  curl localhost:8000/v1/events -H 'Content-Type: application/json' \\
    -d '{{"type": "view_item", "session": "me", "product": "{seen}"}}'
  curl localhost:8000/v1/recommend -H 'Content-Type: application/json' -d '{{"session": "me", "k": 5}}'
""",
        markup=False,
        highlight=False,
    )


def table(out: Console, title: str, shop: Shop, answer: Any) -> None:
    grid = Table(
        "product", "reason", box=None, header_style="dim", title=title, title_justify="left", title_style="bold"
    )
    for item in answer.items:
        grid.add_row(shop.title(item.product)[:60], item.reason)
    out.print(grid)
    out.print()
