"""The console's catalogue: products with what the engine knows of them, one product's page, and what is cold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import numpy as np
import polars as pl

from shelfwise.catalogue.facets import Facet
from shelfwise.catalogue.filters import Filters, SearchFilters
from shelfwise.engine.catalogue import View
from shelfwise.engine.pipeline import Engine
from shelfwise.errors import BundleError, InvalidRequest, UnknownProduct
from shelfwise.schema import Availability, Product, Rule, from_micros
from shelfwise.search.retrieve.dense import Nearest
from shelfwise.search.search import Search
from shelfwise.shop import Shop

PAGE = 40  # products a page of the list
NEAR = 6  # nearest products of each kind
#: What the list can be narrowed to, beside everything.
SHOWS = ("all", "cold", "no_photo", "no_text", "out_of_stock")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductRow:
    """One line of the list. cold: nobody turned to it in what was learned; None before anything was learned."""

    id: str
    title: str
    brand: str
    category: str
    price: float | None
    currency: str
    availability: str
    photo: bool
    cold: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductsPage:
    """after: token of the next page. later: is this not the first one? learned: is a bundle in use?"""

    template: ClassVar[str] = "console/products.html"
    section: ClassVar[str] = "products"
    shows: ClassVar[tuple[str, ...]] = SHOWS
    query: str
    show: str
    category: str
    rows: tuple[ProductRow, ...]
    total: int
    products: int
    after: str
    later: bool
    categories: tuple[tuple[str, int], ...]
    learned: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """A product near another. share: from 0 to 1 (cosine, or part of the strongest neighbour's weight)."""

    id: str
    title: str
    share: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kin:
    """The nearest by one measure: text, photo, together, shown. missing: why there are none, a key of the texts."""

    name: str
    products: tuple[Near, ...]
    missing: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """Events of one type that name a product."""

    type: str
    count: int
    last: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductPage:
    """What the engine knows of one product. state: unlearned (no bundle yet), late (came after learning), unseen
    (learned without an event), known. proxy: whose counts stand in for a late product, how alike from 0 to 1."""

    template: ClassVar[str] = "console/product.html"
    section: ClassVar[str] = "products"
    product: Product
    state: str
    learned: datetime | None
    proxy: Near | None
    events: tuple[Happened, ...]
    kin: tuple[Kin, ...]
    rules: tuple[Rule, ...]


def products_page(
    shop: Shop, *, query: str = "", show: str = "all", category: str = "", after: str = ""
) -> ProductsPage:
    """A page of the catalogue: what a search for `query` finds (everything without one), or of one kind of SHOWS.
    Raises InvalidRequest."""
    if show not in SHOWS:
        raise InvalidRequest("show", f"is {show[:40]!r}; use one of {', '.join(SHOWS)}")
    engine = _engine(shop)
    if show in ("all", "out_of_stock"):
        products, total, following, facets = _searched(shop, query, show, category, after)
    else:
        products, total, following, facets = _listed(shop, query, show, category, after, engine)
    return ProductsPage(
        query=query,
        show=show,
        category=category,
        rows=tuple(_row(product, engine) for product in products),
        total=total,
        products=shop.counts().products,
        after=following,
        later=bool(after),
        categories=tuple((str(value), count) for facet in facets for value, count in facet.values[:30]),
        learned=engine is not None,
    )


def _searched(
    shop: Shop, query: str, show: str, category: str, after: str
) -> tuple[list[Product], int, str, tuple[Facet, ...]]:
    availability = (Availability.OUT_OF_STOCK,) if show == "out_of_stock" else None
    answer = shop.search(
        query,
        filters=SearchFilters(availability=availability, categories=(category,) if category else ()),
        k=PAGE,
        after=after,
        facets=("category",),
        group=False,
        personal=False,
        learned=False,
    )
    named = shop.store.product(query.strip()) if query.strip() and not after else None
    if query and "popular" in answer.relaxed:
        return ([named], 1, "", ()) if named else ([], 0, "", ())
    products = list(shop.store.products(hit.product for hit in answer.items).values())
    if named is not None:
        products = [named, *(product for product in products if product.id != named.id)]
    return products, answer.total, answer.after, answer.facets


def _listed(
    shop: Shop, query: str, show: str, category: str, after: str, engine: Engine | None
) -> tuple[list[Product], int, str, tuple[Facet, ...]]:
    """Of the whole record: `after` is the number of products gone before."""
    if after and not (after.isascii() and after.isdecimal() and len(after) < 10):
        raise InvalidRequest("after", "must be the `after` of the page before")
    frame = shop.store.products_frame()
    match show:
        case "cold":
            left = [cold(engine, name) is not False for name in frame["id"].to_list()]
            frame = frame.filter(pl.Series(left, dtype=pl.Boolean))
        case "no_photo":
            frame = frame.filter(pl.col("image_link") == "")
        case _:
            frame = frame.filter((pl.col("title") == "") | (pl.col("description") == ""))
    if category:
        path = pl.col("product_type").str.to_lowercase()
        frame = frame.filter((path == category.lower()) | path.str.starts_with(category.lower() + " > "))
    for word in query.lower().split():
        text = pl.concat_str("id", "title", "brand", separator=" ").str.to_lowercase()
        frame = frame.filter(text.str.contains(word, literal=True))
    kinds = frame["product_type"].str.split(" > ").list.first().value_counts(sort=True)
    values = tuple((str(name), int(count)) for name, count in kinds.iter_rows() if name)
    start = int(after or 0)
    ids = frame["id"][start : start + PAGE].to_list()
    products = list(shop.store.products(ids).values())
    more = str(start + PAGE) if frame.height > start + PAGE else ""
    return products, frame.height, more, (Facet(name="category", values=values),)


def product_page(shop: Shop, id: str, language: str = "") -> ProductPage:
    """language: of the reasons, "" the shop's. Raises UnknownProduct."""
    product = shop.store.product(id)
    if product is None:
        raise UnknownProduct(id)
    engine = _engine(shop)
    view = None if engine is None else engine.catalogue.view
    row = None if view is None else view.row(id)
    state, proxy, learned = "unlearned", None, None
    if engine is not None and view is not None:
        learned = from_micros(engine.bundle.until * 1_000_000)
        state = "known"
        if row is None or row >= view.known:
            state = "late"
            if row is not None and view.likeness[row] > 0:
                other = int(view.proxy[row])
                proxy = _near(shop, view.ids[other], float(view.likeness[row]))
        elif cold(engine, id):
            state = "unseen"
    search = shop.searching
    return ProductPage(
        product=product,
        state=state,
        learned=learned,
        proxy=proxy,
        events=tuple(
            Happened(type=str(kind), count=count, last=last)
            for kind, (count, last) in sorted(shop.store.product_events(id).items(), key=lambda pair: -pair[1][0])
        ),
        kin=(
            _alike(shop, search, search.indexes.meaning.texts, id, "text"),
            _alike(shop, search, search.indexes.meaning.photos, id, "photo"),
            _together(shop, view, row),
            _shown(shop, id, language),
        ),
        rules=tuple(rule for rule in shop.store.rules() if id in rule.products),
    )


def cold(engine: Engine | None, id: str) -> bool | None:
    """Has the engine nothing but content to go by? None before anything was learned."""
    if engine is None:
        return None
    view = engine.catalogue.view
    row = view.row(id)
    return row is None or row >= view.known or not float(engine.bundle.popularity.weight[row]) > 0


def _engine(shop: Shop) -> Engine | None:
    """None before anything was learned: then counts alone answer."""
    try:
        engine = shop.engine
    except BundleError:
        return None
    return engine if engine.bundle.version else None


def _row(product: Product, engine: Engine | None) -> ProductRow:
    return ProductRow(
        id=product.id,
        title=product.title or product.id,
        brand=product.brand,
        category=product.product_type,
        price=product.price,
        currency=product.currency,
        availability=str(product.availability),
        photo=bool(product.image_link),
        cold=cold(engine, product.id),
    )


def _near(shop: Shop, id: str, share: float, reason: str = "") -> Near:
    product = shop.store.product(id)
    title = id if product is None else product.title or id
    return Near(id=id, title=title, share=min(1.0, max(0.0, share)), reason=reason)


def _alike(shop: Shop, search: Search, nearest: Nearest, id: str, name: str) -> Kin:
    """By cosine of their vectors."""
    view, vectors = search.indexes.products.view, nearest.vectors
    row = view.row(id)
    if vectors is None:
        return Kin(name=name, products=(), missing=f"no_{name}_encoder")
    if row is None or row >= len(vectors) or not vectors[row].any():
        return Kin(name=name, products=(), missing=f"no_{name}")
    rows, cosines = nearest.near(vectors[row], NEAR + 1)
    others = [
        (view.ids[other], float(cosine))
        for other, cosine in zip(rows.tolist(), cosines.tolist(), strict=True)
        if other != row and view.row(view.ids[other]) is not None
    ]
    near = tuple(_near(shop, other, cosine) for other, cosine in others[:NEAR])
    return Kin(name=name, products=near, missing="" if near else "none_near")


def _together(shop: Shop, view: View | None, row: int | None) -> Kin:
    """What is turned to shortly after it, by part of the strongest."""
    if view is None:
        return Kin(name="together", products=(), missing="unlearned")
    if row is None or row >= view.known:
        return Kin(name="together", products=(), missing="late")
    graph = shop.engine.bundle.cooccurrence
    part = slice(int(graph.indptr[row]), int(graph.indptr[row + 1]))
    ids, weights = graph.ids[part], graph.weights[part]
    there = [at for at, other in enumerate(ids.tolist()) if view.row(view.ids[other]) is not None][:NEAR]
    top = float(np.max(weights, initial=0)) or 1.0
    near = tuple(_near(shop, view.ids[int(ids[at])], float(weights[at]) / top) for at in there)
    return Kin(name="together", products=near, missing="" if near else "no_events")


def _shown(shop: Shop, id: str, language: str) -> Kin:
    """What the shop shows beside it: all of it together."""
    try:
        answer = shop.similar(id, k=NEAR, filters=Filters(), language=language)
    except BundleError:
        return Kin(name="shown", products=(), missing="unlearned")
    except UnknownProduct:  # the record has it, the engine follows within a second
        return Kin(name="shown", products=(), missing="late")
    top = max((item.score for item in answer.items), default=0.0) or 1.0
    near = tuple(_near(shop, item.product, item.score / top, item.reason) for item in answer.items)
    return Kin(name="shown", products=near, missing="" if near else "none_near")
