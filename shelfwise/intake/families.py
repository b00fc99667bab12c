# ruff: noqa: E501 (the table of headings is wide)
"""Tables of no system known whose variants name their parent, or whose parents list their variants.

A variant takes what it lacks from its parent, which is not sold beside it and hides it where it is hidden itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from shelfwise.intake.exports import Export
from shelfwise.intake.fields import STATUS_COLUMNS, SYNONYMS
from shelfwise.intake.lists import parts_of
from shelfwise.intake.mapping import own_name, plain_name, resolve
from shelfwise.intake.reading import Row, value_text
from shelfwise.intake.sheet import Rows, Sheet, joined
from shelfwise.intake.states import status_in
from shelfwise.schema import Status

_NAMES = {
    "parent": """parent parent_sku parent_id parent_code parent_number parent_item parent_product parent_product_id parent_product_number parent_product_code parent_item_id parent_article parent_ref parent_reference sku_parent
        main_product main_article main_sku base_product base_sku master_sku master_id master_product hauptartikel hauptartikelnummer identifizierungsspalte_vaterartikel hauptprodukt hauptproduktnummer vaterartikel vaterartikelnummer elternartikel elternprodukt
        übergeordneter_artikel übergeordnetes_produkt produit_parent article_parent référence_parent produit_principal producto_padre sku_padre artículo_padre referencia_padre prodotto_padre articolo_padre produto_pai
        hoofdartikel hoofdproduct bovenliggend_product produkt_nadrzędny produkt_główny huvudprodukt huvudartikel hovedprodukt emoprodukt hlavní_produkt родительский_товар родительский_артикул 父商品 父sku 父级sku 主商品 主sku 親商品 親sku 親商品コード 상위상품""",
    "children": """children child_skus child_sku child_products child_ids variants variant_skus variant_ids variations varianten variantenartikel variantennummern unterartikel kindartikel déclinaisons variantes varianti warianty varianter 子商品 子sku 子商品コード""",
}  # fmt: skip
_PARENT, _CHILDREN = (frozenset(_NAMES[role].split()) for role in ("parent", "children"))
_OWN = frozenset(
    name for field in ("id", "item_group_id", "availability", "quantity", "gtin", "mpn") for name in SYNONYMS[field]
)  # what a variant never takes from its parent
_PRICES = frozenset(name for field in ("price", "original_price", "sale_price") for name in SYNONYMS[field])
_TOLD_BY = {field: SYNONYMS[field] for field in ("id", "title")}


def is_export(header: Iterable[str]) -> bool:
    header = list(header)
    related = any({plain_name(name), own_name(name)} & (_PARENT | _CHILDREN) for name in header)
    return related and resolve(Path(), header, None, _TOLD_BY).keys() >= _TOLD_BY.keys()


def rows(sheet: Sheet) -> Rows:
    parts = _Columns.of(sheet.header)
    known: dict[str, str] = {}  # each way to name a product → its id
    lists: list[tuple[str, str]] = []
    for _, row in sheet.rows():
        name = value_text(row.get(parts.id)).strip()
        known[name] = name
        for other in parts.names:
            known.setdefault(value_text(row.get(other)).strip(), name)
        lists += [(name, text) for column in parts.children if (text := value_text(row.get(column)).strip())]
    known.pop("", None)
    parent_of = {
        known[child]: name
        for name, text in lists
        for child in (parts_of(text, known) or [text])
        if known.get(child, name) != name
    }

    def parent(row: Row) -> str:
        named = next((text for column in parts.parents if (text := value_text(row.get(column)).strip())), "")
        name = value_text(row.get(parts.id)).strip()
        whole = known.get(named, named) or parent_of.get(name, "")
        return "" if whole == name else whole

    if not any(parent(row) in known for _, row in sheet.rows()):
        yield from ((line, dict(row), row) for line, row in sheet.rows())  # such a column says something else
        return
    skip = {*parts.parents, *(parts.children if parent_of else ())}

    def made(row: Row, whole: Row | None, group: str) -> Row:
        own = row if whole is None else _inherited(row, whole)
        return {name: value for name, value in own.items() if name not in skip} | {"item_group_id": group}

    yield from joined(sheet, lambda row: value_text(row.get(parts.id)).strip(), parent, made)


@dataclass(frozen=True, slots=True)
class _Columns:
    id: str
    names: tuple[str, ...]  # others that may name a product
    parents: tuple[str, ...]
    children: tuple[str, ...]

    @classmethod
    def of(cls, header: Iterable[str]) -> _Columns:
        header = list(header)
        columns = resolve(Path(), header, None, _TOLD_BY)

        def called(names: Collection[str]) -> tuple[str, ...]:
            return tuple(one for one in header if plain_name(one) in names or own_name(one) in names)

        return cls(columns["id"].name, called(SYNONYMS["id"]), called(_PARENT), called(_CHILDREN))


def _inherited(row: Row, parent: Row) -> Row:
    """The variant with what it lacks from its parent; who has a price takes none, and who is hidden hides."""
    priced = any(plain_name(name) in _PRICES and value not in (None, "") for name, value in row.items())
    made = dict(row)
    for name, value in parent.items():
        plain, bare = plain_name(name), own_name(name)
        if value in (None, "") or {plain, bare} & _OWN or (priced and {plain, bare} & _PRICES):
            continue
        hides = {plain, bare} & STATUS_COLUMNS and status_in(bare, value_text(value)) not in (Status.ACTIVE, None)
        if hides or made.get(name) in (None, ""):
            made[name] = value
    return made


EXPORT = Export("variants with parents", is_export, {}, rows)
