"""Simulated shops with a known truth. Nothing here is real behaviour, and every name says so.

`simulated_shop`: shoppers over real photos, whose taste is what the photos show. It proves that photos matter.
`simulated_catalogue`: as many products and events as asked for. It measures growth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from shelfwise.model.recommender import Items
from shelfwise.model.sequences import Floats, Ints, Longs, Sequences

DAY = 86_400
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
        quantity=np.ones(len(item), np.float32),
    )
