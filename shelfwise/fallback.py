"""What answers where nothing was learned or no bundle can be read: counts of the newest events and the products' own
texts and photos.

Nothing is learned here, and nothing is kept: it is what was bought lately, by whom, with what, and what is alike. It
holds until `shelfwise train` makes a bundle that this version reads.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from shelfwise.errors import BundleError
from shelfwise.models.bundle import Bundle
from shelfwise.models.complements import Complements
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import items_of
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import IdMap, Sequences
from shelfwise.models.vectors import VectorCache
from shelfwise.schema import DISLIKE, EVENT_COLUMNS, EVENT_TYPES, POSITIVE_TYPES, EventType
from shelfwise.settings import Settings
from shelfwise.store import Store

_DAYS = 90
_ENCODED = 5_000  # products whose texts and photos are read here: an answer does not wait longer
_MOST = 500_000  # events that are counted, the newest
_KINDS = {str(kind): kind.code for kind in EVENT_TYPES}
_HALF_LIFE = 30.0  # days


def unlearned(store: Store, folder: Path, settings: Settings, cache: VectorCache) -> Bundle:
    """A bundle in memory of what needs no training; version "". Raises BundleError where there are no products."""
    products = store.products_frame()
    if not products.height:
        raise BundleError("there are no products yet; load them with `shelfwise load products`")
    from shelfwise.models.encoders import encode_products

    text, image = encode_products(products, folder, settings, cache) if products.height <= _ENCODED else (None, None)
    items = IdMap(products["id"].to_list())
    facts = replace(items_of(products, len(items)), text=text, image=image)
    events = _events(store, items, settings)
    return Bundle.make(
        items=items,
        features=facts,
        artefacts={
            "popularity": Popularity(half_life=_HALF_LIFE).fit(events, facts),
            "repurchase": Repurchase(half_life=_HALF_LIFE, rhythm=1.0).fit(events, facts),
            "cooccurrence": Cooccurrence().fit(events, facts),
            "complements": Complements().fit(events, facts),
        },
        until=int(events.time.max(initial=0)),
    )


def _events(store: Store, items: IdMap, settings: Settings) -> Sequences:
    """The newest events of the shop's last days, by customer and time."""
    last = store.counts().last
    frames = [pl.DataFrame(schema=EVENT_COLUMNS)]
    if last is not None:
        since = last - timedelta(days=_DAYS)
        frames += store.event_frames(since=since, types=sorted(POSITIVE_TYPES))
    events = pl.concat(frames).tail(_MOST)
    low = (pl.col("type") == str(EventType.RATE)) & (pl.col("value") <= settings.low_rating).fill_null(value=False)
    events = (
        events.with_columns(
            owner=pl.when(pl.col("customer") != "").then("customer").otherwise("session:" + pl.col("session")),
            item=pl.Series(items.inside_all(events["product"].to_list()), dtype=pl.Int32),
            seconds=pl.col("time") // 1_000_000,
            kind=pl.when(low)
            .then(pl.lit(DISLIKE, pl.Int8))
            .otherwise(pl.col("type").replace_strict(_KINDS, return_dtype=pl.Int8)),
        )
        .filter(pl.col("item") >= 0, ~pl.col("customer").is_in(settings.ignored_customers))
        .sort("owner", "seconds", maintain_order=True)
    )
    lengths = events.group_by("owner", maintain_order=True).len()["len"].to_numpy()
    return Sequences(
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        time=events["seconds"].to_numpy().astype(np.int64),
        item=events["item"].to_numpy().astype(np.int32),
        kind=events["kind"].to_numpy().astype(np.int8),
        price=events["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
    ).liked()
