"""The live catalogue: what is for sale this second, and the vectors of each product.

Rows 0 … n-1 are the bundle's products; products that came later get the rows after them. Readers take `view`, an
immutable snapshot, and never wait; a writer prepares the next snapshot and swaps it in.

A product the bundle never saw has no counts to go by. Its content vector makes it findable, the network's item tower
gives it a place among the others, and for everything counted (neighbours, popularity) it borrows from its cold-start
proxy, the known product most like it, as far as it is like it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from shelfwise.engine.request import Filters
from shelfwise.errors import UnknownProduct
from shelfwise.models.alike import Alike
from shelfwise.models.bundle import Bundle
from shelfwise.models.encoders import without_pack
from shelfwise.models.index import VectorIndex
from shelfwise.models.sequences import Floats, Ints, Longs
from shelfwise.schema import Availability, Product, to_micros

_T = TypeVar("_T", bound=np.generic)
Mask = npt.NDArray[np.bool_]
AVAILABILITIES: tuple[Availability, ...] = tuple(Availability)
_AVAILABILITY_CODE = {str(kind): code for code, kind in enumerate(AVAILABILITIES)}
GONE = -1  # availability code of a product that is not in the catalogue
LEVELS = " > "
_PROXY_FROM = 0.3  # cosine below which the most similar product is no proxy
_UNINDEXED = 2_000  # new or changed products scanned one by one before the index takes them in
_SAME = 1e-4  # the most by which the same text's vectors, computed twice, differ
_FILTERS_KEPT = 256


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """What each product is, int32 [3, n]: category, its first level, brand. The three are numbered one after the other,
    so that sums by all of them lie in one array of `count`. unknown: the number each of the three has for none."""

    of: Ints
    count: int
    unknown: Ints

    @classmethod
    def made(cls, category: Ints, top: Ints, brand: Ints, categories: int, brands: int) -> Self:
        """category, brand: codes [n], -1 unknown. top: first level by category. categories, brands: how many."""
        sizes = np.array([categories, int(top.max(initial=-1)) + 1, brands], np.int32) + 1
        start = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int32)
        unknown = start + sizes - 1
        of = np.stack((category, top[category], brand))
        return cls(np.where(of < 0, unknown[:, None], of + start[:, None]).astype(np.int32), int(sizes.sum()), unknown)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """One consistent state of the catalogue. Arrays are [n] unless said; do not write to them.

    known:  rows below come from the bundle. indexed: rows below are in the indexes, the rest is scanned.
    changed: rows below `indexed` whose content the index does not know yet: scanned too, int32, ascending.
    sale:   availability code (position in AVAILABILITIES), GONE when not in the catalogue.
    price:  NaN unknown. brand, category: codes, -1 unknown. created: seconds, 0 unknown.
    proxy, likeness: the bundle's row whose counts a product uses, and how far (1 for the bundle's own products).
    vectors: float32 [>= n, d], the network's; content: float32 [>= n, dc]; None where the bundle has none.
    group: code of the item_group_id, or of a brand's near-equal titles; -1 for a product by itself.
    """

    n: int
    known: int
    indexed: int
    changed: Ints
    ids: list[str]
    titles: list[str]
    rows: dict[str, int]
    sale: npt.NDArray[np.int8]
    price: Floats
    brand: Ints
    category: Ints
    created: Longs
    group: Ints
    proxy: Ints
    likeness: Floats
    vectors: Floats | None
    content: Floats | None
    vector_index: VectorIndex | None
    content_index: VectorIndex | None
    category_names: list[str]
    brand_names: list[str]
    #: Code of the first level of each category, [names + 1]; the last entry is for unknown ones.
    top: Ints
    kinds: Kinds
    #: What the content index finds of popular products, while it is the bundle's.
    alike: Alike | None
    #: Rows by the bytes of a content vector, found once (filled by similar.py); shared by views over the same index.
    likes: dict[bytes, Ints]
    _matches: dict[Filters, Ints] = field(default_factory=dict)

    def row(self, product: str) -> int | None:
        """The row of a product in the catalogue, None when there is none."""
        row = self.rows.get(product)
        return None if row is None or row >= self.n or self.sale[row] == GONE else row

    def require(self, product: str) -> int:
        """Its row. Raises UnknownProduct."""
        row = self.row(product)
        if row is None:
            raise UnknownProduct(product)
        return row

    def title(self, row: int) -> str:
        return self.titles[row] or self.ids[row]

    def scanned(self) -> Ints:
        """Rows whose content no index knows, int32, ascending."""
        return np.concatenate((self.changed, np.arange(self.indexed, self.n, dtype=np.int32)))

    def top_category(self, row: int) -> str:
        code = int(self.category[row])
        return self.category_names[code].split(LEVELS, 1)[0] if code >= 0 else ""

    def allowed(self, filters: Filters, rows: Ints) -> Mask:
        """Which of these rows [m] pass the filters, exclusions included: bool [m]."""
        sale = self.sale[rows]
        if filters.availability is None:
            keep = sale != GONE
        else:
            keep = _available(filters.availability)[sale]
        if filters.categories:
            table = self._category_table(filters.categories)
            keep &= table[self.category[rows]]
        if filters.brands:
            wanted = {brand.casefold() for brand in filters.brands}
            codes = [code for code, name in enumerate(self.brand_names) if name.casefold() in wanted]
            table = np.zeros(len(self.brand_names) + 1, np.bool_)
            table[codes] = True
            keep &= table[self.brand[rows]]
        if filters.price_min is not None:
            keep &= self.price[rows] >= filters.price_min
        if filters.price_max is not None:
            keep &= self.price[rows] <= filters.price_max
        if filters.exclude:
            excluded = [row for product in filters.exclude if (row := self.rows.get(product)) is not None]
            keep &= ~np.isin(rows, excluded)
        return np.asarray(keep, np.bool_)

    def matching(self, filters: Filters) -> Ints:
        """Every row that passes; remembered, so that a category page is scanned once a catalogue change."""
        rows = self._matches.get(filters)
        if rows is None:
            rows = np.flatnonzero(self.allowed(filters, np.arange(self.n, dtype=np.int32))).astype(np.int32)
            if len(self._matches) >= _FILTERS_KEPT:
                self._matches.clear()
            self._matches[filters] = rows
        return rows

    def _category_table(self, categories: Sequence[str]) -> Mask:
        """bool [names + 1]: is this category one of `categories` or below it? The last entry (-1) is unknown."""
        wanted = [category.casefold() for category in categories]
        table = np.zeros(len(self.category_names) + 1, np.bool_)
        for code, name in enumerate(self.category_names):
            path = name.casefold()
            table[code] = any(path == each or path.startswith(each + LEVELS) for each in wanted)
        return table


@dataclass(frozen=True, slots=True)
class _Columns:
    """Products by column, as lists of one length."""

    ids: list[str]
    titles: list[str]
    brands: list[str]
    types: list[str]
    prices: list[float | None]
    availabilities: list[str]
    created: list[int | None]
    groups: list[str]


class Catalogue:
    """Products for sale over a bundle. Any number of readers through `view`; writers take turns by a lock.

    frame: the store's products (schema.PRODUCT_COLUMNS); what of the bundle is not in it is not for sale. None: every
           product of the bundle is for sale, as evaluation has it.
    text, image: vectors of the frame's products, see `upsert`; only those of products the bundle does not know are
           used, the bundle brings the others'.
    """

    def __init__(
        self,
        bundle: Bundle,
        frame: pl.DataFrame | None = None,
        text: Floats | None = None,
        image: Floats | None = None,
    ) -> None:
        self.bundle = bundle
        self._writing = threading.Lock()
        facts, n = bundle.facts, len(bundle.items)
        self._brands = {name: code for code, name in enumerate(facts.brand_names)}
        self._categories = {name: code for code, name in enumerate(facts.category_names)}
        self._groups: dict[str | int, int] = {name: code for code, name in enumerate(facts.group_names)}
        brand = np.full(n, -1, np.int32) if facts.brand is None else facts.brand
        category = np.full(n, -1, np.int32) if facts.category is None else facts.category
        top = _tops(facts.category_names)
        self.view = View(
            n=n,
            known=n,
            indexed=n,
            changed=np.empty(0, np.int32),
            ids=list(bundle.items.outside),
            titles=[""] * n,
            rows={name: row for row, name in enumerate(bundle.items.outside)},
            sale=np.full(n, 0 if frame is None else GONE, np.int8),
            price=np.full(n, np.nan, np.float32) if facts.price is None else facts.price,
            brand=brand,
            category=category,
            created=np.zeros(n, np.int64) if facts.created is None else facts.created,
            group=np.full(n, -1, np.int32) if facts.group is None else facts.group,
            proxy=np.arange(n, dtype=np.int32),
            likeness=np.ones(n, np.float32),
            vectors=bundle.item_vectors,
            content=bundle.content_vectors,
            vector_index=bundle.vector_index,
            content_index=bundle.content_index,
            category_names=list(facts.category_names),
            brand_names=list(facts.brand_names),
            top=top,
            kinds=Kinds.made(category, top, brand, len(facts.category_names), len(facts.brand_names)),
            alike=bundle.alike,
            likes={},
        )
        if frame is not None:
            known = bundle.items.inside_all(frame["id"]) >= 0
            self.upsert(frame.filter(known))
            self.upsert(
                frame.filter(~known),
                None if text is None else text[~known],
                None if image is None else image[~known],
            )

    def __len__(self) -> int:
        """Products in the catalogue now."""
        return int(np.count_nonzero(self.view.sale != GONE))

    def __contains__(self, product: str) -> bool:
        return self.view.row(product) is not None

    def upsert(
        self, products: pl.DataFrame | Sequence[Product], text: Floats | None = None, image: Floats | None = None
    ) -> None:
        """Add or replace products; the next request sees them.

        text: float32 [m, 512], image: float32 [m, 1280], rows as in `products`, zero rows for none (encoders.py);
        without them a known product keeps its vectors.
        """
        columns = _columns(products)
        if not columns.ids:
            return
        with self._writing:
            self.view = self._with(columns, text, image)

    def delete(self, product: str) -> bool:
        """Take a product out; False when it was not there."""
        with self._writing:
            view = self.view
            row = view.row(product)
            if row is None:
                return False
            sale = view.sale.copy()
            sale[row] = GONE
            self.view = _replaced(view, sale=sale)
            return True

    def _with(self, columns: _Columns, text: Floats | None, image: Floats | None) -> View:
        view = self.view
        ids, titles, rows = view.ids, view.titles, view.rows
        # Names are only appended or set in place: an older view stops at its own n.
        for name in columns.ids:
            if name not in rows:
                rows[name] = len(ids)
                ids.append(name)
                titles.append("")
        n = len(ids)
        at = np.fromiter((rows[name] for name in columns.ids), np.int64, len(columns.ids))
        for row, title in zip(at.tolist(), columns.titles, strict=True):
            titles[row] = title
        brand_names, category_names = list(view.brand_names), list(view.category_names)
        new: dict[str, npt.NDArray[Any]] = {
            "sale": _grown(view.sale, n, GONE),
            "price": _grown(view.price, n, np.nan),
            "brand": _grown(view.brand, n, -1),
            "category": _grown(view.category, n, -1),
            "created": _grown(view.created, n, 0),
            "group": _grown(view.group, n, -1),
        }
        new["sale"][at] = [_AVAILABILITY_CODE[name] for name in columns.availabilities]
        new["price"][at] = [np.nan if price is None else price for price in columns.prices]
        new["brand"][at] = [_code(name, self._brands, brand_names) for name in columns.brands]
        new["category"][at] = [_code(name, self._categories, category_names) for name in columns.types]
        new["group"][at] = [
            -1 if key is None else self._groups.setdefault(key, len(self._groups))
            for key in map(_variants_of, columns.groups, columns.brands, columns.titles)
        ]
        new["created"][at] = [0 if micros is None else micros // 1_000_000 for micros in columns.created]
        proxy, likeness = _grown(view.proxy, n, 0), _grown(view.likeness, n, 0)
        changed = view.changed
        vectors, content = _room(view.vectors, n), _room(view.content, n)
        space = self.bundle.content
        if content is not None and space is not None and (text is not None or image is not None):
            encoded = space.vectors(len(at), text, image)
            there = at < view.indexed
            other = at[there][np.abs(content[at[there]] - encoded[there]).max(axis=1, initial=0) > _SAME]
            changed = np.union1d(changed, other).astype(np.int32)
            content[at] = encoded
            late = at[at >= view.known]
            if len(late) and view.known:
                proxy[late], likeness[late] = self._proxies(content[late])
        if vectors is not None and self.bundle.network is not None:
            later = at >= view.known
            if later.any():
                vectors[at[later]] = self._network_vectors(
                    None if text is None else text[later],
                    None if image is None else image[later],
                    new["category"][at[later]],
                    new["brand"][at[later]],
                    new["price"][at[later]],
                )
        top = view.top if len(category_names) == len(view.category_names) else _tops(category_names)
        grown = _replaced(
            view,
            n=n,
            changed=changed,
            proxy=proxy,
            likeness=likeness,
            vectors=vectors,
            content=content,
            brand_names=brand_names,
            category_names=category_names,
            top=top,
            kinds=Kinds.made(new["category"], top, new["brand"], len(category_names), len(brand_names)),
            **new,
        )
        return _indexed(grown) if n - view.indexed + len(changed) > max(_UNINDEXED, view.indexed // 50) else grown

    def _proxies(self, content: Floats) -> tuple[Ints, Floats]:
        """The bundle's product most like each of these [m], and the cosine, 0 where none is like it."""
        index = self.bundle.content_index
        assert index is not None
        rows, scores = index.search(content, 1)
        nearest, cosine = rows[:, 0], scores[:, 0]
        like = np.where((nearest >= 0) & (cosine >= _PROXY_FROM), np.minimum(cosine, 1), 0)
        return np.maximum(nearest, 0).astype(np.int32), like.astype(np.float32)

    def _network_vectors(
        self, text: Floats | None, image: Floats | None, category: Ints, brand: Ints, price: Floats
    ) -> Floats:
        network, facts = self.bundle.network, self.bundle.facts
        assert network is not None
        # Names that came after learning have no meaning to the network.
        category = np.where(category < len(facts.category_names), category, -1).astype(np.int32)
        brand = np.where(brand < len(facts.brand_names), brand, -1).astype(np.int32)
        return np.asarray(
            network.item_vector_of(text=text, image=image, category=category, brand=brand, price=price), np.float32
        )


@lru_cache
def _available(states: tuple[Availability, ...]) -> Mask:
    """By availability code, the last entry for GONE: is it one of `states`?"""
    table = np.zeros(len(AVAILABILITIES) + 1, np.bool_)
    table[[_AVAILABILITY_CODE[str(kind)] for kind in states]] = True
    return table


def _columns(products: pl.DataFrame | Sequence[Product]) -> _Columns:
    if isinstance(products, pl.DataFrame):
        names = ("id", "title", "brand", "product_type", "price", "availability", "created", "item_group_id")
        return _Columns(*(products[name].to_list() for name in names))
    return _Columns(
        [product.id for product in products],
        [product.title for product in products],
        [product.brand for product in products],
        [product.product_type for product in products],
        [product.price for product in products],
        [str(product.availability) for product in products],
        [None if product.created is None else to_micros(product.created) for product in products],
        [product.item_group_id for product in products],
    )


def _variants_of(group: str, brand: str, title: str) -> str | int | None:
    """What the variants of one product share: their group, else a brand and a title that differs in pack sizes only (as
    a number, which takes less memory); None for a product by itself."""
    if group or not brand:
        return group or None
    name = without_pack(title).casefold()
    return hash((brand.casefold(), name)) if name else None


def _code(name: str, codes: dict[str, int], names: list[str]) -> int:
    if not name:
        return -1
    code = codes.get(name)
    if code is None:
        code = codes[name] = len(names)
        names.append(name)
    return code


def _tops(names: Sequence[str]) -> Ints:
    firsts: dict[str, int] = {}
    codes = [firsts.setdefault(name.split(LEVELS, 1)[0], len(firsts)) for name in names]
    return np.array([*codes, -1], np.int32)


def _grown(values: npt.NDArray[_T], n: int, fill: float) -> npt.NDArray[_T]:
    """A copy with n entries, the new ones `fill`."""
    result = np.full(n, fill, values.dtype)
    result[: len(values)] = values
    return result


def _room(vectors: Floats | None, n: int) -> Floats | None:
    """The same rows with room for n; zero rows after them. Copied only when room runs out."""
    if vectors is None or len(vectors) >= n:
        return vectors
    result = np.zeros((n + max(1_000, n // 20), vectors.shape[1]), np.float32)
    result[: len(vectors)] = vectors
    return result


def _replaced(view: View, **changes: object) -> View:
    """A new view; what filters matched is forgotten."""
    fields = {name: getattr(view, name) for name in View.__slots__ if name != "_matches"}
    return View(**(fields | changes))


def _indexed(view: View) -> View:
    """Every row in the indexes."""

    def extend(index: VectorIndex | None, vectors: Floats | None, *, anew: bool = False) -> VectorIndex | None:
        if index is None or vectors is None:
            return None
        return index.rebuilt(vectors[: view.n]) if anew else index.extended(vectors[view.indexed : view.n])

    return _replaced(
        view,
        indexed=view.n,
        changed=view.changed[:0],
        vector_index=extend(view.vector_index, view.vectors),
        content_index=extend(view.content_index, view.content, anew=bool(len(view.changed))),
        alike=None,
        likes={},
    )
