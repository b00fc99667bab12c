"""Records to rows and back. What the store holds was checked on its way in, so reading checks nothing again:
a stricter rule or a clock set back must never make the record unreadable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from shelfwise.errors import InvalidRecord
from shelfwise.schema import (
    EVENT_COLUMNS,
    EVENT_TYPES,
    MAX_ID,
    PRODUCT_COLUMNS,
    PRODUCT_TIMES,
    Availability,
    Campaign,
    Event,
    Product,
    Status,
    from_micros,
    to_micros,
)

Row = tuple[Any, ...]

_NEW = object.__new__
_SET = object.__setattr__
_TYPES = {str(kind): kind for kind in EVENT_TYPES}
_STATUS = {str(status): status for status in Status}
_AVAILABILITY = {str(kind): kind for kind in Availability}


def event_row(event: Event) -> Row:
    """The values of EVENT_COLUMNS, in order."""
    return (
        event.id,
        str(event.type),
        to_micros(event.time),
        event.customer,
        event.session,
        event.product,
        float(event.quantity),
        None if event.price is None else float(event.price),
        None if event.value is None else float(event.value),
        event.query,
        event.request_id,
    )


def event_of(row: Sequence[Any]) -> Event:
    """An event of the values of EVENT_COLUMNS; longer rows are cut."""
    event: Event = _NEW(Event)
    kind, micros = row[1], row[2]
    _SET(event, "id", row[0])
    _SET(event, "type", _TYPES[kind])
    _SET(event, "time", from_micros(micros))
    _SET(event, "customer", row[3])
    _SET(event, "session", row[4])
    _SET(event, "product", row[5])
    _SET(event, "quantity", row[6])
    _SET(event, "price", row[7])
    _SET(event, "value", row[8])
    _SET(event, "query", row[9])
    _SET(event, "request_id", row[10])
    return event


def product_row(product: Product) -> dict[str, Any]:
    """A row by PRODUCT_COLUMNS; `created` may be None."""
    return {
        "id": product.id,
        "title": product.title,
        "description": product.description,
        "brand": product.brand,
        "product_type": product.product_type,
        "price": None if product.price is None else float(product.price),
        "currency": product.currency,
        "availability": str(product.availability),
        "image_link": product.image_link,
        "link": product.link,
        "item_group_id": product.item_group_id,
        "gtin": product.gtin,
        "mpn": product.mpn,
        "created": None if product.created is None else to_micros(product.created),
        "attributes": orjson.dumps(dict(product.attributes), option=orjson.OPT_SORT_KEYS).decode()
        if product.attributes
        else "{}",
        "status": str(product.status),
        "sale_price": None if product.sale_price is None else float(product.sale_price),
        **{name: _micros(getattr(product, name)) for name in PRODUCT_TIMES[1:]},
    }


def product_of(row: Sequence[Any]) -> Product:
    """A product of the values of PRODUCT_COLUMNS."""
    product: Product = _NEW(Product)
    for name, value in zip(PRODUCT_COLUMNS, row, strict=True):
        _SET(product, name, value)
    _SET(product, "availability", _AVAILABILITY[product.availability])
    _SET(product, "created", from_micros(row[13]))
    _SET(product, "attributes", orjson.loads(row[14]))
    _SET(product, "status", _STATUS.get(product.status, Status.HIDDEN))
    for name in PRODUCT_TIMES[1:]:
        if (micros := getattr(product, name)) is not None:
            _SET(product, name, from_micros(micros))
    _SET(product, "original_price", None)
    return product


def campaign_row(campaign: Campaign) -> dict[str, Any]:
    return {
        "id": campaign.id,
        "title": campaign.title,
        "start": _micros(campaign.start),
        "end": _micros(campaign.end),
        "customers": orjson.dumps(campaign.customers).decode(),
        "products": orjson.dumps(campaign.products).decode(),
    }


def campaign_of(row: Sequence[Any]) -> Campaign:
    identity, title, start, end, customers, products = row
    return Campaign(
        id=identity,
        title=title,
        start=None if start is None else from_micros(start),
        end=None if end is None else from_micros(end),
        customers=tuple(orjson.loads(customers)),
        products=tuple(orjson.loads(products)),
    )


def _micros(time: datetime | None) -> int | None:
    return None if time is None else to_micros(time)


def frame_of(rows: Iterable[Sequence[Any]], columns: dict[str, pl.DataType]) -> pl.DataFrame:
    """A frame of rows whose first values are `columns`; longer rows are cut."""
    transposed = list(zip(*rows, strict=True))
    if not transposed:
        return pl.DataFrame(schema=columns)
    return pl.DataFrame(
        [pl.Series(name, values, dtype=kind) for (name, kind), values in zip(columns.items(), transposed, strict=False)]
    )


def checked_events(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with exactly EVENT_COLUMNS, checked in columns. Raises InvalidRecord with an offending value."""
    frame = _trimmed(_conformed(frame, EVENT_COLUMNS), "id", "customer", "session", "product", "request_id")
    frame = frame.with_columns(pl.col("quantity").fill_null(1.0))
    rules: dict[str, tuple[pl.Expr, str]] = {
        "id": (pl.col("id") == "", "is required; give every event an id of its own"),
        "type": (~pl.col("type").is_in([str(kind) for kind in EVENT_TYPES]), f"is none of {', '.join(EVENT_TYPES)}"),
        "time": (pl.col("time").is_null() | (pl.col("time") < 0), "is missing or before 1970"),
        "customer": (
            (pl.col("customer") == "") & (pl.col("session") == ""),
            "is missing, and so is session: whose event is it?",
        ),
        "quantity": (~pl.col("quantity").is_finite() | (pl.col("quantity") <= 0), "must be finite and above 0"),
        "price": (~pl.col("price").is_finite() | (pl.col("price") < 0), "must be finite and not negative"),
        "value": (~pl.col("value").is_finite(), "must be finite"),
    }
    _check(frame, rules, ids=("id", "customer", "session", "product", "request_id"))
    return frame


_LATE = ("status", "sale_price", *PRODUCT_TIMES[1:])  # a frame may lack these: active, and no sale


def checked_products(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with exactly PRODUCT_COLUMNS, checked in columns. Raises InvalidRecord with an offending value."""
    late = {name: pl.lit(None, PRODUCT_COLUMNS[name]) for name in _LATE if name not in frame.columns}
    frame = _trimmed(_conformed(frame.with_columns(**late), PRODUCT_COLUMNS), "id", "item_group_id")
    frame = frame.with_columns(pl.col("status").replace("", str(Status.ACTIVE)))
    availability = pl.col("availability").replace("", str(Availability.IN_STOCK))
    frame = frame.with_columns(availability, pl.col("attributes").replace("", "{}"))
    rules: dict[str, tuple[pl.Expr, str]] = {
        "id": (pl.col("id").str.strip_chars() == "", "is required; give every product an id"),
        "price": (~pl.col("price").is_finite() | (pl.col("price") < 0), "must be finite and not negative"),
        "status": (~pl.col("status").is_in([str(status) for status in Status]), f"is none of {', '.join(Status)}"),
        "sale_price": (~pl.col("sale_price").is_finite() | (pl.col("sale_price") < 0), "must be finite, not negative"),
        "availability": (
            ~pl.col("availability").is_in([str(kind) for kind in Availability]),
            f"is none of {', '.join(Availability)}",
        ),
    }
    _check(frame, rules, ids=("id",))
    for text in frame["attributes"].unique():
        try:
            if not isinstance(orjson.loads(text), dict):
                raise ValueError("it is no object")
        except ValueError as error:
            raise InvalidRecord("attributes", f"{text[:80]!r} must be a JSON object: {error}") from None
    return frame


def _conformed(frame: pl.DataFrame, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    for name in columns:
        if name not in frame.columns:
            raise InvalidRecord(name, f"the frame has no such column; it needs exactly {', '.join(columns)}")
    for name in frame.columns:
        if name not in columns:
            raise InvalidRecord(name, f"is an unknown column; the frame needs exactly {', '.join(columns)}")
    converted = []
    for name, kind in columns.items():
        try:
            series = frame[name].cast(kind)
        except pl.exceptions.PolarsError as error:
            raise InvalidRecord(name, f"cannot be read as {kind}: {str(error).splitlines()[0]}") from None
        converted.append(series.fill_null("") if kind == pl.String() else series)
    return pl.DataFrame(converted)


def _trimmed(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Ids as the records have them: without blanks around them."""
    return frame.with_columns(pl.col(name).str.strip_chars() for name in names)


def _check(frame: pl.DataFrame, rules: dict[str, tuple[pl.Expr, str]], *, ids: tuple[str, ...]) -> None:
    checks = [(name, rule, problem) for name, (rule, problem) in rules.items()]
    checks += [(name, pl.col(name).str.len_chars() > MAX_ID, f"is longer than {MAX_ID} characters") for name in ids]
    texts = [name for name, kind in frame.schema.items() if kind == pl.String()]
    checks += [
        (name, pl.col(name).str.contains("\x00", literal=True), "contains a NUL character; remove it") for name in texts
    ]
    broken = frame.select(rule.fill_null(False).any().alias(str(number)) for number, (_, rule, _) in enumerate(checks))
    for (name, rule, problem), count in zip(checks, broken.row(0), strict=True):
        if count:
            row = frame.filter(rule).row(0, named=True)
            raise InvalidRecord(name, f"{row[name]!r} {problem} (record {row['id']!r})")
