"""Someone's last events in columns: the first thing every answer reads.

Half a millisecond went into making thousands of small objects of a history's rows. So the database joins each column
into one text, one row comes back, and whole arrays are read from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwise.errors import StoreError
from shelfwise.schema import DISLIKE, EventType
from shelfwise.store.connection import Database
from shelfwise.store.events import CUSTOMER, SESSION

_END = "\x1f"  # between products: no id holds it, control characters are refused
_ORDER = "ORDER BY time DESC, sequence DESC"
# All from the index `events_actor`: the table's rows, spread over the file, are not read.
_COLUMNS = "product, type, time, price, sequence"
_OF_ACTOR = f"SELECT {_COLUMNS} FROM events WHERE actor = ?"
_OWNER = f"coalesce('{CUSTOMER}' || nullif((SELECT customer FROM sessions WHERE session = ?), ''), ?)"
#: One character a kind, counted from 0; the most frequent kinds are asked for first.
_CODES = "CASE type {} END".format(
    " ".join(
        f"WHEN '{kind}' THEN '{chr(ord('0') + kind.code)}'"
        for kind in sorted(EventType, key=lambda kind: (kind != EventType.PURCHASE, kind.code))
    )
)
_SEARCH, _RATE = str(EventType.SEARCH.code), str(EventType.RATE.code)
_MORE = f"CASE WHEN type IN ('{EventType.SEARCH}', '{EventType.RATE}') THEN sequence END"


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """Someone's last n events in columns, oldest first.

    products: n ids ("" where an event has none). kinds: int8 [n], EventType.code, DISLIKE of few stars. times: int64
    [n], seconds since 1970 UTC. prices: float32 [n], of one piece, NaN unknown or not asked for. queries: the words of
    searches by their place among the n.
    """

    products: list[str]
    kinds: npt.NDArray[np.int8]
    times: npt.NDArray[np.int64]
    prices: npt.NDArray[np.float32]
    queries: dict[int, str]


def history(
    database: Database, customer: str, session: str, n: int, *, prices: bool, low: float, until: int | None = None
) -> History:
    """The last n events of the customer, of the session, or of both. See `Store.last_rows`. low: the most stars of a
    dislike. until: microseconds."""
    values: tuple[str | int, ...]
    cut = () if until is None else (until,)
    if customer and session:
        # Nobody has signed in to the session in an event yet, but who asks says whose it is. A session that somebody
        # signed in to has no rows of its own.
        whose, values = "both", (CUSTOMER + customer, *cut, SESSION + session, *cut, n)
    elif customer:
        whose, values = "actor", (CUSTOMER + customer, *cut, n)
    elif session:
        whose, values = "session", (session, SESSION + session, *cut, n)
    else:
        whose, values = "actor", ("", *cut, n)
    sqlite, ended = database.sqlite, until is not None
    ((products, times, kinds, paid, more),) = database.fetch(_sql(sqlite, whose, prices, False, ended), values)
    if kinds and (_SEARCH in kinds or _RATE in kinds):  # few hold one, and to ask each takes a fifth of the time
        ((products, times, kinds, paid, more),) = database.fetch(_sql(sqlite, whose, prices, True, ended), values)
    if not kinds:
        none = np.empty(0, np.float32)
        return History(products=[], kinds=np.empty(0, np.int8), times=np.empty(0, np.int64), prices=none, queries={})
    names = products.split(_END)
    names.reverse()
    codes = np.frombuffer(kinds.encode(), np.int8)[::-1] - np.int8(ord("0"))
    stamps = _numbers(times, np.int64)
    if not len(names) == len(codes) == len(stamps):
        raise StoreError("the record holds an event of an unknown kind or an id with a control character; load it anew")
    queries, disliked = _read(database, codes, more, low) if more else ({}, [])
    if disliked:
        codes[disliked] = DISLIKE
    return History(
        products=names,
        kinds=codes,
        times=stamps,
        prices=_numbers(paid, np.float32) if prices else np.full(len(names), np.nan, np.float32),
        queries=queries,
    )


def _numbers(text: str, kind: type[np.generic]) -> npt.NDArray[Any]:
    """The numbers of a joined column, oldest first."""
    return np.ascontiguousarray(np.fromstring(text, kind, sep=",")[::-1])


def _read(database: Database, codes: npt.NDArray[np.int8], more: str, low: float) -> tuple[dict[int, str], list[int]]:
    """The words of each search that has some, by place, and the places of ratings of `low` stars or fewer. more: the
    sequences of searches and ratings, newest first."""
    sequences = more.split(",")[::-1]
    with_words = np.flatnonzero((codes == EventType.SEARCH.code) | (codes == EventType.RATE.code)).tolist()
    places = dict(zip(map(int, sequences), with_words, strict=True))
    wanted = ",".join(sequences)
    rows = database.fetch(f"SELECT sequence, query, value FROM events WHERE sequence IN ({wanted})", ())
    queries = dict(sorted((places[sequence], query) for sequence, query, _ in rows if query))
    rated = [places[sequence] for sequence, _, value in rows if value is not None and value <= low]
    return queries, [place for place in rated if codes[place] == EventType.RATE.code]


@lru_cache
def _sql(sqlite: bool, whose: str, prices: bool, searches: bool, ended: bool) -> str:
    cut = " AND time <= ?" if ended else ""
    rows = {
        "actor": f"{_OF_ACTOR}{cut}",
        "session": f"SELECT {_COLUMNS} FROM events WHERE actor = {_OWNER}{cut}",
        "both": f"{_OF_ACTOR}{cut} UNION ALL {_OF_ACTOR}{cut}",
    }[whose]
    ask = f"FROM ({rows} {_ORDER} LIMIT ?) AS newest"

    def joined(value: str, end: str) -> str:
        if sqlite:  # joins in the order of the subquery
            return f"group_concat({value}, {end})"
        return f"string_agg(CAST({value} AS text), {end} {_ORDER})"

    columns = (
        joined("product", "x'1f'" if sqlite else "chr(31)"),
        joined("time / 1000000", "','"),  # shorter texts
        joined(_CODES, "''"),
        joined("coalesce(CAST(price AS text), 'nan')", "','") if prices else "NULL",
        joined(_MORE, "','") if searches else "NULL",
    )
    sql = f"SELECT {', '.join(columns)} {ask}"
    return sql if sqlite else sql.replace("?", "%s")
