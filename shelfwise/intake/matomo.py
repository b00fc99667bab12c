"""Visits as Matomo's API answers them (`Live.getLastVisitsDetails` as JSON): a visit holds its actions, an order its
products → one record an action, as other logs have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Record = dict[str, Any]
_ORDERS = {"ecommerceOrder": "purchase", "ecommerceAbandonedCart": "add_to_cart"}


def is_visit(record: Record) -> bool:
    return isinstance(record.get("actionDetails"), list) and bool({"idVisit", "visitorId"} & record.keys())


def is_table(header: Iterable[str]) -> bool:
    """Are these headings of the same answer as a table? That spreads each visit over hundreds of columns."""
    return any(name.startswith("actionDetails_") for name in header)


def events(visit: Record) -> Iterator[Record]:
    """A record for each action: who, when, and a product looked at, a search, or an order with its `items`."""
    visitor, number = visit.get("visitorId") or "", visit.get("idVisit") or ""
    who = {"user_id": visit.get("userId") or "", "session_id": f"{visitor}.{number}".strip(".")}
    for action in visit["actionDetails"]:
        if not isinstance(action, dict):
            continue
        kind = str(action.get("type") or "")
        shared = {"timestamp": action.get("timestamp") or action.get("serverTimePretty"), **who}
        if kind in _ORDERS:
            items = [
                {
                    "sku": one.get("itemSKU"),
                    "name": one.get("itemName"),
                    "price": one.get("price"),
                    "quantity": one.get("quantity"),
                }
                for one in action.get("itemDetails") or []
            ]
            yield {"event": _ORDERS[kind], **shared, "order_id": action.get("orderId") or "", "items": items}
        elif keyword := action.get("siteSearchKeyword"):
            yield {"event": "search", **shared, "search_term": keyword}
        elif product := action.get("productViewSku"):
            yield {"event": "view_item", **shared, "product_id": product}
        else:
            yield {"event": f"Matomo's {kind or 'action'}", **shared}
