"""One raw row of a feed → one product row; every mending is reported."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from shelfwise import schema
from shelfwise.intake.attributes import Attribute, put_attribute
from shelfwise.intake.fields import STATUS_COLUMNS, SYNONYMS
from shelfwise.intake.ids import changed, is_damaged_gtin, is_damaged_id
from shelfwise.intake.images import Photos
from shelfwise.intake.mapping import Column, own_name, plain_name, resolve
from shelfwise.intake.moments import Moments, text_of
from shelfwise.intake.reading import Row, value_text
from shelfwise.intake.report import Findings
from shelfwise.intake.states import (
    FILLED,
    LEVELS,
    hidden_most,
    level_in,
    parse_availability,
    parse_status,
    says_otherwise,
    sells_on,
    status_in,
)
from shelfwise.intake.values import (
    CURRENCIES,
    NOTHING,
    clean_path,
    clean_text,
    encoded_once,
    lowest_price,
    parse_money,
    parse_number,
)
from shelfwise.schema import MAX_ATTRIBUTES, MAX_TEXT, MAX_TITLE, PRODUCT_COLUMNS, Availability, Status

#: Attributes that hold a measure, whose unit is written one way.
_LIMITS = {"title": MAX_TITLE, "description": MAX_TEXT, **dict.fromkeys(("brand", "product_type"), MAX_TITLE)}
#: Fields of a product that are made of several of a feed's.
_MADE_OF = {
    "price": ("price", "original_price"),
    "availability": ("availability", "quantity"),
    **dict.fromkeys(("sale_price", "sale_start", "sale_end"), ("sale_price", "original_price", "sale_window")),
}
_TOTALS = frozenset(
    (
        "total", "totals", "grand total", "subtotal", "sum", "summe", "gesamt", "gesamtsumme", "total général",
        "totale", "totaal", "suma", "итого", "合计", "总计", "小计", "合計", "합계",
    )
)  # fmt: skip
_SPAN = re.compile(r"\s+/\s+|\s+(?:to|until|bis|au|hasta|–|—|-)\s+|(?<![A-Za-z])/|/(?=\d)")
_BY_CURRENCY = re.compile(r"(?:price|unit_price|regular_price|preis|prix|precio|prezzo|cena|prijs)_([a-z]{3})$")
_CENTS = frozenset({"price_cents", "price_in_cents", "price_cent", "amount_cents", "unit_amount_cents", "price_pence"})
#: Stock by warehouse: stock_berlin, qty_hamburg; not stock_status or qty_min.
_PLACE = re.compile(
    r"(?:stock|qty|quantity|current_quantity|inventory|bestand|lagerbestand|lager|voorraad)_(?!.*(?:status|state|min|max|level|alert|id|date|"
    r"threshold|unit|manage|code|type|policy|track|sync|reserv|order|days|note|text|label|cost|value|reason))\w+$"
)
#: A category by its levels: category_1, Kategorie Ebene 2, 一级类目 is not.
_LEVEL = re.compile(
    r"(?:category|kategorie|catégorie|categoría|categoria|warengruppe)_(?:level_|ebene_|niveau_|l)?(\d)$"
)
_PRICED = re.compile(r"price|preis|prix|precio|prezzo|preço|cena|prijs|価格|价格|售价|가격|цена")
_NEXT_LINK = re.compile(r"[\s,|;]+(?=https?://|//)")  # between several links in one cell
DOUBT = "doubt"  # column beside PRODUCT_COLUMNS: a status word that is none


class Cleaner:
    """Takes a feed's rows in turn. `given` afterwards: which of PRODUCT_COLUMNS the file has; `keys`: its attributes'.

    mapping: field → column as the user gives it. open_ended: later rows may have columns that `header` lacks.
    """

    def __init__(
        self,
        path: Path,
        header: Iterable[str],
        mapping: Mapping[str, str] | None,
        findings: Findings,
        *,
        photos: Photos,
        currency: str,
        open_ended: bool,
        moments: Moments,
    ) -> None:
        self._path, self._findings, self._photos, self._moments = path, findings, photos, moments
        self._currency = currency.upper()
        self._mapping, self._open_ended = mapping, open_ended
        self._seen: set[str] = set()
        self._plain: dict[str, str] = {}
        self.columns: dict[str, Column] = {}
        self.keys: set[str] = set()
        self.currencies: Counter[str] = Counter()  # that came with prices
        self._currencies = False
        self._now = schema.to_micros(schema.now())
        self.understood: set[str] = set()  # columns of which some word is a status
        self._counted = False  # whether something but the columns of availability and quantity said it
        self.silent: set[int] = set()  # lines that say nothing of availability
        self._learn(list(header))

    def _learn(self, names: list[str]) -> None:
        """Take in the columns of the header, or those that a later row is the first to have."""
        self._seen.update(names)
        header = list(self._plain) + [name for name in names if name not in self._plain]
        self._plain |= {name: plain_name(name) for name in names}
        synonyms = {**SYNONYMS, "status": ()}
        columns = resolve(self._path, header, self._mapping, synonyms, open_ended=self._open_ended)
        self.columns = {**columns, **self.columns}
        if "price" not in self.columns and "price" not in (self._mapping or {}):
            self._priced()
        mapped = self.columns.get("status")
        self._status = (
            []
            if mapped or "status" in (self._mapping or {})
            else [name for name, plain in self._plain.items() if {plain, own_name(name)} & STATUS_COLUMNS]
        )  # a status that the user names is the only one
        taken = {column.name for column in self.columns.values()}
        self._status = [name for name in self._status if name not in taken]
        self._spans = {
            field: [column.name for key, column in self.columns.items() if key == field]
            + [name for name, plain in self._plain.items() if plain in SYNONYMS[field] and name not in taken]
            for field in ("shown_from", "shown_until")
        }  # several may say it: the latest beginning and the earliest end hold
        self._taken = frozenset(taken)
        counted = [name for name, plain in self._plain.items() if _PLACE.match(plain) and name not in taken]
        alone = len(counted) == 1 and plain_name(counted[0]).startswith(("inventory_", "current_quantity_"))
        self._places = counted if len(counted) > 1 or alone else []  # the stock of each warehouse
        path = {int(match[1]): name for name, plain in self._plain.items() if (match := _LEVEL.match(plain))}
        others = {self.columns.get("product_type", Column(path.get(1, ""))).name} - {*path.values()}
        levels = {1, 2} <= path.keys() and not others and "product_type" not in (self._mapping or {})
        self._path_of = [path[n] for n in sorted(path)] if levels else []
        if levels:
            self.columns["product_type"] = Column(path[1])
            self._taken |= {*path.values()}
        self._levels = [name for name, plain in self._plain.items() if plain in LEVELS and name not in taken]
        self._ids = {self.columns[field].name for field in ("id", "item_group_id") if field in self.columns}

    def _priced(self) -> None:
        """Of prices by currency (price_eur, price-USD) the shop's, else the first with its currency; else of cents."""
        by_currency = {
            plain[-3:].upper(): name
            for name, plain in self._plain.items()
            if (match := _BY_CURRENCY.match(plain)) and match[1].upper() in CURRENCIES
        }
        if by_currency:
            code = self._currency if self._currency in by_currency else next(iter(by_currency))
            self.columns["price"] = Column(by_currency[code])
            if "currency" not in self.columns:
                self.columns["currency"] = Column(constant=code)
        elif cents := next((name for name, plain in self._plain.items() if plain in _CENTS), ""):
            self.columns["price"] = Column(cents, divide=100.0)

    @property
    def perhaps_prices(self) -> list[str]:
        """Columns that no field takes and whose names speak of a price."""
        return [name for name, plain in self._plain.items() if name not in self._taken and _PRICED.search(plain)]

    @property
    def given(self) -> set[str]:
        """Which of PRODUCT_COLUMNS the file has a column for."""
        given = {
            field for field in PRODUCT_COLUMNS if any(part in self.columns for part in _MADE_OF.get(field, (field,)))
        }
        if self._currencies:
            given.add("currency")
        if self.understood:
            given.add("status")
        if self._counted:
            given.add("availability")
        return given

    def product(self, line: int, row: Row) -> tuple[Any, ...]:
        """(line, *PRODUCT_COLUMNS, DOUBT)."""
        if self._open_ended and not row.keys() <= self._seen:
            self._learn([name for name in row if name not in self._seen])
        row = self._readable(line, row)
        price, currency, sale, start, end = self._prices(line, row)
        status, doubt = self._shown(line, row)
        return (
            line,
            self._id(line, row, "id"),
            self._cleaned(line, row, "title"),
            self._cleaned(line, row, "description"),
            self._cleaned(line, row, "brand"),
            self._category(line, row),
            price,
            currency,
            self._availability(line, row),
            self._photo(line, row),
            self._text(row, "link").strip(),
            self._id(line, row, "item_group_id"),
            self._gtin(line, row),
            clean_text(self._text(row, "mpn"), markup=False),
            self._created(line, row),
            self._attributes(line, row),
            status,
            sale,
            start,
            end,
            *self._times(line, row),
            doubt,
        )

    def no_product(self, row: Row) -> str:
        """Why the row is none, "" where it may be one."""
        if "title" not in self.columns or self._text(row, "title").strip():
            return ""
        if self._text(row, "id").strip(" :.").casefold() in _TOTALS:
            return "a line of totals"
        if len(row) > 3 and sum(bool(value_text(value).strip()) for value in row.values()) == 1:
            return "a line of one text and nothing else"
        return ""

    def _readable(self, line: int, row: Row) -> Row:
        """The row with texts encoded once, and without texts that stand for nothing."""
        changed: Row = {}
        for name, value in row.items():
            if not isinstance(value, str):
                continue
            if (
                value in NOTHING
                and name not in self._ids
                and (name in self._taken or value[:4].lower() not in ("none", "n/a"))
            ):
                changed[name] = ""
                why = "a word for nothing, as programs write it (nan, NULL, None, N/A): taken as empty"
                self._findings.add("empty_word", "mended", why, [(line, f"{name}: {value}")])
            elif (once := encoded_once(value)) != value:
                changed[name] = once
                why = "UTF-8 that was read as Windows-1252 and encoded again; read as it was meant"
                self._findings.add("encoded_twice", "mended", why, [(line, f"{value[:60]} → {once[:60]}")])
        return {**row, **changed} if changed else row

    def _value(self, row: Row, field: str) -> Any:
        column = self.columns.get(field)
        if column is None:
            return None
        return row.get(column.name) if column.constant is None else column.constant

    def _text(self, row: Row, field: str) -> str:
        return value_text(self._value(row, field))

    def _id(self, line: int, row: Row, field: str) -> str:
        """Text as given: 0017, 12.0 and 1E3 stay what they are."""
        rule = self.columns[field].rule if field in self.columns else ""
        name = self._text(row, field).strip()
        if field == "id" and is_damaged_id(name):
            why = "looks like a number that a spreadsheet shortened; kept as given. Format the column as text"
            self._findings.add("damaged_id", "flagged", why, [(line, name)])
        return str(changed(pl.Series([name]), rule)[0]) if rule else name

    def _gtin(self, line: int, row: Row) -> str:
        gtin = clean_text(_first(self._value(row, "gtin")), markup=False)
        if re.fullmatch(r"\d{8,14}\.0", gtin):
            why = "a spreadsheet or pandas wrote the GTIN as a float; read without the .0"
            self._findings.add("float_gtin", "mended", why, [(line, gtin)])
            gtin = gtin.removesuffix(".0")
        if is_damaged_gtin(gtin):
            why = "a spreadsheet kept only the first digits of the GTIN; left out. Format the column as text"
            self._findings.add("damaged_gtin", "mended", why, [(line, gtin)])
            return ""
        return gtin

    def _cleaned(self, line: int, row: Row, field: str) -> str:
        return self._cut(line, field, clean_text(self._text(row, field)))

    def _cut(self, line: int, field: str, text: str) -> str:
        limit = _LIMITS[field]
        if len(text) > limit:
            self._findings.add(
                f"long_{field}", "mended", f"the {field} is over {limit:,} characters; cut there", [(line, text[:60])]
            )
            text = text[:limit]
        return text

    def _category(self, line: int, row: Row) -> str:
        value = self._value(row, "product_type")
        if self._path_of:
            value = [text for name in self._path_of if (text := value_text(row.get(name)).strip())]
        if isinstance(value, list):
            value = " > ".join(value_text(level) for level in value)
        return self._cut(line, "product_type", clean_path(value_text(value)))

    # Prices

    def _prices(self, line: int, row: Row) -> tuple[float | None, str, float | None, int | None, int | None]:
        """price, currency, sale price and its window in µs. What was before a reduction is the price, what is asked
        now the sale price."""
        price, currency = self._amount(line, row, "price")
        before, other = self._amount(line, row, "original_price")
        sale, third = self._amount(line, row, "sale_price")
        currency = currency or other or third
        if currency and ("price" in self.columns or "sale_price" in self.columns):
            self._currencies = True
            self.currencies[currency] += price is not None
        if before is not None and price is None:
            price, before = before, None
        if before is not None and price is not None and before > price and sale is None:
            price, sale = before, price
        if sale is None:
            return price, currency, None, None, None
        text = self._text(row, "sale_price")
        if third and currency and third != currency:
            problem = f"the sale price is in {third}, the price in {currency}"
        elif sale <= 0:
            problem = "the sale price is 0"
        elif price is not None and sale >= price:
            problem = "" if sale == price else "the sale price is above the price"
            sale = None
        else:
            problem = ""
        if problem:
            self._findings.add("odd_sale_price", "mended", f"{problem}; the price holds", [(line, text)])
            sale = None
        if sale is None:
            return price, currency, None, None, None
        start, end, readable = self._window(row)
        if not readable:
            fields = ("sale_window", "sale_start", "sale_end")
            shown = " / ".join(text for field in fields if (text := self._text(row, field)))
            hint = self._moments.hint(self._text(row, "sale_end"), "sale_end", self.columns.get("sale_end", Column()))
            why = f"when the sale price holds cannot be read; the price holds{hint}"
            self._findings.add("unreadable_sale_window", "mended", why, [(line, shown)])
            return price, currency, None, None, None
        return price, currency, sale, start, end

    def _window(self, row: Row) -> tuple[int | None, int | None, bool]:
        begin, finish = [*_SPAN.split(self._text(row, "sale_window").strip(), maxsplit=1), ""][:2]
        begin = begin.strip() or text_of(self._value(row, "sale_start"))
        finish = finish.strip() or text_of(self._value(row, "sale_end"))
        start = self._moments.read(begin, self.columns.get("sale_start", Column()))
        end = self._moments.read(finish, self.columns.get("sale_end", Column()), day_ends=True)
        readable = (start is not None or not begin) and (end is not None or not finish)
        return start, end, readable and not (start is not None and end is not None and end <= start)

    def _amount(self, line: int, row: Row, field: str) -> tuple[float | None, str]:
        value = self._value(row, field)
        shop = clean_text(self._text(row, "currency"), markup=False).upper() or self._currency
        column = self.columns.get(field, Column())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value) / column.divide, shop
        text = value_text(value)
        if not text.strip():
            return None, shop if field == "price" else ""
        money = parse_money(clean_text(text), shop)
        if money is None and (money := lowest_price(clean_text(text), shop)) is not None:
            why = "several prices, as of variants: the lowest is the price"
            self._findings.add("price_range", "mended", why, [(line, text)])
        if money is None:
            name = field.replace("_", " ")
            self._findings.add(f"unreadable_{field}", "mended", f"the {name} is no amount; left out", [(line, text)])
            return None, shop if field == "price" else ""
        return money[0] / column.divide, money[1] or shop

    # Whether it can be bought, and seen

    def _availability(self, line: int, row: Row) -> str:
        text, quantity = self._text(row, "availability"), self._text(row, "quantity")
        words = text if text.strip() else quantity
        if not words.strip():
            said = (level_in(own_name(name), value_text(row.get(name)).strip()) for name in self._levels)
            words = quantity = next(filter(None, said), "")
            self._counted = self._counted or bool(words)
        if not words.strip() and (pieces := [n for name in self._places if (n := _pieces(row.get(name))) is not None]):
            self._counted = True
            return str(Availability.IN_STOCK if sum(pieces) > 0 else Availability.OUT_OF_STOCK)
        if not words.strip():
            self.silent.add(line)
            return str(Availability.IN_STOCK)
        known = parse_availability(words)
        if known is None and words is text and quantity.strip():
            known = parse_availability(quantity)
        if (
            known is Availability.OUT_OF_STOCK
            and words is quantity
            and (policy := self._text(row, "backorders").strip())
        ):
            known = Availability.BACKORDER if sells_on(own_name(self.columns["backorders"].name), policy) else known
        if known is None:
            why = "the availability is no known word; unknown, which sells. Map another column with --map availability="
            self._findings.add("unknown_availability", "mended", why, [(line, words)])
            return str(Availability.UNKNOWN)
        return str(known)

    def _shown(self, line: int, row: Row) -> tuple[str, str]:
        """(status, the word that is none)."""
        mapped = self.columns.get("status")
        if mapped is not None:
            text = self._text(row, "status").strip()
            if mapped.shown:
                self.understood.add(mapped.name)
                live = text.casefold() in mapped.shown
                return str(Status.ACTIVE if live else parse_status(text) or Status.HIDDEN), ""
            status = status_in(own_name(mapped.name), text)
            self.understood.add(mapped.name)
            if status is None:
                why = 'the status is no known word; hidden. Name the words shown: --map "status=COLUMN|shown:WORD,WORD"'
                self._findings.add("unknown_status", "flagged", why, [(line, text)])
            return str(status or Status.HIDDEN), ""
        states: list[Status] = []
        doubts: list[str] = []
        for name in self._status:
            if name not in row:
                continue
            text = value_text(row[name])
            status = status_in(own_name(name), text)
            if status is None:
                doubts += [] if says_otherwise(own_name(name), text) else [f"{name}: {text.strip()}"]
            elif text.strip() or own_name(name) in FILLED:
                states.append(status)
                self.understood.add(name)
        return str(hidden_most(states)), "\n".join(doubts)

    def _times(self, line: int, row: Row) -> tuple[int | None, int | None]:
        """From when and until when it is shown, µs."""
        said: list[list[tuple[int, str]]] = []
        for field, names in self._spans.items():
            said.append([])
            own = self.columns.get(field, Column())
            for name in names:
                text, column = text_of(row.get(name)), own if own.name == name else Column(name)
                if (time := self._moments.read(text, column, day_ends=field == "shown_until")) is not None:
                    said[-1].append((time, text))
                elif text.strip("0-:. /T"):
                    hint = self._moments.hint(text, field, column)
                    why = f"when the product is shown cannot be read; it is shown{hint}"
                    self._findings.add("unreadable_shown", "flagged", why, [(line, text)])
        start, begins = max(said[0], default=(None, ""))
        end, ends = min(said[1], default=(None, ""))
        created = self.columns.get("created", Column())
        if start is None and plain_name(created.name).startswith("publish"):
            begins = text_of(self._value(row, "created"))
            start = self._moments.read(begins, created)
            start = start if start is not None and start > self._now else None  # to be published
        if end is not None and end <= self._now:
            why = "kept and not shown: its last day is over"
            self._findings.add("ended", "hidden", why, [(line, f"{self._text(row, 'id')}: {ends}")])
        elif start is not None and start > self._now:
            why = "kept, and not shown before its first day"
            self._findings.add("not_begun", "hidden", why, [(line, f"{self._text(row, 'id')}: {begins}")])
        if start is not None and end is not None and end <= start:
            return None, end
        return start, end

    def _photo(self, line: int, row: Row) -> str:
        link = _NEXT_LINK.split(_first(self._value(row, "image_link")).strip())[0]
        link = f"https:{link}" if link.startswith("//") else link
        kept, problem = self._photos.find(link)
        if problem:
            why = "the photo cannot be used; the product is kept without"
            self._findings.add("broken_image", "mended", why, [(line, f"{link} {problem}")])
        return kept

    def _created(self, line: int, row: Row) -> int | None:
        text, column = text_of(self._value(row, "created")), self.columns.get("created", Column())
        time = self._moments.read(text, column)
        if time is None and text:
            why = f"the date cannot be read; left out{self._moments.hint(text, 'created', column)}"
            self._findings.add("unreadable_created", "mended", why, [(line, text)])
        return time

    # What no field takes

    def _attributes(self, line: int, row: Row) -> str:
        """As JSON."""
        made: dict[str, Attribute] = {}
        for key, value in row.items():
            if key in self._taken or (key in self._status and self._understood(key, value)):
                continue
            name = plain_name(clean_text(key)) if " " in key or ":" in key else key
            self.keys.add(name)
            if value is not None and value != "":
                put_attribute(made, name, value)
        if len(made) > MAX_ATTRIBUTES:
            why = f"over {MAX_ATTRIBUTES:,} attributes; the rest is left out"
            self._findings.add("many_attributes", "mended", why, [(line, f"{len(made):,}")])
            made = dict(list(made.items())[:MAX_ATTRIBUTES])
        self.keys.update(made)
        return orjson.dumps(made).decode() if made else "{}"

    def _understood(self, key: str, value: Any) -> bool:
        return status_in(own_name(key), value_text(value)) is not None


def _first(value: Any) -> str:
    return value_text((value[0] if value else "") if isinstance(value, list) else value)


def _pieces(value: Any) -> float | None:
    text = value_text(value).strip()
    return parse_number(text) if text else None
