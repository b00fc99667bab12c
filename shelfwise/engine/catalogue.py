"""The engine's catalogue: the products for sale this second, and the vectors of each beside them.

Rows 0 … n-1 are the bundle's products; products that came later get the rows after them. Readers take `view`, an
immutable snapshot, and never wait; a writer prepares the next snapshot and swaps it in.

A product the bundle never saw has no counts to go by. Its content vector makes it findable, the network's item tower
gives it a place among the others, and for everything counted (neighbours, popularity) it borrows from its cold-start
proxy, the known product most like it, as far as it is like it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import polars as pl

from shelfwise.catalogue.products import GONE, Products, ProductsView, first_levels, frame_of, grown
from shelfwise.models.alike import Alike, Contents
from shelfwise.models.bundle import Bundle
from shelfwise.models.index import VectorIndex
from shelfwise.models.sequences import Floats, Ints
from shelfwise.schema import Product

_PROXY_FROM = 0.3  # cosine below which the most similar product is no proxy
_UNINDEXED = 2_000  # new or changed products scanned one by one before the index takes them in
_SAME = 1e-4  # the most by which the same text's vectors, computed twice, differ


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
class View(ProductsView):
    """One consistent state of the catalogue. Arrays are [n] unless said; do not write to them.

    known:  rows below come from the bundle. indexed: rows below are in the indexes, the rest is scanned.
    changed: rows below `indexed` whose content the index does not know yet: scanned too, int32, ascending.
    proxy, likeness: the bundle's row whose counts a product uses, and how far (1 for the bundle's own products).
    vectors: float32 [>= n, d], the network's; content: float32 [>= n, dc]; None where the bundle has none.
    """

    known: int
    indexed: int
    changed: Ints
    proxy: Ints
    likeness: Floats
    vectors: Floats | None
    content: Floats | None
    vector_index: VectorIndex | None
    content_index: VectorIndex | None
    #: Code of the first level of each category, [names + 1]; the last entry is for unknown ones.
    top: Ints
    kinds: Kinds
    #: What the content index finds of popular products, while it is the bundle's.
    alike: Alike | None
    #: Which indexed rows have the same content; None where the bundle has none.
    contents: Contents | None
    #: Rows by the bytes of a content vector, found once (filled by similar.py); shared by views over the same index.
    likes: dict[bytes, Ints]

    def scanned(self) -> Ints:
        """Rows whose content no index knows, int32, ascending."""
        return np.concatenate((self.changed, np.arange(self.indexed, self.n, dtype=np.int32)))


class Catalogue:
    """Products for sale over a bundle. Any number of readers through `view`; writers take turns by a lock.

    frame: the store's products (schema.PRODUCT_COLUMNS); what of the bundle is not in it is not for sale. None: every
           product of the bundle is for sale, as evaluation has it.
    text, image: vectors of the frame's products, see `upsert`; only those of products the bundle does not know are
           used, the bundle brings the others'.
    beside: products already held, by search. They are used as well where their rows are the bundle's; else products of
           its own, with the texts shared.
    """

    def __init__(
        self,
        bundle: Bundle,
        frame: pl.DataFrame | None = None,
        text: Floats | None = None,
        image: Floats | None = None,
        beside: Products | None = None,
    ) -> None:
        self.bundle = bundle
        self._writing = threading.Lock()
        ids, facts, n = bundle.items.outside, bundle.facts, len(bundle.items)
        shared = beside is not None and beside.begins_with(ids, facts)
        self.products = beside if shared and beside else Products.of_items(ids, facts, 0 if frame is None else GONE)
        products = self.products.view
        top = first_levels(products.categories.names)
        self.view = View(
            **_fields(products),
            known=n,
            indexed=n,
            changed=np.empty(0, np.int32),
            proxy=grown(np.arange(n, dtype=np.int32), products.n, 0),
            likeness=grown(np.ones(n, np.float32), products.n, 0),
            vectors=_room(bundle.item_vectors, products.n),
            content=_room(bundle.content_vectors, products.n),
            vector_index=bundle.vector_index,
            content_index=bundle.content_index,
            top=top,
            kinds=_kinds(products, top),
            alike=bundle.alike,
            contents=_contents(bundle, bundle.content_vectors),
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
        if beside is not None and not shared:
            self.products.intern(beside)

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
        frame = products if isinstance(products, pl.DataFrame) else frame_of(products)
        if not frame.height:
            return
        with self._writing:
            rows = self.products.upsert(frame)
            self.view = self._extended(self.products.view, rows, text, image)

    def delete(self, product: str) -> bool:
        """Take a product out; False when it was not there."""
        with self._writing:
            there = self.view.row(product) is not None
            self.products.delete([product])
            self.view = self._extended(self.products.view, np.empty(0, np.int32), None, None)
        return there

    def _extended(self, products: ProductsView, at: Ints, text: Floats | None, image: Floats | None) -> View:
        """The view over these products, of which rows `at` [m] have these vectors now."""
        view, n = self.view, products.n
        proxy, likeness = grown(view.proxy, n, 0), grown(view.likeness, n, 0)
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
                    products.category[at[later]],
                    products.brand[at[later]],
                    products.price[at[later]],
                )
        top = view.top if len(products.categories) < len(view.top) else first_levels(products.categories.names)
        extended = replace(
            view,
            **_fields(products),
            changed=changed,
            proxy=proxy,
            likeness=likeness,
            vectors=vectors,
            content=content,
            top=top,
            kinds=_kinds(products, top),
        )
        waiting = n - view.indexed + len(changed)
        return _indexed(extended, self.bundle) if waiting > max(_UNINDEXED, view.indexed // 50) else extended

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


def _fields(products: ProductsView) -> dict[str, Any]:
    """The products' part of a view."""
    return {each.name: getattr(products, each.name) for each in fields(ProductsView) if each.init}


def _kinds(products: ProductsView, top: Ints) -> Kinds:
    return Kinds.made(products.category, top, products.brand, len(top) - 1, len(products.brands))


def _room(vectors: Floats | None, n: int) -> Floats | None:
    """The same rows with room for n; zero rows after them. Copied only when room runs out."""
    if vectors is None or len(vectors) >= n:
        return vectors
    result = np.zeros((n + max(1_000, n // 20), vectors.shape[1]), np.float32)
    result[: len(vectors)] = vectors
    return result


def _contents(bundle: Bundle, content: Floats | None) -> Contents | None:
    return None if content is None else Contents.of(content, bundle.artefacts["popularity"].order)


def _indexed(view: View, bundle: Bundle) -> View:
    """Every row in the indexes."""

    def extend(index: VectorIndex | None, vectors: Floats | None, *, anew: bool = False) -> VectorIndex | None:
        if index is None or vectors is None:
            return None
        return index.rebuilt(vectors[: view.n]) if anew else index.extended(vectors[view.indexed : view.n])

    return replace(
        view,
        indexed=view.n,
        changed=view.changed[:0],
        vector_index=extend(view.vector_index, view.vectors),
        content_index=extend(view.content_index, view.content, anew=bool(len(view.changed))),
        alike=None,
        contents=_contents(bundle, None if view.content is None else view.content[: view.n]),
        likes={},
    )
