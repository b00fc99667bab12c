"""Simulated shops with a known truth. Nothing here is real behaviour, and every name says so.

`simulated_shop`: shoppers over real photos, whose taste is what the photos show. It proves that photos matter.
`simulated_visits`: the visits of such shoppers, event by event, for a shop to be shown with.
`simulated_searches`: searchers who click on what stands on top. It proves that learned clicks are corrected for it.
`simulated_catalogue`: as many products and events as asked for. It measures growth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from shelfwise.models.recommender import Items
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, Sequences
from shelfwise.schema import EVENT_COLUMNS, EventType, to_micros

START = 1_704_067_200  # 2024-01-01 UTC
_PURCHASE = 3
_SIDE = 48  # pixels a photo is looked at with
_BINS = 4  # levels of each of red, green, blue


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedCatalogue:
    """SIMULATED products and behaviour. `groups` int32 [n] is the truth: products of a group are bought together."""

    items: Items
    sequences: Sequences
    groups: Ints


def simulated_catalogue(
    n: int, *, customers: int | None = None, events_each: int = 20, width: int = 64, seed: int = 0
) -> SimulatedCatalogue:
    """n SIMULATED products and the purchases of `customers` (default n / 5, between 500 and 200,000) over 180 days.

    A customer has three groups of about fifty products, stays in one for a few events, and takes its products by
    Zipf's law. Text vectors float32 [n, width] lie around their group's centre. Memory: 4 · n · width bytes and
    26 a purchase; a million products and four million purchases take seconds.
    """
    if n < 1:
        raise ValueError("n must be at least 1")
    random = np.random.default_rng(seed)
    customers = min(max(n // 5, 500), 200_000) if customers is None else customers
    n_groups = max(n // 50, 1)
    groups = np.sort(random.integers(n_groups, size=n)).astype(np.int32)
    starts = np.searchsorted(groups, np.arange(n_groups + 1))
    filled = np.flatnonzero(np.diff(starts))

    centres = random.standard_normal((n_groups, width), np.float32)
    text = centres[groups]
    text += 0.7 * random.standard_normal((n, width), np.float32)
    text /= np.linalg.norm(text, axis=1, keepdims=True)

    lengths = 1 + random.poisson(events_each - 1, customers) if events_each > 1 else np.ones(customers, np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    rows = int(offsets[-1])
    owner = np.repeat(np.arange(customers), lengths)
    popularity = 1 / np.arange(1, len(filled) + 1) ** 0.5
    favourites = random.permutation(filled)[
        np.searchsorted(np.cumsum(popularity) / popularity.sum(), random.random((customers, 3)), side="right").clip(
            max=len(filled) - 1
        )
    ]
    # A new one of the three groups every four events or so, the same from there to the next change.
    change = np.where(random.random(rows) < 0.25, np.arange(rows), -1)
    change[offsets[:-1]] = offsets[:-1]
    group = favourites[owner, random.integers(3, size=rows)[np.maximum.accumulate(change)]]
    size = np.diff(starts)[group]
    # Zipf within a group, by inversion of the continuous law: rank = size^u - 1.
    rank = np.minimum(size ** random.random(rows), size) - 1
    item = (starts[group] + rank.astype(np.int64)).astype(np.int32)

    price = np.round(np.exp(random.normal(2.5, 0.8, n)), 2).astype(np.float32)
    n_brands = max(n // 200, 1)
    items = Items(
        n=n,
        text=text,
        category=groups,
        category_names=tuple(f"Simulated > Group {code}" for code in range(n_groups)),
        brand=random.integers(n_brands, size=n).astype(np.int32),
        brand_names=tuple(f"Simulated brand {code}" for code in range(n_brands)),
        price=price,
        created=np.full(n, START, np.int64),
    )
    return SimulatedCatalogue(items=items, sequences=_purchases(offsets, item, price, random), groups=groups)


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedShop:
    """SIMULATED shoppers over real photos, and the truth about their taste.

    train: purchases of warm products only. target: int32 [customers], the cold product each buys next.
    cold: bool [n], products that appear in no event of train. looks: float32 [n, d], what each photo shows.
    taste: float64 [customers, n], the probability with which each customer chooses each product.
    """

    train: Sequences
    target: Ints
    cold: npt.NDArray[np.bool_]
    looks: Floats
    taste: npt.NDArray[np.float64]

    def newcomers(self, each: int, *, seed: int = 0) -> Sequences:
        """What the same shoppers buy once there are only cold products: `each` of them a shopper."""
        random = np.random.default_rng((seed, each))
        item = _draw(np.where(self.cold, self.taste, 0.0), each, random).ravel().astype(np.int32)
        offsets = np.arange(len(self.taste) + 1, dtype=np.int64) * each
        return _purchases(offsets, item, np.full(len(self.cold), np.nan, np.float32), random)


def simulated_shop(
    photos: Sequence[Path],
    *,
    customers: int = 2_000,
    events_each: int = 12,
    cold_share: float = 0.25,
    sharpness: float = 8.0,
    seed: int = 0,
) -> SimulatedShop:
    """SIMULATED shoppers who buy by what the photos show, and by nothing else.

    Each shopper has one photo in mind, drawn at random, and chooses products with probability proportional to
    exp(sharpness · likeness), where likeness is the cosine of the photos' looks: the colours of what stands before the
    background, and how light and how varied it is, computed from the pixels (`look`). Titles, categories, prices and
    the encoders of the model play no part. A random `cold_share` of the products is never bought in `train`, and
    each shopper's next purchase is one of these, drawn from the same taste.
    """
    random = np.random.default_rng(seed)
    looks = np.stack([look(photo) for photo in photos])
    n = len(looks)
    centred = looks - looks.mean(0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    ideal = random.integers(n, size=customers)
    taste = np.exp(sharpness * (centred[ideal] @ centred.T).astype(np.float64))
    taste /= taste.sum(1, keepdims=True)

    cold = np.zeros(n, np.bool_)
    cold[random.permutation(n)[: round(n * cold_share)]] = True
    offsets = np.arange(customers + 1, dtype=np.int64) * events_each
    item = _draw(np.where(cold, 0.0, taste), events_each, random).ravel().astype(np.int32)
    target = _draw(np.where(cold, taste, 0.0), 1, random)[:, 0].astype(np.int32)
    price = np.full(n, np.nan, np.float32)
    train = _purchases(offsets, item, price, random)
    return SimulatedShop(train=train, target=target, cold=cold, looks=looks.astype(np.float32), taste=taste)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A product as SIMULATED shoppers see it: its photo's vector float32 [d], its variants' ids and prices, and the
    words somebody would search it with."""

    look: Floats
    variants: tuple[str, ...]
    prices: tuple[float, ...]
    words: tuple[str, ...]


def simulated_visits(
    products: Sequence[Shown],
    *,
    end: datetime,
    shoppers: int = 400,
    visits_each: float = 8,
    days: int = 120,
    sharpness: float = 8.0,
    seed: int = 0,
) -> pl.DataFrame:
    """EVENT_COLUMNS: the visits of SIMULATED shoppers `shopper-001`, … in the `days` before `end`.

    Each shopper has two of the photos in mind, and looks at products with probability proportional to
    exp(sharpness · likeness), where likeness is the cosine of a photo's vector, less the mean of all, with the mean of
    these two; one look in ten is at any product. Nothing else attracts: no title, category or price. A visit is three
    to seven looks, every other one begun with a search for its first product; one look in three is put into the cart
    and three carts in five are bought. What was bought is looked at a tenth as often from then on. One visit in four
    is made by somebody who has not signed in: it has a session and no customer.
    """
    random = np.random.default_rng(seed)
    n = len(products)
    looks = np.stack([product.look for product in products]).astype(np.float64)
    looks -= looks.mean(0)
    looks /= np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-9)
    finish = to_micros(end)
    rows: list[tuple[str, str, int, str, str, float | None, str]] = []
    for shopper in range(shoppers):
        name = f"shopper-{shopper + 1:03d}"
        mind = looks[random.choice(n, size=min(2, n), replace=False)].sum(0)
        mind /= max(np.linalg.norm(mind), 1e-9)
        taste = np.exp(sharpness * (looks @ mind))
        taste = 0.9 * taste / taste.sum() + 0.1 / n
        begins = finish - random.integers(days * DAY, size=1 + random.poisson(visits_each - 1)) * 1_000_000
        for visit, begin in enumerate(np.sort(begins).tolist()):
            session = f"simulated-{shopper + 1}-{visit + 1}"
            customer = "" if random.random() < 0.25 else name
            seen = random.choice(n, size=min(int(random.integers(3, 8)), n), replace=False, p=taste / taste.sum())
            at = int(begin)
            if random.random() < 0.5:
                query = str(random.choice(products[seen[0]].words))
                rows.append((EventType.SEARCH, session, at, customer, "", None, query))
            cart: list[tuple[int, int]] = []
            steps = [(product, int(random.integers(len(products[product].variants)))) for product in seen.tolist()]
            for product, variant in steps:
                at += int(random.integers(5, 120)) * 1_000_000
                shown = products[product]
                what = (customer, shown.variants[variant], shown.prices[variant], "")
                rows.append((EventType.VIEW_ITEM, session, at, *what))
                if random.random() < 1 / 3:
                    at += int(random.integers(2, 30)) * 1_000_000
                    rows.append((EventType.ADD_TO_CART, session, at, *what))
                    cart.append((product, variant))
            if cart and random.random() < 0.6:
                at += int(random.integers(30, 300)) * 1_000_000
                for product, variant in cart:
                    shown = products[product]
                    what = (customer, shown.variants[variant], shown.prices[variant], "")
                    rows.append((EventType.PURCHASE, session, at, *what))
                    taste[product] *= 0.1
    columns = ["type", "session", "time", "customer", "product", "price", "query"]
    frame = pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None).filter(pl.col("time") < finish)
    given = {
        "id": pl.format("simulated-{}", pl.int_range(pl.len())),
        "quantity": pl.lit(1.0),
        "value": pl.lit(None),
        "request_id": pl.lit(""),
    }
    return frame.sort("time").select(
        given.get(name, pl.col(name)).cast(kind).alias(name) for name, kind in EVENT_COLUMNS.items()
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedSearches:
    """SIMULATED searches, and the truth. events: EVENT_COLUMNS. shown: for each query the products, in the order that
    everybody was shown. wanted: float64 [queries, products], how often who looks at each of `shown` clicks on it."""

    events: pl.DataFrame
    shown: dict[str, tuple[str, ...]]
    wanted: npt.NDArray[np.float64]


def simulated_searches(
    *, queries: int = 20, searchers: int = 300, products: int = 10, bias: float = 0.8, seed: int = 0
) -> SimulatedSearches:
    """`searchers` SIMULATED people for each query, all shown the same `products` in the same order.

    What stands at place r (from 0) is looked at with probability 1 / (r + 1)^bias, and what is looked at is clicked on
    with a probability of its own, drawn from 0.05 to 0.6 without regard to its place (the examination hypothesis:
    Richardson et al. 2007). Each search is an event, and so is each product shown, in order, and each click.
    """
    random = np.random.default_rng(seed)
    wanted = random.uniform(0.05, 0.6, (queries, products))
    seen = 1 / (np.arange(products) + 1.0) ** bias
    shown = {f"query {q}": tuple(f"q{q}-p{p}" for p in range(products)) for q in range(queries)}
    rows: list[tuple[str, str, int, str, str, str]] = []
    for q, (query, listed) in enumerate(shown.items()):
        clicked = random.random((searchers, products)) < seen * wanted[q]
        for searcher in range(searchers):
            session, answer = f"simulated-{q}-{searcher}", f"simulated-answer-{q}-{searcher}"
            at = (START + q * DAY + searcher * 60) * 1_000_000
            rows.append((EventType.SEARCH, session, at, "", query, answer))
            rows += [(EventType.VIEW_ITEM_LIST, session, at + 1, product, "", answer) for product in listed]
            rows += [
                (EventType.SELECT_ITEM, session, at + 2 + int(place), listed[place], "", answer)
                for place in np.flatnonzero(clicked[searcher])
            ]
    frame = pl.DataFrame(rows, schema=["type", "session", "time", "product", "query", "request_id"], orient="row")
    given = {"id": pl.format("simulated-{}", pl.int_range(pl.len())), "customer": pl.lit("")}
    given |= {"quantity": pl.lit(1.0), "price": pl.lit(None), "value": pl.lit(None)}
    events = frame.select(given.get(name, pl.col(name)).cast(kind).alias(name) for name, kind in EVENT_COLUMNS.items())
    return SimulatedSearches(events=events, shown=shown, wanted=wanted)


def look(photo: Path) -> Floats:
    """What a photo shows, from its pixels alone: float32 [68].

    The square root of the histogram of 4 x 4 x 4 colours (so that a product of two looks is the Bhattacharyya
    coefficient), then mean lightness, its spread, colourfulness and the share of the photo that is not background.
    Background is what has the colour of the border, within a tenth.
    """
    with Image.open(photo) as image:
        image.draft("RGB", (2 * _SIDE, 2 * _SIDE))
        pixels = np.asarray(image.convert("RGB").resize((_SIDE, _SIDE)), np.float32).reshape(-1, 3) / 255
    grid = np.arange(_SIDE * _SIDE)
    border = (grid % _SIDE % (_SIDE - 1) == 0) | (grid // _SIDE % (_SIDE - 1) == 0)
    background = np.median(pixels[border], axis=0)
    front = pixels[np.abs(pixels - background).max(1) > 0.1]
    share = len(front) / len(pixels)
    if not len(front):
        front = pixels
    levels = np.minimum((front * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(levels @ np.array([_BINS * _BINS, _BINS, 1]), minlength=_BINS**3)
    light = front.mean(1)
    colourful = np.ptp(front, axis=1).mean()
    return np.concatenate(
        [np.sqrt(counts / counts.sum()), [light.mean(), light.std(), colourful, share]], dtype=np.float32
    )


def _draw(weights: npt.NDArray[np.float64], each: int, random: np.random.Generator) -> Longs:
    """int64 [rows, each]: columns drawn with probability proportional to each row's weights."""
    steps = np.cumsum(weights, axis=1)
    drawn = random.random((len(weights), each)) * steps[:, -1:]
    return np.stack([np.searchsorted(row, at, side="right") for row, at in zip(steps, drawn, strict=True)])


def _purchases(offsets: Longs, item: Ints, price: Floats, random: np.random.Generator) -> Sequences:
    """Purchases spread over 180 days, each customer's in time order."""
    lengths = np.diff(offsets)
    gaps = random.exponential(size=len(item))
    total = np.concatenate(([0.0], np.cumsum(gaps)))
    passed = total[1:] - np.repeat(total[offsets[:-1]], lengths)
    span = np.repeat(total[offsets[1:]] - total[offsets[:-1]], lengths)
    return Sequences(
        offsets=offsets,
        item=item,
        kind=np.full(len(item), _PURCHASE, np.int8),
        time=(START + passed / np.maximum(span, 1e-9) * 180 * DAY).astype(np.int64),
        price=price[item],
    )
