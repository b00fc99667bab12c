# ruff: noqa: E501 (the table of names is wide)
"""Columns of texts → the values of an event frame: times, numbers, types, cleaned texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import polars as pl

from shelfwise import schema
from shelfwise.intake import dates
from shelfwise.intake.ids import changed
from shelfwise.intake.values import parse_money, parse_number, parse_time
from shelfwise.schema import EVENT_TYPES, EventType

_T = TypeVar("_T", int, float)

#: What other systems call the event types (lower case, _ for spaces).
TYPE_NAMES: dict[str, EventType] = {
    **{str(kind): kind for kind in EVENT_TYPES if kind is not EventType.RETURNED},
    **dict.fromkeys(
        ("view", "views", "viewed", "product_view", "product_viewed", "view_product", "detail", "detail_view", "pdp_view", "pv", "clicks", "viewcontent", "view_content", "detailview", "detail_page_view", "product_detail_view", "product_detail", "product_page_view", "item_view", "item_viewed", "viewed_item", "produktansicht", "vue_produit", "read", "просмотр", "浏览", "点击", "閲覧"),
        EventType.VIEW_ITEM,
    ),
    **dict.fromkeys(
        ("addtocart", "cart", "carts", "add_cart", "cart_add", "added_to_cart", "product_added", "basket", "add_to_basket", "add", "product_add_to_cart", "item_added_to_cart", "added_to_basket", "in_den_warenkorb", "ajout_au_panier", "добавление_в_корзину", "в_корзину", "加购", "加入购物车", "カート追加"),
        EventType.ADD_TO_CART,
    ),
    **dict.fromkeys(("removefromcart", "cart_remove", "remove", "product_removed", "removed_from_cart", "product_remove_from_cart"), EventType.REMOVE_FROM_CART),
    **dict.fromkeys(
        ("buy", "bought", "order", "orders", "ordered", "order_completed", "transaction", "sale", "purchased", "purchases", "checkout_completed", "purchase_complete", "payment", "completed_order", "order_placed", "placed_order", "ordered_product", "product_purchased", "checkout_complete", "kauf", "bestellung", "achat", "compra", "commande", "покупка", "заказ", "购买", "下单", "支付", "購入"),
        EventType.PURCHASE,
    ),
    **dict.fromkeys(
        ("refunded", "return", "returned", "order_refunded", "refunded_order", "cancelled_order", "canceled_order", "order_cancelled", "order_canceled", "cancellation", "credit", "credit_note", "chargeback"),
        EventType.REFUND,
    ),
    **dict.fromkeys(("view_search_results", "query", "searched", "products_searched", "搜索", "検索"), EventType.SEARCH),
    **dict.fromkeys(("impression", "impressions", "product_list_viewed", "list_view"), EventType.VIEW_ITEM_LIST),
    **dict.fromkeys(("click", "clicked", "select", "product_clicked", "select_content"), EventType.SELECT_ITEM),
    **dict.fromkeys(
        ("wishlist", "addtowishlist", "product_added_to_wishlist", "added_to_wishlist", "wishlist_add", "fav", "favorite", "favourite", "like", "star", "save", "收藏"),
        EventType.ADD_TO_WISHLIST,
    ),
    **dict.fromkeys(("rating", "rated", "review", "reviewed", "stars"), EventType.RATE),
}  # fmt: skip


def types(texts: pl.Series, codes: tuple[tuple[str, str], ...] = ()) -> pl.Series:
    """Event types; null for a name that is none (page_view, session_start, …). codes: what a log's own words mean."""
    if codes:
        texts = texts.str.strip_chars().replace(dict(codes))
    names = texts.str.strip_chars().str.to_lowercase().str.replace_all(r"[\s\-]+", "_")
    return names.replace_strict(list(TYPE_NAMES), [str(kind) for kind in TYPE_NAMES.values()], default=None)


def words(texts: pl.Series) -> pl.Series:
    """NFKC, whitespace folded; control characters stay for the rules to refuse."""
    return texts.str.normalize("NFKC").str.replace_all(r"[ \t\r\n\u00a0]+", " ").str.strip_chars()


def ids(texts: pl.Series, rule: str = "") -> pl.Series:
    """As given, without blanks around them: two ids that differ in anything stay two."""
    texts = texts.str.strip_chars()
    return changed(texts, rule) if rule else texts


#: '2 pcs', 'x2', '2 件'; '4/5', '4 stars', '4★'.
_COUNTED = (
    r"(?i)^\s*[x×]?\s*(\d+(?:[.,]\d+)?)\s*(?:[x×]|pcs?\.?|pieces?|stk\.?|stück|st\.|units?|ea|件|个|個|点|шт\.?"
    r"|stars?|★+|/\s*5|out of 5)?\s*$"
)


def counted(texts: pl.Series) -> pl.Series:
    """Numbers without the word for what they count; other texts as they are."""
    plain = texts.str.contains(r"^-?[\d.]*$")
    return texts if plain.all() else texts.str.replace(_COUNTED, "$1")


def numbers(texts: pl.Series, *, money: bool = False, divide: float = 1.0) -> tuple[pl.Series, pl.Series]:
    """(Float64, null where empty or unreadable; whether it was unreadable). Plain numbers at column speed."""
    texts = texts.str.strip_chars()
    values = texts.cast(pl.Float64, strict=False)
    if values.null_count():  # as book-keepers write what is given back: (2), 2-
        texts = texts.str.replace(r"^\(\s*([^()-]*\d[^()-]*)\)$", "-$1").str.replace(r"^(\d[\d.,]*)-$", "-$1")
        values = texts.cast(pl.Float64, strict=False)
    left = values.is_null() & (texts != "")
    if left.any():
        parse: Callable[[str], float | None] = _money if money else parse_number
        values = _patched(values, texts, left, parse)
        left = values.is_null() & (texts != "")
    return (values / divide if divide != 1 else values), left


def _money(text: str) -> float | None:
    money = parse_money(text)
    return None if money is None else money[0]


def times(texts: pl.Series, format: str = "", reading: dates.Reading | None = None) -> pl.Series:
    """Int64 µs since the epoch, null where unreadable. ISO 8601, YYYYMMDD, an epoch in s, ms, µs or ns (told apart by
    size: seconds reach the year 5138 below 1e11), RFC 2822; else as `reading` says of the whole column (dates.py). Times
    without a zone are UTC."""
    texts = texts.str.strip_chars()
    if format:
        if format.endswith("%z"):
            return texts.str.to_datetime(format, strict=False, time_unit="us").dt.epoch("us")
        whole = "%H" in format or "%I" in format or "%T" in format or "%s" in format
        if whole:
            return texts.str.to_datetime(format, strict=False, time_unit="us").dt.epoch("us")
        return texts.str.to_date(format, strict=False).cast(pl.Datetime("us")).dt.epoch("us")
    digits = texts.str.contains(r"^\d{9,19}(?:\.\d+)?$") & ~texts.str.contains(r"^(?:19|20)\d{10}(?:\d\d)?$")
    number = texts.set(~digits, None).cast(pl.Float64, strict=False)
    whole_number = texts.set(~digits, None).cast(pl.Int64, strict=False)
    frame = pl.DataFrame({"f": number, "i": whole_number})
    epoch = frame.select(
        pl.when(pl.col("f") < 1e11)
        .then((pl.col("f") * 1e6).round().cast(pl.Int64))
        .when(pl.col("f") < 1e14)
        .then((pl.col("f") * 1e3).round().cast(pl.Int64))
        .when(pl.col("f") < 1e17)
        .then(pl.coalesce("i", pl.col("f").cast(pl.Int64)))
        .otherwise(pl.coalesce("i", pl.col("f").cast(pl.Int64)) // 1_000)
    ).to_series()
    if not epoch.has_nulls():
        return epoch
    plain = texts.set(digits, None).str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "$1 ").str.replace(r"(?:Z| UTC)$", "+0000")
    patterns = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S%.f")
    for pattern in patterns:
        if not _wanting(epoch, texts):
            return epoch
        parsed = plain.str.to_datetime(pattern, strict=False, time_unit="us").dt.epoch("us")
        epoch = pl.DataFrame({"a": epoch, "b": parsed}).select(pl.coalesce("a", "b")).to_series()
    for pattern in ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d"):
        if not _wanting(epoch, texts):
            return epoch
        parsed = plain.str.to_date(pattern, strict=False).cast(pl.Datetime("us")).dt.epoch("us")
        epoch = pl.DataFrame({"a": epoch, "b": parsed}).select(pl.coalesce("a", "b")).to_series()
    order = reading or dates.Reading()

    def micros(text: str) -> int | None:
        time = dates.parse(text, order)
        if time is None and not dates.needs_order(text):
            time = parse_time(text)
        return None if time is None else schema.to_micros(time)

    return _patched(epoch, texts, epoch.is_null() & (texts != ""), micros)


def _wanting(values: pl.Series, texts: pl.Series) -> bool:
    return bool((values.is_null() & (texts != "")).any())


def _patched(values: pl.Series, texts: pl.Series, left: pl.Series, parse: Callable[[str], _T | None]) -> pl.Series:
    """`values` with the rows `left` parsed one distinct text at a time."""
    if not left.any():
        return values
    distinct = texts.filter(left).unique()
    parsed = [parse(text) for text in distinct.to_list()]
    patched = texts.replace_strict(distinct, parsed, default=None, return_dtype=values.dtype)
    frame = pl.DataFrame({"a": values, "b": patched, "left": left})
    return frame.select(pl.when("left").then("b").otherwise("a")).to_series()
