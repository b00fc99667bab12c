"""The product exports of hosted shops: Wix, BigCommerce (both of its templates), Squarespace, Ecwid, Lightspeed eCom.

Each has a product's variants in rows of their own that lack what the product says once. A variant is sold as such, with
the product's title, text, photo and state; the product's own row is not sold beside its variants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from shelfwise.intake.mapping import plain_name
from shelfwise.intake.reading import Row
from shelfwise.intake.sheet import Rows, Sheet
from shelfwise.intake.states import parse_availability
from shelfwise.intake.values import parse_money
from shelfwise.schema import Availability

NAMES: dict[str, str] = {}
_ALWAYS = frozenset(("id", "title", "price", "sale_price", "status", "availability", "item_group_id"))
_BOOKKEEPING = re.compile(
    r"^option_|^product_option_|\[non_editable\]|tax|^(fixed_)?ship|port_|_id$|sort_order|bin_pick|_type$|field_type|meta_|event_|mytax|low_stock|cost|image|hosted|dropship"
)


class _Text:
    """A row by its columns' plain names; it keeps in mind which were asked for."""

    def __init__(self, row: Row, names: Mapping[str, str]) -> None:
        self.values: dict[str, str] = {}
        for name, value in row.items():
            if name in names:
                self.values.setdefault(names[name], str(value or "").strip())
        self._read: set[str] = set()

    def __call__(self, name: str) -> str:
        self._read.add(name)
        return self.values.get(name, "")

    def rest(self) -> dict[str, str]:
        """What nobody asked for and is no bookkeeping: attributes."""
        return {k: v for k, v in self.values.items() if v and k not in self._read and not _BOOKKEEPING.search(k)}


@dataclass(slots=True)
class _Item:
    """A product: its row, and the rows of its variants, each with its line."""

    line: int
    whole: _Text
    raw: Row
    variants: list[tuple[int, _Text, Row]] = field(default_factory=list)
    photos: list[str] = field(default_factory=list)


def kind_of(header: Iterable[str]) -> str:
    """Which of these systems a header is of, "" for none."""
    names = {plain_name(name) for name in header}
    for kind, wanted in _KNOWN.items():
        if wanted <= names:
            return kind
    if {"internal_id", "internal_variant_id", "visible"} <= names and any(n.endswith("_title_short") for n in names):
        return "Lightspeed"
    return ""


_KNOWN = {
    "Wix 3": {"handle", "field_type", "name", "plain_description"},
    "Wix": {"handle_id", "field_type", "name", "price"},
    "BigCommerce": {"item_type", "product_id", "product_name", "product_visible?"},
    "BigCommerce 3": {"item", "id", "name", "options", "inventory_tracking", "is_visible"},
    "Squarespace": {"product_id_[non_editable]", "variant_id_[non_editable]", "title", "on_sale"},
    "Ecwid": {"product_internal_id", "product_name", "product_price"},
}


def is_export(header: Iterable[str]) -> bool:
    return bool(kind_of(header))


def rows(sheet: Sheet) -> Rows:
    kind = kind_of(sheet.header)
    sheet.findings.facts["format"] = kind.removesuffix(" 3")
    makes = _MAKERS[kind]
    for item in _items(sheet, kind):
        variants = item.variants or [(item.line, item.whole, item.raw)]
        if item.variants and item.whole is not item.variants[0][1]:
            why = "a parent whose variants are sold; joined to them"
            sheet.findings.add("joined_parent", "joined", why, [(item.line, makes(item.whole, item.whole)["title"])])
        made = [makes(item.whole, own) for _, own, _ in variants]
        ids = [str(one["id"]) for one in made if one["id"]]
        for (line, own, raw), fields in zip(variants, made, strict=True):
            options, group = fields.pop("options"), str(fields.pop("group"))
            assert isinstance(options, dict)
            said = [value for value in options.values() if value] if item.variants else []
            if not fields["id"] or len(set(ids)) < len(ids):  # no SKU, or one for several
                fields["id"] = "-".join([group, *said])
            fields["title"] = " ".join([str(fields["title"]), *said]).strip()
            fields["item_group_id"] = group if len(variants) > 1 else ""
            photos = [*str(fields.pop("photos")).split(), *item.photos]
            fields |= {"image_link": photos[0] if photos else "", "additional_image_link": " | ".join(photos[1:])}
            more = {plain_name(name): value for name, value in options.items() if item.variants}
            fields = {name: value for name, value in fields.items() if value or name in _ALWAYS}
            yield line, {**item.whole.rest(), **own.rest(), **more, **fields}, raw


def _items(sheet: Sheet, kind: str) -> Iterator[_Item]:
    """Products with their variants: rows of one id, or a product's row and those after it."""
    names = {name: plain_name(name) for name in sheet.header}
    if kind == "Lightspeed":  # US_Title_Short, NL_Title_Short, …: the first language
        names = {name: re.sub(r"^[a-z]{2}_", "", plain) for name, plain in names.items()}
    items: dict[str, _Item] = {}
    newest: _Item | None = None
    for line, raw in sheet.rows():
        text = _Text(raw, names)
        what, key = _PLACE[kind](text)
        if what == "image" and newest is not None:
            photo = text("image_url_(import)") or text("internal_image_url_(export)")
            newest.photos += [photo] if photo else []
            sheet.findings.add("joined_image", "joined", "a row of a photo; joined to its product", [(line, photo)])
        elif what == "variant" and (item := items.get(key) if key else newest) is not None:
            item.variants.append((line, text, raw))
        elif what == "rule":
            why = "a rule of options (prices it adds are not known here); left out"
            sheet.findings.add("option_rule", "dropped", why, [(line, text("product_name"))])
        else:
            if what == "variant":
                why = "a variant whose parent is not in the file; kept by itself"
                sheet.findings.add("no_parent", "flagged", why, [(line, key)])
            newest = _Item(line, text, raw)
            if what == "each":  # every row is a variant
                newest = items.get(key) or newest
                newest.variants.append((line, text, raw))
            items[key or f"line {line}"] = newest
    yield from items.values()


def _squarespace_place(text: _Text) -> tuple[str, str]:
    return ("each", text("product_id_[non_editable]")) if text("title") else ("variant", "")


_PLACE: dict[str, Callable[[_Text], tuple[str, str]]] = {
    "Wix": lambda text: (text("field_type").lower(), text("handle_id")),
    "Wix 3": lambda text: (text("field_type").lower(), text("handle")),
    "BigCommerce": lambda text: ({"sku": "variant"}.get(t := text("item_type").lower(), t), text("product_id")),
    "BigCommerce 3": lambda text: (t := text("item").lower(), "" if t == "variant" else text("id")),
    "Squarespace": _squarespace_place,
    "Ecwid": lambda text: (
        "variant" if text("type").endswith("variation") or text("product_variation_sku") else "product",
        text("product_internal_id"),
    ),
    "Lightspeed": lambda text: ("each", text("internal_id")),
}


def _yes(text: str) -> bool:
    return parse_availability(text) is Availability.IN_STOCK


def _amount(text: str) -> float:
    money = parse_money(text) or parse_money(re.sub(r"[^\d.,'’-]", "", text))
    return money[0] if money else 0.0


def _above_zero(text: str) -> str:
    return text if _amount(text) > 0 else ""


def _stock(level: str, *, tracked: bool, sells_on: bool = False) -> str:
    if not tracked or level.casefold() in ("unlimited", "") or _amount(level) > 0:
        return "in stock"
    if parse_availability(level) is Availability.OUT_OF_STOCK:
        return "backorder" if sells_on else "out of stock"
    return level  # a word, which cleaning knows or reports


def _wix(whole: _Text, own: _Text) -> Row:
    price = _amount(own("price") or whole("price")) + (_amount(own("surcharge")) if own is not whole else 0.0)
    off = _amount(whole("discount_value"))
    sale = price * (1 - off / 100) if whole("discount_mode").upper() == "PERCENT" else price - off
    shown = not whole("visible") or _yes(whole("visible"))
    return {
        "id": own("sku"), "group": whole("handle_id"), "title": whole("name"), "description": whole("description"),
        "brand": whole("brand"), "product_type": whole("collection").split(";")[0], "tags": whole("ribbon"),
        "price": f"{price:.2f}", "sale_price": f"{sale:.2f}" if off > 0 and 0 < sale < price else "",
        "availability": _stock(own("inventory") or whole("inventory"), tracked=True),
        "status": "active" if shown and (not own("visible") or _yes(own("visible"))) else "hidden",
        "photos": whole("product_image_url").replace(";", " "),
        "options": {
            whole(f"product_option_name{n}"): own(f"product_option_description{n}")
            for n in range(1, 7)
            if own is not whole and own(f"product_option_description{n}")
        },
    }  # fmt: skip


def _wix3(whole: _Text, own: _Text) -> Row:
    """Its newer catalogue."""
    price, before = (own(name) or whole(name) for name in ("price", "strikethrough_price"))
    shown = not whole("visible") or _yes(whole("visible"))
    return {
        "id": own("sku"), "group": whole("handle"), "title": whole("name"), "brand": whole("brand"),
        "description": whole("plain_description"), "gtin": own("barcode"), "price": price,
        "original_price": _above_zero(before), "tags": whole("ribbon"),
        "availability": _stock(own("inventory") or whole("inventory"), tracked=True),
        "status": "active" if shown and (not own("visible") or _yes(own("visible"))) else "hidden",
        "photos": whole("media").replace(";", " "),
        "options": {
            whole(f"product_option_name[{n}]"): own(f"product_option_choices[{n}]")
            for n in range(1, 7)
            if own is not whole and own(f"product_option_choices[{n}]")
        },
    }  # fmt: skip


def _bigcommerce(whole: _Text, own: _Text) -> Row:
    """The older template."""
    said = own("product_name") if own is not whole else ""
    options = dict(re.findall(r"(?:\[\w+\])?([^=,\[\]]+)=([^,=]*)", said))
    by_option = whole("track_inventory").casefold() == "by option"
    level = own("current_stock_level") if by_option else whole("current_stock_level")
    tracked = whole("track_inventory").casefold() not in ("none", "no", "")
    buyable = not whole("allow_purchases?") or _yes(whole("allow_purchases?"))
    categories = [one.strip() for one in whole("category").split(";")]
    return {
        "id": own("product_code_sku") if own is not whole else whole("product_id"), "group": whole("product_id"),
        "title": whole("product_name"), "description": whole("product_description"), "brand": whole("brand_name"),
        "product_type": next((c for c in categories if c != "Shop All"), "").replace("/", " > "),
        "price": own("price") or whole("price"), "sale_price": _above_zero(whole("sale_price")),
        "original_price": _above_zero(whole("retail_price")), "mpn": whole("manufacturer_part_number"),
        "gtin": own("product_upc_ean") or whole("product_upc_ean"), "sku": whole("product_code_sku"),
        "availability": _stock(level or "0", tracked=tracked) if buyable else "out of stock",
        "status": "active" if _yes(whole("product_visible?")) else "hidden", "link": whole("product_url"),
        "photos": re.sub(r"\s+", "%20", own("product_image_file_1") or whole("product_image_file_1")),
        "options": options,
    }  # fmt: skip


def _bigcommerce3(whole: _Text, own: _Text) -> Row:
    parts = re.findall(r"Name=([^|]*)\|Value=([^|;\n]*)", own("options")) if own is not whole else []
    tracking = whole("inventory_tracking").casefold()
    level = own("current_stock") if tracking == "variant" else whole("current_stock")
    categories = whole("categories").split(";")[0]
    return {
        "id": (own("sku") or own("id")) if own is not whole else whole("id"), "group": whole("id"),
        "title": whole("name"), "description": whole("description"), "sku": whole("sku"),
        "product_type": "" if categories.isdigit() else categories.replace("/", " > "),
        "price": _above_zero(own("price")) or whole("price"),
        "sale_price": _above_zero(own("sale_price")) or _above_zero(whole("sale_price")),
        "original_price": _above_zero(own("retail_price")) or _above_zero(whole("retail_price")),
        "gtin": own("upc_ean") or own("gtin"), "mpn": own("mpn"),
        "availability": _stock(level or "0", tracked=tracking not in ("none", "")),
        "status": "active" if _yes(whole("is_visible")) else "hidden", "photos": "", "options": dict(parts),
    }  # fmt: skip


def _squarespace(whole: _Text, own: _Text) -> Row:
    return {
        "id": own("sku") or own("variant_id_[non_editable]"), "group": whole("product_id_[non_editable]"),
        "title": whole("title"), "description": whole("description"), "link": whole("product_url"),
        "product_type": whole("categories").split(",")[0].strip("/ ").replace("/", " > "), "tags": whole("tags"),
        "price": own("price"), "sale_price": _above_zero(own("sale_price")) if _yes(own("on_sale")) else "",
        "availability": _stock(own("stock") or "0", tracked=True),
        "status": "active" if not whole("visible") or _yes(whole("visible")) else "hidden",
        "photos": whole("hosted_image_urls"),
        "options": {
            own(f"option_name_{n}") or whole(f"option_name_{n}"): own(f"option_value_{n}")
            for n in range(1, 7)
            if own(f"option_value_{n}")
        },
    }  # fmt: skip


def _ecwid(whole: _Text, own: _Text) -> Row:
    tracked = own("product_is_inventory_tracked") or whole("product_is_inventory_tracked")
    return {
        "id": own("product_variation_sku") if own is not whole else whole("product_sku"),
        "group": whole("product_sku") or whole("product_internal_id"), "title": whole("product_name"),
        "description": whole("product_description"), "brand": whole("product_brand"), "gtin": own("product_upc"),
        "product_type": whole("product_category_1").replace("/", " > "),
        "price": own("product_price") or whole("product_price"),
        "original_price": own("product_compare_to_price") or whole("product_compare_to_price"),
        "availability": _stock(own("product_quantity") or "0", tracked=_yes(tracked)),
        "status": "active" if _yes(whole("product_is_available") or "yes") else "hidden",
        "photos": whole("product_media_main_image_url"), "options": {
            name.removeprefix("product_variation_option_"): own(name)
            for name in own.values
            if name.startswith("product_variation_option_") and own(name)
        },
    }  # fmt: skip


def _lightspeed(whole: _Text, own: _Text) -> Row:
    variant = own("variant_title")
    tracked, ends = _yes(own("stock_track") or "Y"), _yes(own("stock_disable_sold_out") or "Y")
    return {
        "id": own("sku") or own("article_code") or own("internal_variant_id"), "group": whole("internal_id"),
        "title": whole("title_long") or whole("title_short"), "brand": whole("brand"),
        "description": whole("description_long") or whole("description_short"), "gtin": own("ean"),
        "product_type": whole("categories").split(",")[0], "price": own("price"),
        "original_price": _above_zero(own("price_old")),
        "availability": _stock(own("stock_level") or "0", tracked=tracked, sells_on=not ends),
        "status": "active" if _yes(whole("visible")) else "hidden",
        "photos": whole("images").replace(",", " "),
        "options": {"variant": variant} if variant and variant.casefold() not in ("default", "standard") else {},
    }  # fmt: skip


_MAKERS: dict[str, Callable[[_Text, _Text], Row]] = {
    "Wix": _wix,
    "Wix 3": _wix3,
    "BigCommerce": _bigcommerce,
    "BigCommerce 3": _bigcommerce3,
    "Squarespace": _squarespace,
    "Ecwid": _ecwid,
    "Lightspeed": _lightspeed,
}
