"""The record as arrays: ids mapped once, every customer's events in time order, what is known of each product.

Frames are streamed from the store, so memory is the arrays themselves (about 26 bytes an event) plus one frame and the
sort's permutation; cost is linear in events but for that sort. Anonymous sessions are customers of their own
(sessions that signed in come from the store under their customer already). What was put into a cart and taken out again
counts as in a live state, by the same rule (`engine.state.decided`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from shelfwise.engine.state import TAKES_BACK, decided
from shelfwise.errors import NotEnoughData
from shelfwise.models.recommender import Items, Progress, items_of
from shelfwise.models.sequences import IdMap, Ints, Longs, Sequences, sequences_of
from shelfwise.schema import DISLIKE, EVENT_TYPES, POSITIVE_TYPES, EventType, to_micros
from shelfwise.settings import Settings

if TYPE_CHECKING:
    from shelfwise.store import Store

SECOND = 1_000_000  # microseconds
_SILENCE = 90 * 86_400  # seconds without any event
_FEW = 30  # customers; fewer (and under a tenth of all) do not end a silence
SEPARATOR = " > "
_SESSION = "session:"  # marks an anonymous session among customers; no bundle ever holds these names
#: Whose an event is, as `Dataset.customers` names them.
OWNER = pl.when(pl.col("customer") != "").then("customer").otherwise(_SESSION + pl.col("session"))
_UNDOING = tuple(kind for kind in EVENT_TYPES if TAKES_BACK[kind.code])
_KINDS = {str(kind): kind.code for kind in EVENT_TYPES}
_READ = ("type", "time", "customer", "session", "product", "price", "value")


@dataclass(frozen=True, slots=True)
class Dataset:
    """items: every product of the catalogue, then those that only events name. customers: ids, and sessions nobody
    signed in to, marked `session:`. sequences: positive events and dislikes (`Sequences.liked`
    leaves these out), row i for customer i. features: row i for item i.

    undone: the additions to a cart that were taken back by a removal, row i for customer i. As in a live state they are
    wishes up to that moment, seconds in `undone_at` (one a row of `undone`), and never were from then on; so they are
    not in `sequences`.

    known_at: seconds, for each row of `sequences` (and of `undone`, in `undone_known_at`) since when it is known whose
    it is: an anonymous event becomes a customer's when they sign in, which as of a moment before nobody knew. None
    where nobody signed in late.
    """

    items: IdMap
    customers: IdMap
    sequences: Sequences
    features: Items
    undone: Sequences | None = None
    undone_at: Longs | None = None
    known_at: Longs | None = None
    undone_known_at: Longs | None = None

    def split(self, time: datetime | int, days: float | None = None) -> tuple[Sequences, Sequences]:
        """Events strictly before `time` (UTC, or seconds since 1970) as they looked then, and those from it on (for
        `days`): both over all customers, so that row i is the same customer in both."""
        cut = to_micros(time) // SECOND if isinstance(time, datetime) else time
        after = self.sequences.time >= cut
        if days is not None:
            after &= self.sequences.time < cut + int(days * 86_400)
        before = self.sequences.before(cut)
        if self.known_at is not None:
            before = self.sequences.take((self.sequences.time < cut) & (self.known_at < cut))
        if self.undone is not None and self.undone_at is not None:
            # That they will be taken back is not known yet.
            wished = (self.undone.time < cut) & (self.undone_at >= cut)
            if self.undone_known_at is not None:
                wished &= self.undone_known_at < cut
            if wished.any():
                before = _merged(before, self.undone.take(wished))
        return before, self.sequences.take(after)


def read_dataset(
    store: Store,
    folder: Path | None,
    settings: Settings,
    progress: Progress | None = None,
    *,
    until: datetime | None = None,
    encode: bool = True,
    pixels: bool = False,
) -> Dataset:
    """The store's positive events (those before `until`, if given) and its products.

    folder: where vectors of texts and photos are cached; None or encode=False leaves products without vectors.
    pixels: with thumbnails of the photos too, for models that learn from them.
    Raises NotEnoughData when no positive event names a product.
    """
    products = store.products_frame()
    names: dict[str, int] = {name: at for at, name in enumerate(products["id"])}
    customers: dict[str, int] = {}
    columns = _Columns(store.sign_ins(), settings.low_rating)
    total = store.counts().events
    frames = store.event_frames(until=until, types=sorted({*POSITIVE_TYPES, *_UNDOING}), columns=_READ)
    for frame in frames:
        if settings.ignored_customers:
            frame = frame.filter(~pl.col("customer").is_in(settings.ignored_customers))
        columns.add(frame, names, customers)
        if progress:
            progress(columns.rows, total, "events read")
    everything, undone_at, known_at = columns.sequences(len(customers))
    if until is not None:  # what was not known to be theirs then was not in their history
        kept = known_at < to_micros(until) // SECOND + 1
        everything, undone_at, known_at = everything.take(kept), undone_at[kept], known_at[kept]
    stays = undone_at < 0
    if not stays.any():
        raise NotEnoughData("no event names a product yet; load events first (`shelfwise load events FILE`)")
    everything = _settled(everything)
    undone = None if stays.all() else everything.take(~stays)
    features = items_of(products, len(names))
    if encode and folder is not None:
        features = _encoded(features, products, folder, settings, pixels, progress)
    sequences = everything if undone is None else everything.take(stays)
    late = bool((known_at > everything.time).any())
    return Dataset(
        IdMap(names),
        IdMap(customers),
        sequences,
        features,
        undone,
        undone_at[~stays],
        known_at[stays] if late else None,
        known_at[~stays] if late else None,
    )


def _settled(sequences: Sequences) -> Sequences:
    """A few events long after all others (a try at an old data set, a sender's wrong clock) must not move the clock
    every decay and window goes by: they count as of the moment before the silence, as the engine counts them too."""
    times = np.sort(sequences.time)
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths())
    until = times[-1]
    for place in np.flatnonzero(np.diff(times) > _SILENCE)[::-1]:
        later = np.unique(owner[sequences.time > times[place]])
        if len(later) >= _FEW or 10 * len(later) > len(sequences):
            break
        until = times[place]
    return replace(sequences, time=np.minimum(sequences.time, until))


def _merged(one: Sequences, other: Sequences) -> Sequences:
    """The events of both in time order; row i is the same customer in both."""
    owner = np.concatenate([np.repeat(np.arange(len(part)), part.lengths()) for part in (one, other)])
    time = np.concatenate((one.time, other.time))
    order = np.lexsort((time, owner))
    return Sequences(
        offsets=one.offsets + other.offsets,
        time=time[order],
        item=np.concatenate((one.item, other.item))[order],
        kind=np.concatenate((one.kind, other.kind))[order],
        price=np.concatenate((one.price, other.price))[order],
    )


class _Columns:
    """Grows one array a column by whole frames; ids are mapped frame by frame, so each text is seen once a frame."""

    def __init__(self, sign_ins: pl.DataFrame, low_rating: float) -> None:
        self.rows = 0
        self._low_rating = low_rating
        self._sign_ins = sign_ins
        self._parts: dict[str, list[npt.NDArray[Any]]] = {
            name: [] for name in ("owner", "item", "kind", "time", "price", "known")
        }

    def add(self, frame: pl.DataFrame, names: dict[str, int], customers: dict[str, int]) -> None:
        frame = frame.filter(pl.col("product") != "").with_columns(owner=OWNER)
        # What undoes makes nothing known: what it takes back was added before it.
        wished = frame.filter(~pl.col("type").is_in([str(kind) for kind in _UNDOING]))
        _learn(wished["owner"], customers)
        _learn(wished["product"], names)
        owner, item = _mapped(frame["owner"], customers), _mapped(frame["product"], names)
        known = (owner >= 0) & (item >= 0)
        parts: dict[str, npt.NDArray[Any]] = {
            "owner": owner,
            "item": item,
            "kind": self._kinds(frame),
            "time": (frame["time"] // SECOND).to_numpy(),
            "price": frame["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
            "known": self._known(frame),
        }
        for name, values in parts.items():
            self._parts[name].append(values if known.all() else values[known])
        self.rows += int(known.sum())

    def _kinds(self, frame: pl.DataFrame) -> npt.NDArray[np.int8]:
        low = (pl.col("type") == str(EventType.RATE)) & (pl.col("value") <= self._low_rating).fill_null(value=False)
        kinds = pl.col("type").replace_strict(_KINDS, return_dtype=pl.Int8)
        return frame.select(pl.when(low).then(pl.lit(DISLIKE, pl.Int8)).otherwise(kinds)).to_series().to_numpy()

    def _known(self, frame: pl.DataFrame) -> Longs:
        """int64, seconds: since when each event is known to be its customer's."""
        time = (frame["time"] // SECOND).to_numpy()
        if self._sign_ins.is_empty():
            return time
        signed = frame.select("session", "customer").join(
            self._sign_ins, on=["session", "customer"], how="left", maintain_order="left"
        )
        known: Longs = np.maximum(time, (signed["time"].fill_null(0) // SECOND).to_numpy())
        return known

    def sequences(self, customers: int) -> tuple[Sequences, Longs, Longs]:
        """Sorted by customer, then time, then arrival, and int64 for each row, when it was taken back (seconds), -1 for
        never, and since when it is known whose it is. Frames come in time order, so a stable sort by customer is
        enough; it is checked, since a wrong order would let the future in."""
        if not self.rows:
            return sequences_of([]), np.empty(0, np.int64), np.empty(0, np.int64)
        owner = self._take("owner")
        time = self._take("time")
        if np.any(time[1:] < time[:-1]):
            order = np.lexsort((time, owner))
        else:
            order = np.argsort(owner, kind="stable")
        owner = owner[order]
        made = Sequences(
            offsets=np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=customers)))).astype(np.int64),
            time=time[order],
            item=self._take("item")[order],
            kind=self._take("kind")[order],
            price=self._take("price")[order],
        )
        known = self._take("known")[order]
        del time, order
        never = np.full(made.rows, -1, np.int64)
        removals = TAKES_BACK[made.kind]
        if not removals.any():
            return made, never, known
        # Only of who ever took something out again is there anything to find.
        removers = np.zeros(customers, np.bool_)
        removers[owner[removals]] = True
        some = np.flatnonzero(removers[owner])
        end = decided(made.item[some], made.kind[some], owner[some])
        answered = np.flatnonzero(end >= 0)
        answered = answered[removals[some[end[answered]]]]
        never[some[answered]] = made.time[some[end[answered]]]
        return made.take(~removals), never[~removals], known[~removals]

    def _take(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate(self._parts.pop(name))


def _learn(texts: pl.Series, known: dict[str, int]) -> None:
    """Texts seen for the first time get the next inside ids, in order of appearance."""
    for text in texts.unique(maintain_order=True):
        known.setdefault(text, len(known))


def _mapped(texts: pl.Series, known: dict[str, int]) -> Ints:
    """Inside ids of a column, -1 for what is not known."""
    distinct = texts.unique()
    codes = pl.Series([known.get(text, -1) for text in distinct], dtype=pl.Int32)
    return texts.replace_strict(distinct, codes, return_dtype=pl.Int32).to_numpy()


def levels(category: Ints, names: Iterable[str], depth: int) -> tuple[Ints, tuple[str, ...]]:
    """The same categories cut after `depth` levels of the path (1 is the first): codes int32 [n] and their names."""
    cut = [SEPARATOR.join(name.split(SEPARATOR)[:depth]) for name in names]
    distinct = sorted(set(cut))
    at = {name: code for code, name in enumerate(distinct)}
    table = np.array([*(at[name] for name in cut), -1], np.int32)
    return table[category], tuple(distinct)


def _encoded(
    features: Items, products: pl.DataFrame, folder: Path, settings: Settings, pixels: bool, progress: Progress | None
) -> Items:
    from shelfwise.models.encoders import VectorCache, encode_products
    from shelfwise.models.photos import thumbnails

    cache = VectorCache(folder / "cache")
    text, image = encode_products(products, folder, settings, cache, progress)
    features = replace(features, text=_padded(text, features.n), image=_padded(image, features.n))
    if pixels and image is not None:
        threads = settings.threads or os.cpu_count() or 1
        shown = thumbnails(products["image_link"].to_list(), folder, cache, progress, threads=threads)
        features = replace(features, pixels=_padded(shown, features.n))
    return features


_Kind = TypeVar("_Kind", bound=np.generic)


def _padded(rows: npt.NDArray[_Kind] | None, n: int) -> npt.NDArray[_Kind] | None:
    """Zero rows for the products that only events name."""
    if rows is None or len(rows) == n:
        return rows
    return np.concatenate((rows, np.zeros((n - len(rows), *rows.shape[1:]), rows.dtype)))
