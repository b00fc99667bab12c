"""Which column of a file is which field: given by the user, else guessed from common names.

A mapping says, for each field, the column it comes from: {"customer": "user", "time": "ts"}. A column may be
followed by how to read it: "price|/100" (divide: cents), "ts|%d.%m.%Y %H:%M" (a time's format), "sku|zeros:6" (an id
that lost its zeros; the others are in ids.py), "state|shown:live,ok" (a status: the words of what is shown),
"kind|1:view_item,4:purchase" (an event's type: what its codes mean);
"=purchase" is the same value in every row.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shelfwise.errors import UnreadableFile
from shelfwise.intake.ids import RULES, is_rule


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field comes from: a column, or one `constant`. `divide`, `format` and `rule` say how its text is
    read: an amount's part, a time's format, an id's change (ids.py)."""

    name: str = ""
    constant: str | None = None
    divide: float = 1.0
    format: str = ""
    rule: str = ""
    shown: frozenset[str] = frozenset()
    codes: tuple[tuple[str, str], ...] = ()  # of an event's type: a log's own word → ours


_SPOKEN = frozenset({"title", "description", "product_type"})
_NET = re.compile(r"(?i)\b(?:ex|excl|excluding|net|netto|ohne|zzgl|ht|sin|senza|zonder|bez|hors)\b")


def resolve(
    path: Path,
    header: list[str],
    mapping: Mapping[str, str] | None,
    synonyms: Mapping[str, tuple[str, ...]],
    *,
    open_ended: bool = False,
) -> dict[str, Column]:
    """Field → Column. `synonyms` has every field; the first name of each that the header has is taken.

    `open_ended`: later rows may have columns the header lacks (JSON Lines). Raises UnreadableFile.
    """
    columns: dict[str, Column] = {}
    for field, text in (mapping or {}).items():
        if field not in synonyms:
            near = difflib.get_close_matches(field, synonyms, n=1, cutoff=0.0)[0]
            raise UnreadableFile(path, f"the mapping names no field {field!r}; did you mean {near!r}?")
        if text:
            columns[field] = _column(path, field, text, header, open_ended)
    taken = {column.name for column in columns.values()}
    plain: dict[str, str] = {}
    tongue: dict[str, str] = {}  # 'name_en', 'description-de_DE': the first language
    bare: dict[str, str] = {}  # 'Nom *', 'Actif (0/1)', where no column has the name alone
    own: dict[str, str] = {}  # 'Variation.isActive' of a product
    for name in sorted(header, key=lambda name: bool(_NET.search(name))):  # with tax before without
        plain.setdefault(plain_name(name), name)
        bare.setdefault(bare_name(name), name)
        if "title" in synonyms:
            own.setdefault(own_name(name), name)
        tongue.setdefault(re.sub(r"(?:_[a-z]{2}){1,2}$", "", plain_name(name)), name)
    for field, names in synonyms.items():
        if field in columns or (mapping and field in mapping):
            continue
        spoken = map(tongue.get, names) if field in _SPOKEN else ()
        for column in (*map(plain.get, names), *map(bare.get, names), *spoken, *map(own.get, names)):
            if column is not None and column not in taken:
                columns[field] = Column(column)
                taken.add(column)
                break
    return columns


def _column(path: Path, field: str, text: str, header: list[str], open_ended: bool) -> Column:
    if text.startswith("="):
        return Column(constant=text[1:])
    name, bar, rule = text.rpartition("|") if "|" in text and text not in header else (text, "", "")
    if name not in header and not open_ended:
        near = difflib.get_close_matches(name, header, n=1, cutoff=0.0)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnreadableFile(
            path, f"the mapping takes {field} from a column that is not there{hint}", line=1, column=name
        )
    if not bar:
        return Column(name)
    if rule.startswith("/"):
        try:
            divide = float(rule[1:])
        except ValueError:
            divide = 0.0
        if divide > 0:
            return Column(name, divide=divide)
    elif "%" in rule:
        return Column(name, format=rule)
    elif rule.startswith("shown:"):
        words = frozenset(word.strip().casefold() for word in rule.removeprefix("shown:").split(",") if word.strip())
        if words:
            return Column(name, shown=words)
    elif field == "type" and ":" in rule:
        pairs = [pair.partition(":") for pair in rule.split(",")]
        return Column(name, codes=tuple((code.strip(), word.strip()) for code, _, word in pairs))
    elif is_rule(rule):
        return Column(name, rule=rule)
    rules = ", ".join(f"|{known}" for known in RULES)
    raise UnreadableFile(
        path, f"the mapping of {field} ends in {rule!r}; use |/100, |%Y-%m-%d or of an id {rules}", column=name
    )


def plain_name(name: str) -> str:
    """'g:image link' → 'image_link', 'InvoiceNo' → 'invoice_no', 'User-ID' → 'user_id'."""
    name = name.strip().lower() if name.isupper() else re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip()).lower()
    return re.sub(r"[\s\-./]+", "_", name.removeprefix("g:"))


@lru_cache(4_096)
def bare_name(name: str) -> str:
    """'Actif (0/1)' → 'actif', 'Nom *' → 'nom', 'Prix (EUR)' → 'prix'."""
    plain = plain_name(re.sub(r"\s*[(\[][^()\[\]]*[)\]]\s*$|[\s*:?#°.]+$", "", name.strip()))
    return plain or plain_name(name)


def own_name(name: str) -> str:
    """`bare_name` of a product's column, without the word for the product: 'Variation.isActive' → 'is_active'."""
    return _HEAD.sub("", bare_name(name))


#: Of whom a heading speaks: the product itself.
_HEAD = re.compile(
    r"^(?:item_?text|products?|prod|items?|articles?|artikel|produkt|produit|producto|prodotto|variants?|variations?|variante|offer|node|p)_(?=\w)"
)
