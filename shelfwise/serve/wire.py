"""JSON in and out: every field the API takes, once, with what it means; and the two shapes it answers with.

The tables below are both what is parsed and what the OpenAPI document shows. A body is read by orjson, which
refuses NaN, Infinity, invalid UTF-8, lone surrogates and nesting deeper than 1,024; the records of schema.py
then check values. Whatever is wrong becomes one `Refused`, whose `field` names the place
(`events[3].price`); nothing of a body with a bad part is used.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from shelfwise.catalogue.filters import MAX_VALUES, Filters
from shelfwise.engine.request import MAX_K, MAX_SEEDS, SURFACES
from shelfwise.errors import InvalidRecord, InvalidRequest
from shelfwise.schema import (
    MAX_ID,
    MAX_QUERY,
    MAX_TEXT,
    MAX_TITLE,
    PRODUCT_TIMES,
    Availability,
    Event,
    EventType,
    Product,
    Status,
    line_id,
)

MAX_EVENTS = 1_000  # events a request
MAX_PRODUCTS = 1_000  # products a request


class Refused(Exception):
    """A request that cannot be done as sent: an HTTP status, a code for programs, a message for people."""

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = dict(headers or {})
        super().__init__(message)


def invalid(where: str, problem: str) -> Refused:
    return Refused(422, "invalid", f"{where}: {problem}" if where else problem, where or None)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a JSON object: its JSON schema and what it means."""

    schema: Mapping[str, Any]
    help: str
    required: bool = False
    fields: Mapping[str, Field] = field(default_factory=dict)


def _text(help: str, limit: int = MAX_ID, *, required: bool = False) -> Field:
    return Field({"type": "string", "maxLength": limit}, help, required)


def _number(help: str, low: float, high: float) -> Field:
    return Field({"type": "number", "minimum": low, "maximum": high}, help)


def _choice(help: str, values: Iterable[str], *, required: bool = False) -> Field:
    return Field({"type": "string", "enum": [str(value) for value in values]}, help, required)


def _texts(help: str, length: int, limit: int = MAX_VALUES) -> Field:
    items = {"type": "string", "minLength": 1, "maxLength": length}
    return Field({"type": "array", "items": items, "maxItems": limit}, help)


def _time(help: str) -> Field:
    return Field({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}, help)


_ISO = "ISO 8601 with a time zone, or seconds since 1970"

_SENT = tuple(
    kind for kind in EventType if kind is not EventType.RETURNED
)  # the record's own word for what was refunded

EVENT = {
    "type": _choice("What the shopper did, in GA4's words.", _SENT, required=True),
    "customer": _text(
        "Who did it. Give a customer, a session or both; both sign the session in. What stands for nobody (undefined, "
        "null, guest, 0) is taken as none."
    ),
    "session": _text("The visit it belongs to."),
    "product": _text("The product's id; needed by every type but search, view_item_list and the refund of an order."),
    "time": _time(f"When it happened: {_ISO}; now when left out."),
    "id": _text("The event's own id; one is made when left out. The same id again is counted as a duplicate."),
    "quantity": _number("Pieces or weight, above 0; 1 when left out.", 1e-9, 1e9),
    "price": _number("Price of one piece.", 0, 1e12),
    "value": _number("The stars of a rate event.", -1e6, 1e6),
    "query": _text("The words of a search event.", MAX_QUERY),
    "request_id": _text("The answer that led here."),
    "transaction_id": _text(
        "Of a purchase or a refund, the order. The same order and product again is counted as a duplicate; a refund "
        "takes back what its order bought."
    ),
}

PRODUCT = {
    "id": _text("The product's id in the shop.", required=True),
    "title": _text("Its name.", MAX_TITLE),
    "description": _text("Its text.", MAX_TEXT),
    "brand": _text("Its brand.", MAX_TITLE),
    "product_type": _text("Its category path, levels joined by ' > '.", MAX_TITLE),
    "price": _number("Price, in currency units.", 0, 1e12),
    "sale_price": _number("What it costs from sale_start to sale_end.", 0, 1e12),
    "sale_start": _time(f"When the sale price begins to hold: {_ISO}; at once when left out."),
    "sale_end": _time(f"When it ends: {_ISO}; never when left out."),
    "shown_from": _time(f"When it begins to be shown: {_ISO}; at once when left out."),
    "shown_until": _time(f"When it is shown no more: {_ISO}; never when left out."),
    "currency": _text("ISO 4217, for example USD.", MAX_TITLE),
    "availability": _choice("in_stock when left out.", Availability),
    "status": _choice(
        "Only an active product is shown. Left out: as recorded, active for a new one or a retired one.", Status
    ),
    "image_link": _text("Where its photo is.", 4_000),
    "link": _text("Its page in the shop.", 4_000),
    "item_group_id": _text("Shared by the variants of one product.", MAX_TITLE),
    "gtin": _text("Global trade item number.", MAX_TITLE),
    "mpn": _text("Maker's part number.", MAX_TITLE),
    "created": _time(f"When it came to the catalogue: {_ISO}; now when left out."),
    "attributes": Field(
        {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
        "Anything else: names to text, numbers or true and false.",
    ),
}

FILTERS = {
    "availability": Field(
        {"type": "array", "items": {"type": "string", "enum": [str(state) for state in Availability]}, "maxItems": 5},
        "Only products in one of these states; in_stock and unknown when left out.",
    ),
    "categories": _texts("Only products in one of these category paths or below.", MAX_TITLE),
    "brands": _texts("Only these brands.", MAX_TITLE),
    "price_min": _number("Only products at this price or above.", 0, 1e12),
    "price_max": _number("Only products at this price or below.", 0, 1e12),
    "exclude": _texts("Never these products.", MAX_ID),
}

_K = Field({"type": "integer", "minimum": 1, "maximum": MAX_K}, "How many products; 12 when left out.")
_FILTERS = Field({"type": "object"}, "What the answer may hold.", fields=FILTERS)
_LANGUAGE = Field({"type": "string", "enum": ["en", "zh"]}, "Of reasons; the shop's when left out.")

QUESTION = {
    "customer": _text("For whom. Leave out for someone unknown."),
    "session": _text("The visit, for someone who has not signed in."),
    "surface": _choice("Where the answer is shown; home when left out.", SURFACES),
    "seeds": _texts("Products in view: the page's product, or what lies in the cart.", MAX_ID, MAX_SEEDS),
    "k": _K,
    "filters": _FILTERS,
    "exclude_purchased": Field({"type": "boolean"}, "Leave out what this customer bought already."),
    "variants": Field(
        {"type": "integer", "minimum": 0, "maximum": MAX_K},
        "Products of one item_group_id an answer may hold; 1 when left out, 0 for any number.",
    ),
    "diversity": Field(
        {"type": "number", "minimum": 0, "maximum": 1},
        "How far products that differ go before relevant ones that are alike; the setting when left out.",
    ),
    "language": _LANGUAGE,
}

SIMILAR = {
    "product": _text("The product to find others like.", required=True),
    "k": _K,
    "filters": _FILTERS,
    "language": _LANGUAGE,
}


def parse_json(body: bytes) -> Any:
    """The body's JSON value. Raises Refused (400)."""
    if not body:
        raise Refused(400, "bad_json", "the body is empty; send a JSON object")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "bad_json", f"the body is not valid JSON: {error}") from None


def many(value: Any, name: str, limit: int) -> tuple[list[Any], bool]:
    """The records of a body that is one object, a list, or {name: list}; and whether it was a lone one."""
    if isinstance(value, dict) and name in value:
        if len(value) > 1:
            extra = next(key for key in value if key != name)
            raise invalid(_shown(extra), f"is unknown beside {name!r}; put it inside each of {name}")
        value = value[name]
        if not isinstance(value, list):
            raise invalid(name, "must be a list")
    if isinstance(value, dict):
        return [value], True
    if not isinstance(value, list):
        raise invalid("", f'send one object, a list of objects, or {{"{name}": [...]}}')
    if not value:
        raise invalid(name, "is empty; send at least one")
    if len(value) > limit:
        raise Refused(413, "too_many", f"{name} has {len(value)} entries; send at most {limit} at once", name)
    return value, False


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of a body. places: the index of each. skips: whether a bad one leaves the others alone (`on_error`);
    refused: those that were bad, by index. nobody: indices of events whose customer or session stands for nobody."""

    events: list[Event]
    places: list[int]
    lone: bool
    skips: bool = False
    refused: dict[int, Refused] = field(default_factory=dict)
    nobody: list[int] = field(default_factory=list)

    def where(self, index: int) -> str:
        return "" if self.lone else f"events[{index}]"

    def without(self, bad: Mapping[int, Refused]) -> Batch:
        """With these events, by index, refused too: raises the first unless the batch skips what is bad."""
        if bad and not self.skips:
            raise bad[min(bad)]
        kept = [(event, place) for event, place in zip(self.events, self.places, strict=True) if place not in bad]
        refused = dict(sorted({**self.refused, **bad}.items()))
        return replace(self, events=[e for e, _ in kept], places=[p for _, p in kept], refused=refused)


def parse_events(body: bytes) -> list[Event]:
    """Every event of a body. Raises Refused, naming the index of the first bad one."""
    return parse_batch(body).events


def parse_batch(body: bytes) -> Batch:
    """The events of a body; `"on_error": "skip"` beside them leaves out bad ones. Raises Refused."""
    value = parse_json(body)
    skips = False
    if isinstance(value, dict) and "events" in value and "on_error" in value:
        choice = value.pop("on_error")
        if choice not in ("refuse", "skip"):
            raise invalid("on_error", f"is {_shown(choice)!r}; use refuse or skip")
        skips = choice == "skip"
    rows, lone = many(value, "events", MAX_EVENTS)
    batch = Batch([], [], lone, skips)
    lines: Counter[tuple[str, str]] = Counter()
    for index, row in enumerate(rows):
        try:
            event = _event(row, batch.where(index), lines)
        except Refused as error:
            if not skips:
                raise
            batch.refused[index] = error
            continue
        batch.events.append(event)
        batch.places.append(index)
        if any((row.get(name) or "").strip() and not getattr(event, name) for name in ("customer", "session")):
            batch.nobody.append(index)
    return batch


@dataclass(frozen=True, slots=True)
class Given:
    """A product as a body gives it. where: its place in the body. fields: those that it names, null included."""

    product: Product
    fields: frozenset[str]
    attributes: frozenset[str] | None  # keys given; None where the attributes are null
    where: str

    def merged(self, known: Product) -> Product:
        """`known` with only what is given changed; attributes one by one, a null empties. Raises Refused."""
        values = {name: getattr(self.product, name) for name in self.fields - {"id", "attributes"}}
        if "attributes" in self.fields:
            before = {} if self.attributes is None else known.attributes
            kept = {key: value for key, value in before.items() if key not in (self.attributes or ())}
            values["attributes"] = {**kept, **self.product.attributes}
        try:
            return replace(known, **values)
        except InvalidRecord as error:
            raise invalid(_at(self.where, error.field), error.problem) from None

    def emptied(self, known: Product) -> list[str]:
        """Fields that `known` has and a product in its place would not."""
        return [
            name for name in PRODUCT if getattr(known, name) and not getattr(self.product, name) and name != "created"
        ]


def parse_products(body: bytes) -> list[Product]:
    """Every product of a body. Raises Refused, naming the index of the first bad one."""
    return [given.product for given in parse_given(body)]


def parse_given(body: bytes) -> list[Given]:
    """`parse_products`, and which fields each names."""
    rows, lone = many(parse_json(body), "products", MAX_PRODUCTS)
    given: list[Given] = []
    places: dict[str, int] = {}
    for index, row in enumerate(rows):
        where = "" if lone else f"products[{index}]"
        product = _product(row, where)
        if product.id in places:
            raise invalid(f"{where}.id", f"is {product.id!r}, as in products[{places[product.id]}]; send each once")
        places[product.id] = index
        attributes = row.get("attributes")
        keys = None if attributes is None else frozenset(attributes)
        given.append(Given(product, frozenset(row), keys, where))
    return given


def _event(row: Any, where: str, lines: Counter[tuple[str, str]]) -> Event:
    """lines: how often the batch named an order and a product so far."""
    values = _known(row, EVENT, where)
    kind = values.get("type")
    if kind is None or kind == EventType.RETURNED:
        problem = "is required" if kind is None else f"is {kind!r}, which only the record says; send a refund"
        raise invalid(_at(where, "type"), f"{problem}; use one of {', '.join(_SENT)}")
    order = values.pop("transaction_id", "")
    if order:
        if not isinstance(order, str) or kind not in (EventType.PURCHASE, EventType.REFUND):
            raise invalid(_at(where, "transaction_id"), "is the text of an order's number, of a purchase or a refund")
        values["request_id"] = order = order.strip()
        product = values.get("product")
        if kind == EventType.PURCHASE and isinstance(product, str) and not values.get("id"):
            values["id"] = line_id(order, product.strip(), lines[order, product])
            lines[order, product] += 1
    if "time" in values:
        values["time"] = parse_time(values["time"], _at(where, "time"))
    try:
        return Event(**values)
    except InvalidRecord as error:
        raise invalid(_at(where, error.field), error.problem) from None


def _product(row: Any, where: str) -> Product:
    values = _known(row, PRODUCT, where)
    if "id" not in values:
        raise invalid(_at(where, "id"), "is required; give it a value")
    for name in PRODUCT_TIMES:
        if name in values:
            values[name] = parse_time(values[name], _at(where, name))
    if "attributes" in values:
        attributes = values["attributes"]
        if not isinstance(attributes, dict):
            raise invalid(_at(where, "attributes"), "must be an object")
        values["attributes"] = {key: value for key, value in attributes.items() if value is not None}
    try:
        return Product(**values)
    except InvalidRecord as error:
        raise invalid(_at(where, error.field), error.problem) from None


def parse_fields(value: Any, fields: Mapping[str, Field], where: str = "") -> dict[str, Any]:
    """The given fields of a question, checked against their schemas. Raises Refused."""
    values = _known(value, fields, where)
    for name, spec in fields.items():
        if name in values:
            place = _at(where, name)
            if spec.fields:
                values[name] = parse_fields(values[name], spec.fields, place)
            else:
                _check(values[name], spec.schema, place)
        elif spec.required:
            raise invalid(_at(where, name), "is required")
    return values


def filters_of(values: Mapping[str, Any]) -> Filters:
    """The filters of a parsed question. Raises Refused."""
    given: dict[str, Any] = values.get("filters", {})
    lists: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return Filters(**lists)
    except InvalidRequest as error:
        raise invalid(f"filters.{error.field}", error.problem) from None


def _check(value: Any, schema: Mapping[str, Any], where: str) -> None:
    kind = schema["type"]
    if kind == "string":
        _check_text(value, schema, where)
    elif kind == "array":
        if not isinstance(value, list):
            raise invalid(where, "must be a list of texts")
        if len(value) > schema["maxItems"]:
            raise invalid(where, f"has {len(value)} entries; at most {schema['maxItems']}")
        for index, entry in enumerate(value):
            _check_text(entry, schema["items"], f"{where}[{index}]")
    elif kind == "object":  # what it may hold, its record checks
        if not isinstance(value, dict):
            raise invalid(where, "must be an object")
    elif kind == "boolean":
        if not isinstance(value, bool):
            raise invalid(where, "must be true or false")
    else:
        whole = kind == "integer"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise invalid(where, "must be a whole number" if whole else "must be a number")
        if not schema["minimum"] <= value <= schema["maximum"]:
            raise invalid(where, f"is {value:g}; it must lie between {schema['minimum']:g} and {schema['maximum']:g}")


def _check_text(value: Any, schema: Mapping[str, Any], where: str) -> None:
    if not isinstance(value, str):
        raise invalid(where, "must be text")
    if "enum" in schema:
        if value not in schema["enum"]:
            raise invalid(where, f"is {_shown(value)!r}; use one of {', '.join(schema['enum'])}")
    elif len(value) > schema["maxLength"]:
        raise invalid(where, f"is {len(value)} characters long; at most {schema['maxLength']}")
    elif len(value) < schema.get("minLength", 0):
        raise invalid(where, "is empty")
    elif not value.isprintable() and any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise invalid(where, "contains control characters; remove them")


def _known(row: Any, fields: Mapping[str, Field], where: str) -> dict[str, Any]:
    """A copy of the object without nulls; an unknown field is refused with the nearest known one."""
    if not isinstance(row, dict):
        raise invalid(where, "must be an object")
    for key in row:
        if key not in fields:
            near = difflib.get_close_matches(key[:MAX_ID], fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(fields)}"
            raise invalid(_at(where, _shown(key)), f"is not a field; {hint}")
    return {key: value for key, value in row.items() if value is not None}


def parse_time(value: Any, where: str) -> datetime:
    """A UTC time from ISO 8601 text with a time zone or from seconds since 1970. Raises Refused."""
    if isinstance(value, str):
        if len(value) > 40:
            raise invalid(where, f"must be {_ISO}")
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            raise invalid(where, f"is {_shown(value)!r}; give {_ISO}") from None
        if time.tzinfo is None:
            raise invalid(where, f"is {value!r}, without a time zone; write for example 2024-05-01T12:00:00Z")
        try:
            return time.astimezone(UTC)
        except OverflowError:
            raise invalid(where, f"is {value!r}, outside the calendar") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid(where, f"must be {_ISO}")
    if value > 1e11:
        raise invalid(where, f"is {value:g}, far in the future; are these milliseconds? Give seconds since 1970")
    if value < 0:
        raise invalid(where, f"is {value:g}, before 1970")
    return datetime.fromtimestamp(value, UTC)


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _shown(text: object) -> str:
    """Text of others, short enough and safe to repeat in a message."""
    shown = str(text)
    if len(shown) > 60:
        shown = shown[:57] + "…"
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")


def success(request_id: str, **content: Any) -> bytes:
    """The one shape of success: the request's id beside what was asked for."""
    return orjson.dumps({"request_id": request_id, **content})


def failure(request_id: str, error: Refused) -> bytes:
    """The one shape of failure."""
    return orjson.dumps(
        {"request_id": request_id, "error": {"code": error.code, "message": error.message, "field": error.field}}
    )


def schema_of(fields: Mapping[str, Field]) -> dict[str, Any]:
    """The JSON schema of an object with these fields, for the OpenAPI document."""
    properties = {
        name: {**(schema_of(spec.fields) if spec.fields else spec.schema), "description": spec.help}
        for name, spec in fields.items()
    }
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [name for name, spec in fields.items() if spec.required]
    if required:
        schema["required"] = required
    return schema
