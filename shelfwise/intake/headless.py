"""Products of shop systems without a face of their own (commercetools, Saleor) → records as others have them."""

from __future__ import annotations

from typing import Any

from shelfwise.intake.reading import Row, value_text


def unwrapped(record: Row) -> Row:
    """The record with its price, state and variants where other systems have them; any other record as it is."""
    if isinstance(data := record.get("masterData"), dict) and isinstance(data.get("current"), dict):
        record = {"id": record.get("id"), "published": data.get("published"), **data["current"]}
    if isinstance(master := record.get("masterVariant"), dict):
        rest = record.get("variants")
        variants = [master, *(rest if isinstance(rest, list) else [])]
        record = {key: value for key, value in record.items() if key not in ("masterVariant", "variants", "slug")}
        categories = record.pop("categories", None)
        named = [one.get("obj") for one in categories or [] if isinstance(one, dict)]
        record["categories"] = [_said(one.get("name")) for one in named if isinstance(one, dict)]
        record |= {key: _said(record[key]) for key in ("name", "description") if key in record}
        record["variants"] = [_variant(one) for one in variants if isinstance(one, dict)]
    if isinstance(pricing := record.get("pricing"), dict):
        record = {key: value for key, value in record.items() if key != "pricing"} | _gross(pricing)
    if isinstance(edges := record.get("variants"), list) and any(
        isinstance(one, dict) and isinstance(one.get("pricing"), dict) for one in edges
    ):
        record = record | {"variants": [unwrapped(one) if isinstance(one, dict) else one for one in edges]}
    return record


def _variant(given: dict[str, Any]) -> dict[str, Any]:
    """One of commercetools': cents as money, whether it is on stock as a quantity."""
    made = {key: value for key, value in given.items() if key not in ("prices", "price", "availability", "id")}
    made["id"] = given.get("sku") or given.get("key") or given.get("id")
    price = given.get("price") or next(iter(given.get("prices") or []), None)
    if isinstance(price, dict) and isinstance(value := price.get("value"), dict):
        discounted = price.get("discounted")
        made["price"] = _cents(value)
        if isinstance(discounted, dict) and isinstance(discounted.get("value"), dict):
            made["sale_price"] = _cents(discounted["value"])
    if isinstance(stock := given.get("availability"), dict) and "isOnStock" in stock:
        made["availability"] = "in stock" if stock["isOnStock"] else "out of stock"
    return made


def _cents(value: dict[str, Any]) -> str:
    amount = int(value.get("centAmount") or 0) / 10 ** int(value.get("fractionDigits", 2))
    return f"{amount:.2f} {value_text(value.get('currencyCode'))}".strip()


def _gross(pricing: dict[str, Any]) -> Row:
    """Saleor's price of a variant, or the least of a product's; what it was before a discount."""
    made: Row = {}
    for name, key, span in (
        ("price", "price", "priceRange"),
        ("original_price", "priceUndiscounted", "priceRangeUndiscounted"),
    ):
        money = pricing.get(key)
        if money is None and isinstance(within := pricing.get(span), dict):
            money = within.get("start")
        money = money.get("gross", money.get("net")) if isinstance(money, dict) else None
        if isinstance(money, dict) and money.get("amount") is not None:
            made[name] = f"{value_text(money['amount'])} {value_text(money.get('currency'))}".strip()
    return made


def _said(value: Any) -> str:
    """Of a text in several languages the first."""
    if isinstance(value, dict):
        return next((value_text(one) for one in value.values() if one), "")
    return value_text(value)
