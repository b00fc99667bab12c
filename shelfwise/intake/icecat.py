"""Open Icecat's products as o19s/chorus gives them: a JSON object a line, attributes by kind, prices in cents.

`attr_t_colour`, `attr_n_weight`, `attr_b_touchscreen` are texts, numbers and booleans; `name` is the part number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shelfwise.intake.reading import Row

#: Field → column, for what common names do not tell.
MAPPING = {
    "price": "price|/100",
    "mpn": "name",
    "image_link": "img_500x500",
    "status": "",
}  # attributes say nothing of it
_KINDS = ("attr_t_", "attr_n_", "attr_b_")
_OTHER_SIZES = frozenset({"img_high", "img_low", "img_thumb"})
#: What an attribute may not be called without its prefix: it would be taken for the product's own.
_FIELDS = frozenset(
    {
        "id",
        "name",
        "title",
        "price",
        "brand",
        "currency",
        "availability",
        "created",
        "description",
        "type",
        "product_type",
    }
)


def is_export(header: Iterable[str]) -> bool:
    names = set(header)
    return {"supplier", "ean", "name"} <= names and any(name.startswith(_KINDS) for name in names)


def rows(source: Iterable[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    """The same rows, attributes under their plain names, photos in one size."""
    for line, row in source:
        yield line, {plain(name): value for name, value in row.items() if name not in _OTHER_SIZES}


def plain(name: str) -> str:
    if not name.startswith(_KINDS):
        return name
    bare = name[len("attr_t_") :].strip("_")
    return f"{bare}_attribute" if bare in _FIELDS else bare
