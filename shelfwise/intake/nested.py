"""Records that hold lists of products → one row a product, each with the texts of an event's fields.

Orders of shop systems (`line_items`, `items`, `products`), Segment's tracks (`properties.products`), sessions with
their events (OTTO), parallel lists of Parquet (`product_id: [..]`, `quantity: [..]`), lists written as JSON text. A
field is looked for in the list's entry first, then in the record, then in what the record nests. A list that is none
of these is an error, never an id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from shelfwise.errors import UnreadableFile
from shelfwise.intake import columns, documents, event_fields, reading
from shelfwise.intake.mapping import Column, plain_name, resolve
from shelfwise.intake.reading import value_text
from shelfwise.intake.report import Findings
from shelfwise.schema import EventType

ROWS = 50_000
REFUND = str(EventType.REFUND)  # what an order's own refunds are called
_LOOKED_AT = 200  # records that say whether a file nests
#: What lists of a record are called, as `plain_name` writes it, the likeliest first.
_LISTS = (
    "line_items", "lineitems", "items", "products", "order_items", "order_rows", "order_lines", "lines", "events",
    "contents", "basket", "cart", "positions", "entries", "articles", "product_list", "product_details",
    "actions", "interactions",
)  # fmt: skip
#: Columns of a warehouse's table that hold what an event says as JSON text.
_WRAPPED = frozenset(
    ("properties", "event_properties", "event_params", "params", "payload", "event_data", "attributes")
)
#: Names that an entry of a list may have beside those of a flat log.
_ENTRY = {
    "product": ("aid", "id", "variation_id", "variant_id", "product_sku", "item_sku", "code", "name"),
    "time": ("ts",),
    "name": ("name",),
    "quantity": ("qty_ordered", "quantity_ordered", "amount"),
    "price": (
        "price_incl_tax",
        "unit_amount",
        "base_price",
        "discounted_unit_price_set",
        "original_unit_price_set",
        "original_unit_price",
    ),
}
_WHOLE = frozenset(("jpy", "krw", "vnd", "clp", "JPY", "KRW", "VND", "CLP"))  # currencies without cents
_IDS = ("product", "product_id", "productid", "sku", "item_sku", "product_sku")  # before item_id, often a line's number
#: Names that an order, which holds the list, may have.
_RECORD = {
    "request_id": (
        "parent_order_id",
        "parent_id",
        "order_number",
        "increment_id",
        "transaction_id",
        "order_no",
        "id",
        "number",
        "name",
    ),
    "customer": ("customer_email", "email", "customer"),
    "time": ("date_created_gmt", "date_created", "processed_at", "purchase_date", "order_created_at"),
    "status": ("financial_status", "display_financial_status", "order_status", "state", "payment_status"),
}


def is_nested(path: Path, kind: str) -> bool:
    """Whether records hold lists, or objects that a flat table has no columns for."""
    if kind == "parquet":
        return any(dtype.is_nested() for dtype in reading._parquet(path).collect_schema().dtypes())
    if kind in ("csv", "tsv"):
        return _nests_in_table(path, kind)
    return kind == "jsonl" and (_nests_at_once(path) or _nests_later(path))


def _nests_at_once(path: Path) -> bool:
    return any(_nests(row) for _, row in islice(reading.json_rows(path), _LOOKED_AT))


def _nests_later(path: Path) -> bool:
    """Whether a line of a long log does, which begins with views and has its first order far behind."""
    if documents.is_document(path):
        return any(_nests(row) for _, row in reading.json_rows(path))
    for _, text in reading.lines(path):
        if "[" in text or "{" in text[1:]:
            try:
                row = json.loads(text)
            except ValueError:
                return False  # the reader says what is wrong, with its line
            if isinstance(row, dict) and _nests(row):
                return True
    return False


def _nests(row: Mapping[str, Any]) -> bool:
    return any(isinstance(value, dict | list) or _is_list_text(value) for value in row.values())


def holds_orders(path: Path, kind: str) -> bool:
    """Whether records hold lines of orders or events of sessions, and are no products with variants."""
    for seen, (_, record) in enumerate(reading.rows_of(path, kind)):
        if seen >= _LOOKED_AT:
            break
        names = {plain_name(name) for name in record}
        if names & {"title", "handle", "variants", "type_id", "regular_price"}:
            return False
        if any(plain_name(name) in _LISTS and isinstance(_list_of(value), list) for name, value in record.items()):
            return True
    return False


def _nests_in_table(path: Path, kind: str) -> bool:
    """Whether a column of a table holds orders' lines as JSON text."""
    header = reading.header_of(path, kind)
    if any(plain_name(name) in _WRAPPED for name in header):
        names = [name for name in header if plain_name(name) in _WRAPPED]
        sample = next(reading.text_frames(path, kind, names), None)
        return sample is not None and any(
            isinstance(_list_of(text.strip()), dict) for name in names for text in sample[name].head(_LOOKED_AT)
        )
    names = [name for name in header if _called(name) in _LISTS]
    texts = next(reading.text_frames(path, kind, names), None) if names else None
    return texts is not None and any(
        isinstance(entries := _list_of(text.strip()), list) and bool(entries) and isinstance(entries[0], dict)
        for name in names
        for text in texts[name].head(_LOOKED_AT).to_list()
    )


def _is_list_text(value: object) -> bool:
    return isinstance(value, str) and value[:1] in ("[", "{") and isinstance(_list_of(value), list | dict)


def _list_of(value: object) -> object:
    """A list or object written as JSON text, read; else the value."""
    if isinstance(value, str) and value.startswith("Product ID: "):  # BigCommerce's orders
        lines = (re.findall(r"(Product [A-Z][\w ]*?): (.*?)(?=, Product [A-Z]|$)", part) for part in value.split("|"))
        return [dict(line) for line in lines]
    if isinstance(value, str) and value[:1] in "[{" and value[-1:] in "]}":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def frames(
    path: Path,
    kind: str,
    mapping: Mapping[str, str] | None,
    synonyms: Mapping[str, tuple[str, ...]],
    known: Collection[str],
    findings: Findings,
) -> Iterator[tuple[pl.DataFrame, dict[str, Column]]]:
    """(texts by field with `line` and `place`, fields as `Column`s), frame by frame. known: the catalogue's ids."""
    given = resolve(path, [], mapping, synonyms, open_ended=True) if mapping else {}
    fields = [
        field for field in synonyms if field != "returned" and not (mapping and field in mapping and not mapping[field])
    ]
    reader = _Reader(path, given, {field: synonyms[field] for field in fields}, known)
    rows: list[tuple[Any, ...]] = []
    for line, record in reading.rows_of(path, kind):
        made = reader.rows(line, record)
        findings.read += max(len(made), 1)
        if not made:
            findings.add("empty_list", "dropped", "the record's list of products is empty", [(line, "")])
        rows += made
        if len(rows) >= ROWS:
            yield reader.frame(rows), reader.columns
            rows = []
    if reader.lists:
        findings.facts["lists"] = ", ".join(sorted(reader.lists))
    findings.facts["columns"] = {field: ", ".join(sorted(names)) for field, names in reader.used.items() if names}
    if rows or not reader.used:
        yield reader.frame(rows), reader.columns


class _Reader:
    def __init__(
        self,
        path: Path,
        given: Mapping[str, Column],
        synonyms: Mapping[str, tuple[str, ...]],
        known: Collection[str],
    ) -> None:
        self._path = path
        self._known = known
        self._given = given
        self._synonyms = synonyms
        self.fields = tuple(synonyms)
        self.columns = {
            field: Column(field, divide=column.divide, format=column.format, rule=column.rule, codes=column.codes)
            for field, column in ((field, given.get(field, Column())) for field in self.fields)
        }
        self.used: dict[str, set[str]] = {field: set() for field in self.fields}
        self.lists: set[str] = set()

    def frame(self, rows: list[tuple[Any, ...]]) -> pl.DataFrame:
        kinds = {"line": pl.Int64(), "place": pl.Int64(), **{field: pl.String() for field in self.fields}}
        return pl.DataFrame(rows, schema=kinds, orient="row")

    def rows(self, line: int, record: dict[str, Any]) -> list[tuple[Any, ...]]:
        flat = _flat(record)
        name, entries = self._entries(flat)
        if name:
            self.lists.add(name)
        rest = {key: value for key, value in flat.items() if key != name and not key.startswith(f"{name}.")}
        rest = {key: value for key, value in rest.items() if not isinstance(value, list)}
        plain = _plain(rest)
        made: list[tuple[Any, ...]] = []
        numbers = {entry.get("item_id") for entry in entries}
        for place, entry in enumerate(entries):
            if (parent := entry.get("parent_item_id")) and parent in numbers:
                continue  # Magento's second line of a configurable product
            inside = _plain(_flat(entry))
            values = [self._value(field, entry, inside, rest, plain, bool(name)) for field in self.fields]
            made.append((line, place, *values))
            if (back := _pieces_back(inside)) and name and not record.get("refunds"):
                made.append((line, len(entries) + place, *self._refund(values, back, "")))
        for back, time, entry in _refunds(record):
            inside = _plain(_flat(entry))
            values = [self._value(field, entry, inside, rest, plain, True) for field in self.fields]
            made.append((line, len(made) + len(entries), *self._refund(values, back, time)))
        return made

    def _refund(self, values: list[str], pieces: float, time: str) -> list[str]:
        """The row of a purchase as that of a refund."""
        changed = {"type": REFUND, "quantity": value_text(pieces), "id": "", "status": "", "cancelled": ""}
        changed |= {"time": time} if time else {}
        return [changed.get(field, value) for field, value in zip(self.fields, values, strict=True)]

    def _entries(self, flat: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """The list of the record, and its entries as objects; ("", [{}]) where it holds none."""
        lists = {key: listed for key, value in flat.items() if isinstance(listed := _list_of(value), list)}
        mapped = self._given.get("product")
        if mapped is not None and mapped.name:
            head = mapped.name.rpartition(".")[0]
            for key in (mapped.name, head):
                if key in lists:
                    listed = lists[key]
                    if all(isinstance(one, dict) for one in listed):
                        return key, listed
                    return key, [{"product": one} for one in listed]
        order = {name: at for at, name in enumerate(_LISTS)}
        objects = [key for key, value in lists.items() if all(isinstance(one, dict) for one in value)]
        objects = [key for key in objects if _called(key) in order]
        if objects:
            key = min(objects, key=lambda key: (order[_called(key)], key.count(".")))
            return key, lists[key]
        products = (
            *self._synonyms.get("product", ()),
            *_LISTS,
            "product_ids",
            "item_ids",
            "content_ids",
            "object_ids",
            "skus",
        )
        scalar = [
            key
            for key, value in lists.items()
            if (plain_name(key.rsplit(".", 1)[-1]) in products or _is_columns_id(key))
            and not any(isinstance(one, dict | list) for one in value)
        ]
        if scalar:
            first = scalar[0]
            parallel = [key for key, value in lists.items() if len(value) == len(lists[first])]
            if len(lists[first]) == 1:
                parallel = [key for key in parallel if key != first] + [first]
            entries = [
                {("product_id" if key == first else key.rsplit(".", 1)[-1]): lists[key][at] for key in parallel}
                for at in range(len(lists[first]))
            ]
            return first, entries
        return "", [{}]

    def _value(
        self,
        field: str,
        entry: dict[str, Any],
        inside: dict[str, Any],
        rest: dict[str, Any],
        plain: dict[str, Any],
        listed: bool,
    ) -> str:
        if (column := self._given.get(field)) is not None:
            if column.constant is not None:
                return column.constant
            if column.name in self.lists:  # the list itself was named: its entries tell
                column = None
        if column is not None:
            short = column.name.rsplit(".", 1)[-1]
            for where, name in ((rest, column.name), (entry, column.name), (entry, short), (plain, plain_name(short))):
                if where.get(name) is not None:
                    return self._text(field, name, where[name])
            return ""
        names = self._synonyms[field]
        candidates: list[tuple[str, Any]] = []
        own = (*names, *_ENTRY.get(field, ())) if listed else names
        if field == "product" and listed:
            own = (*_IDS, *own)
        if not (field in ("id", "request_id", "customer", "session", "status") and listed):
            candidates += [(name, inside[name]) for name in own if inside.get(name) not in (None, "")]
        elif field == "id":
            candidates += [
                (name, inside[name]) for name in names if name != "id" and inside.get(name) not in (None, "")
            ]
        if field not in ("quantity", "price", "product") or not listed:
            more = (*names, *_RECORD.get(field, ())) if listed else names
            if field == "id" and listed:
                more = tuple(name for name in more if name != "id")  # of an order with many lines
            candidates += [(name, plain[name]) for name in more if plain.get(name) not in (None, "")]
        if field == "customer":
            candidates = [(name, value) for name, value in candidates if not isinstance(value, dict | list)]
        if field == "type" and listed:  # an order's line is a `product`, a `promotion`: no event's name
            mine = columns.types(pl.Series([value_text(value) for _, value in candidates], dtype=pl.String))
            candidates = [one for one, kind in zip(candidates, mine, strict=True) if kind or one[0] not in inside]
        if field == "type" and not candidates and isinstance(said := plain.get("name"), str):
            kind = columns.types(pl.Series([said], dtype=pl.String))[0]  # what happened, by its name
            candidates = [("name", said)] if kind is not None else []
        if field == "request_id":  # `name` is an order's, not an event's
            candidates = [one for one in candidates if one[0] != "name" or not _is_event(one[1])]
        if not candidates:
            return ""
        if field == "type":
            known = columns.types(pl.Series([value_text(value) for _, value in candidates], dtype=pl.String))
            for (name, value), kind in zip(candidates, known, strict=True):
                if kind is not None:
                    return self._text(field, name, value)
            name, value = next(((n, v) for n, v in candidates if n.startswith("event")), candidates[0])
            return self._text(field, name, value)
        zeros = ("parent_id", "parent_order_id", "variation_id", "variant_id")  # 0 is none
        candidates = [one for one in candidates if one[0] not in zeros or value_text(one[1]) not in ("0", "")]
        if not candidates:
            return ""
        if field == "session" and len(candidates) > 1:  # Amplitude's outside of any
            candidates = [one for one in candidates if value_text(one[1]) != "-1"] or candidates
        if field == "product" and self._known:  # of several ids the one that the catalogue has
            candidates.sort(key=lambda candidate: value_text(candidate[1]) not in self._known)
        name, value = candidates[0]
        cents = name == "unit_amount" or "client_profile_data_email" in plain  # Stripe's, VTEX's
        if field == "price" and cents and isinstance(value, int) and value_text(plain.get("currency")) not in _WHOLE:
            value = value / 100
        return self._text(field, name, value)

    def _text(self, field: str, name: str, value: Any) -> str:
        value = _list_of(value)
        if isinstance(value, dict | list):
            raise UnreadableFile(
                self._path,
                f"the column {name!r}, taken for {field}, holds a list or an object ({value_text(value)[:60]}); "
                f"write one line a product, or name what is inside with --map {field}={name}.NAME",
                column=name,
            )
        self.used[field].add(name)
        return value_text(value)


def _called(key: str) -> str:
    """What a list is called: its own name, or that of the object whose `data` it is; Snowplow's products."""
    parts = key.rsplit(".", 2)
    name = parts[-2] if parts[-1] in ("data", "nodes", "edges") and len(parts) > 1 else parts[-1]
    if name.startswith("contexts_") and re.search(r"_product_\d+$", name):
        return "products"
    return plain_name(name)


def _is_columns_id(key: str) -> bool:
    """ClickHouse's nested columns, items.id beside items.qty."""
    head, _, last = key.rpartition(".")
    return plain_name(head) in _LISTS and plain_name(last) in ("id", *_IDS, "item_id", "code")


def _is_event(value: object) -> bool:
    return isinstance(value, str) and columns.types(pl.Series([value], dtype=pl.String))[0] is not None


def _flat(record: Mapping[str, Any], prefix: str = "", depth: int = 4) -> dict[str, Any]:
    """Nested objects as dotted keys; lists stay."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        value = _list_of(value)
        if isinstance(value, dict) and depth:
            flat.update(_flat(value, f"{prefix}{key}.", depth - 1))
        else:
            flat[prefix + key] = value
    return flat


def _plain(flat: Mapping[str, Any]) -> dict[str, Any]:
    """By plain name: of each key whole (customer.id is customer_id), else of its last part; the outermost wins."""
    plain: dict[str, Any] = {}
    for key in sorted(flat, key=lambda key: key.count(".")):
        plain.setdefault(plain_name(key), flat[key])
        if "." in key:
            plain.setdefault(plain_name(key.rsplit(".", 1)[-1]), flat[key]) if not key.endswith(".id") else None
    return plain


_BACK = event_fields.SYNONYMS["returned"]
_GONE = ("qty_canceled", "qty_cancelled", "quantity_cancelled", "cancelled_quantity")


def _pieces_back(inside: Mapping[str, Any]) -> float:
    """Pieces of an order's line that were given back or cancelled."""
    back = sum(_number(next((inside[name] for name in names if name in inside), 0)) for names in (_BACK, _GONE))
    if not back and "current_quantity" in inside:  # Shopify: what is left of `quantity`
        back = _number(inside.get("quantity")) - _number(inside["current_quantity"])
    return max(back, 0.0)


def _refunds(record: Mapping[str, Any]) -> Iterator[tuple[float, str, dict[str, Any]]]:
    """(pieces, when, the order's line) of Shopify's refunds of an order."""
    items = _of(record, "line_items") or []
    for refund in _of(record, "refunds") or ():
        for line in _of(refund, "refund_line_items") or ():
            entry = _of(line, "line_item")
            number = entry.get("id") if isinstance(entry, dict) else _of(line, "line_item_id")
            entry = next((one for one in items if one.get("id") == number), entry)
            if isinstance(entry, dict) and (pieces := _number(line.get("quantity"))) > 0:
                yield pieces, value_text(_of(refund, "created_at")), entry


def _of(record: object, name: str) -> Any:
    """The value of this name, snake_case or camelCase."""
    if not isinstance(record, dict):
        return None
    return record[name] if name in record else record.get(re.sub(r"_(.)", lambda found: found[1].upper(), name))


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        return 0.0
