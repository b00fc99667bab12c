"""Feeds as XML: Google Merchant's RSS 2.0 (`item`) and Atom (`entry`), names in its g: namespace or without; Yandex's
(`offer`), Heureka's (`SHOPITEM`) and others whose records are called `product` or the like.

Read by expat block by block, one product in memory at a time. A document type that declares entities is refused, so
neither outside files nor "billion laughs" can come in.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from xml.parsers import expat

from shelfwise.errors import UnreadableFile
from shelfwise.intake.encoding import Encoding, chunks_of_bytes, declared_encoding_of
from shelfwise.intake.reading import MAX_LINE, Row

_GOOGLE = "base.google.com/ns/1.0"
_RECORDS = frozenset(
    ("item", "entry", "product", "offer", "shopitem", "article", "artikel", "produkt", "produit", "producto")
)
_MANY = " | "  # joins the values of a repeated element (additional_image_link)


class _Refused(Exception):
    pass


def xml_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """(line, element name → text) of each product. Raises UnreadableFile with the line."""
    encoding = declared_encoding_of(path)
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")  # expat itself knows no multi-byte encoding
    parser.buffer_text = True
    feed = _Feed(parser)
    parser.StartElementHandler = feed.start
    parser.EndElementHandler = feed.end
    parser.CharacterDataHandler = feed.text
    parser.EntityDeclHandler = feed.refuse_entity
    parser.ExternalEntityRefHandler = feed.refuse_entity
    try:
        for block in _as_utf8(path, encoding):
            parser.Parse(block, False)
            yield from feed.take()
        parser.Parse(b"", True)
        yield from feed.take()
    except expat.ExpatError as error:
        raise UnreadableFile(path, f"is not XML: {expat.ErrorString(error.code)}", line=error.lineno) from None
    except _Refused as refusal:
        raise UnreadableFile(path, str(refusal), line=parser.CurrentLineNumber) from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start : error.start + 1].hex()
        problem = f"is not {encoding.name} (byte 0x{byte}); name its encoding with --encoding"
        raise UnreadableFile(path, problem, line=parser.CurrentLineNumber) from None


def is_google(path: Path) -> bool:
    """Whether a feed speaks Google's namespace."""
    return any(_GOOGLE.encode() in block for block in islice(chunks_of_bytes(path), 1))


def _as_utf8(path: Path, encoding: Encoding) -> Iterator[bytes]:
    if encoding.codec == "utf-8":
        yield from chunks_of_bytes(path)
        return
    decoder = codecs.getincrementaldecoder(encoding.codec)()
    for block in chunks_of_bytes(path):
        yield decoder.decode(block).encode("utf-8")
    yield decoder.decode(b"", final=True).encode("utf-8")


_CURRENCIES = ("currency", "currencyId", "currencyID", "currencyCode", "currency_id", "currency_code")
_AMOUNT = re.compile(r"[\d.,\s]+")


class _Feed:
    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self._done: list[tuple[int, Row]] = []
        self._row: Row | None = None
        self._line = 0
        self._record = ""
        self._currency = ""  # that an element's attribute names
        self._label = ""  # of a value that a name or a language belongs to
        self._path: list[str] = []  # names below the record
        self._text: list[str] = []
        self._size = 0

    def take(self) -> list[tuple[int, Row]]:
        done, self._done = self._done, []
        return done

    def refuse_entity(self, *_: object) -> int:
        raise _Refused("declares entities, which a feed does not need and which can be misused; remove the DOCTYPE")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        local = local.lower()
        if self._row is None:
            if local in _RECORDS or (len(attributes) > 2 and {"id", "sku"} & {one.lower() for one in attributes}):
                self._row, self._line, self._size = dict(attributes), self._parser.CurrentLineNumber, 0
                self._record = local
            return
        self._path.append(f"g:{local}" if _GOOGLE in space else local)
        self._text = []
        self._label = attributes.get("name", "")
        self._currency = next((attributes[one] for one in _CURRENCIES if attributes.get(one)), "")
        address = attributes.get("href")  # Atom's links
        if address and self._path == ["link"] and attributes.get("rel", "alternate") == "alternate":
            self._row.setdefault("link", address)

    def text(self, text: str) -> None:
        if self._row is not None:
            self._size += len(text)
            if self._size > MAX_LINE:
                raise _Refused(f"one product has over {MAX_LINE:,} characters")
            self._text.append(text)

    def end(self, name: str) -> None:
        if self._row is None:
            return
        if not self._path:  # the record ends
            if name.rpartition(" ")[2].lower() == self._record:
                row, self._row = self._row, None
                self._done.append((self._line, _plain(row)))
            return
        key = ".".join(self._path)
        self._path.pop()
        text = "".join(self._text).strip()
        self._text = []
        label, self._label = self._label, ""
        if self._currency and _AMOUNT.fullmatch(text):  # <price currency="EUR">3.50</price>
            text = f"{text} {self._currency}"
        self._currency = ""
        inner = key.rpartition(".")
        if inner[2] == "language" and inner[0]:  # PrestaShop's <name><language id="1">Cup</language>…</name>
            key = inner[0]
            if key in self._row:
                return
        if label and key in (
            "param",
            "attribute",
            "property",
            "feature",
            "attributes.attribute",
            "properties.property",
        ):
            key = label  # <param name="Colour">red</param>
        if text:
            before = self._row.get(key)
            self._row[key] = text if before is None else f"{before}{_MANY}{text}"


def _plain(row: Row) -> Row:
    """Google's names win over RSS's and Atom's own: g:id is the product, Atom's id an address."""
    plain = {name: text for name, text in row.items() if "g:" not in name}
    plain.update({name.replace("g:", ""): text for name, text in row.items() if "g:" in name})
    return plain
