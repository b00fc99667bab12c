"""Model numbers, SKUs, barcodes and sizes: what of a product and of a query is one, however it is written.

WF-M5799DWF is found as wfm5799dwf, by its middle (m5799) and in pieces; a barcode with or without the zeros that a
scanner adds and a spreadsheet eats; M4 x 20 as m4x20; AC/DC as acdc. A digit is never forgiven: another digit is
another model. Each kind of code has a mark of its own, so that a part is never taken for a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from shelfwise.search.query.text import normal

_SEPARATORS = str.maketrans("", "", " -_./")
_PIECE = re.compile(r"[^\W\d_]+|\d+")
_WITH_DIGIT = re.compile(r"[^\s,;:()\[\]\"\d]*\d[^\s,;:()\[\]\"]*")
_SIZE = re.compile(r"(?<![\w.])[a-z]{0,2}\d+(?:[.,]\d+)?(?:\s*[x×*]\s*\d+(?:[.,]\d+)?)+(?![\w])")
_JOINT = re.compile(r"[^\W\d_]+(?:[-/.&'+][^\W\d_]+)+")
_LEAST = 4  # letters and digits of a part of a model number
_MOST = 60  # codes of one text
_TITLES = 4_096  # whose codes are kept: variants often share one
_BARCODE = re.compile(r"\d{8,14}")


def codes_of(text: str) -> list[str]:
    """An SKU, GTIN or model number as it is looked for: as written, and without separators."""
    code = normal(text)
    plain = code.translate(_SEPARATORS)
    return [one for one in dict.fromkeys((code.replace(" ", ""), plain)) if one]


def codes_of_product(id: str, title: str, gtin: str, mpn: str) -> list[str]:
    """Every code a product is found by."""
    codes = dict.fromkeys(code for each in (id, gtin, mpn) if each for code in codes_of(each))
    digits = gtin.translate(_SEPARATORS)
    if _BARCODE.fullmatch(digits):
        codes[_barcode(digits)] = None
    if mpn:
        codes.update(dict.fromkeys(_parts(normal(mpn))))
    codes.update(dict.fromkeys(_codes_of_title(title)))
    return list(codes)[: 4 * _MOST]


@lru_cache(_TITLES)
def _codes_of_title(title: str) -> tuple[str, ...]:
    name = normal(title)
    parts = [part for word in _WITH_DIGIT.findall(name) for part in _parts(word)]
    return (*parts, *_sizes(name), *(f"joint:{word}" for word in _joints(name)))


def codes_in(query: str) -> list[str]:
    """What of a query may be an SKU, a GTIN, a part of a model number or a size: it has a digit."""
    query = normal(query)
    words = query.split()
    said = [*words, *(a + b for a, b in pairwise(words))][:40]
    codes = dict.fromkeys(code for word in said for code in codes_of(word))
    codes = dict.fromkeys(code for code in codes if len(code) > 3 and any(c.isdigit() for c in code))
    for code in list(codes):
        if code.isdecimal() and _BARCODE.fullmatch(code):
            codes[_barcode(code)] = None
        elif len(code) >= _LEAST:
            codes[f"part:{code}"] = None
    codes.update(dict.fromkeys(_sizes(query)))
    return list(codes)[:_MOST]


def whole_code(query: str) -> list[str]:
    """The codes that the query is as a whole, none where it says more or has no digit."""
    plain = normal(query).translate(_SEPARATORS)
    if not any(c.isdigit() for c in plain) or len(plain) < 3:
        return []
    codes = [*codes_of(query), *_sizes(normal(query))]
    if _BARCODE.fullmatch(plain):
        codes.append(_barcode(plain))
    if any(c.isalpha() for c in plain) and len(plain) >= _LEAST:
        codes.append(f"part:{plain}")
    return codes


def joined_in(query: str) -> list[str]:
    """Of a query that is one word, what a product may write apart: acdc, AC/DC."""
    word = normal(query)
    return [f"joint:{word}"] if len(word) > 2 and word.isalpha() and word.isascii() else []


def _barcode(digits: str) -> str:
    return f"gtin:{digits.lstrip('0')}"


def _parts(word: str) -> Iterator[str]:
    """Runs of a model number's pieces that have a digit: wf m 5799 dwf → m5799, 5799dwf, …; none of what is a number or
    a word."""
    if not (any(c.isdigit() for c in word) and any(c.isalpha() for c in word)):
        return
    pieces = _PIECE.findall(word)[:8]
    for start in range(len(pieces)):
        for end in range(start + 1, len(pieces) + 1):
            part = "".join(pieces[start:end])
            if len(part) >= _LEAST and any(c.isdigit() for c in part):
                yield f"part:{part}"


def _sizes(text: str) -> Iterator[str]:
    for size in _SIZE.findall(text):
        yield "size:" + re.sub(r"\s*[x×*]\s*", "x", size).replace(",", ".")


def _joints(text: str) -> Iterator[str]:
    for word in _JOINT.findall(text):
        yield re.sub(r"[^\w]", "", word)
