"""The demo: a real grocer's year becomes a shop that answers, and one event changes the next answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from shelfwise.model.recommender import Progress
from shelfwise.schema import Event, EventType
from shelfwise.settings import FILE
from shelfwise.shop import Shop

#: A household of The Complete Journey with an ordinary year behind it.
HOUSEHOLD = "1"
Bar = Callable[[str], AbstractContextManager[Progress]]


def prepare(folder: Path, bar: Bar, note: Console) -> None:
    """Make the demo's shop in `folder`, load it and learn; whatever is done already is not done again."""
    if not (folder / FILE).exists():
        Shop.create(folder, name="Complete Journey grocer", currency="USD", minutes=1.0).close()
    with Shop(folder) as shop:
        if not shop.counts().events:
            begun = time.monotonic()
            with bar("Loading a grocer's year") as progress:
                report = shop.load_dataset("complete_journey", progress=progress)
            note.print(f"Loaded {report.kept:,} records in {time.monotonic() - begun:.0f} s.")
        if not shop.bundles():
            begun = time.monotonic()
            with bar("Learning from it") as progress:
                version = shop.train(progress=progress)
            note.print(f"Learned bundle {version} in {time.monotonic() - begun:.0f} s.")


def show(folder: Path, out: Console) -> None:
    """Print a household's answer, then a visitor's before and after one event."""
    with Shop(folder) as shop:
        bought = [shop.title(event.product) for event in shop.last_events(customer=HOUSEHOLD, n=4)]
        table(
            out,
            f"Household {HOUSEHOLD}, who last bought {'; '.join(bought)}",
            shop,
            shop.recommend(customer=HOUSEHOLD, k=8),
        )
        session = f"visitor-{uuid.uuid4().hex[:8]}"
        before = shop.recommend(session=session, k=5)
        table(out, "A visitor nobody knows", shop, before)
        seen = shop.recommend(customer=HOUSEHOLD, k=1).items[0].product
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
    found = Table(
        "product", "reason", box=None, header_style="dim", title=title, title_justify="left", title_style="bold"
    )
    for item in answer.items:
        found.add_row(shop.title(item.product)[:60], item.reason)
    out.print(found)
    out.print()
