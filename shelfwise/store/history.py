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
from shelfwise.schema import EventType
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
_SEARCH = str(EventType.SEARCH.code)
_SEARCHES = f"CASE WHEN type = '{EventType.SEARCH}' THEN sequence END"


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """Someone's last n events in columns, oldest first.

    products: n ids ("" where an event has none). kinds: int8 [n], EventType.code. times: int64 [n], seconds since 1970
    UTC. prices: float32 [n], of one piece, NaN unknown or not asked for. queries: the words of searches by their
    place among the n.
    """

    products: list[str]
    kinds: npt.NDArray[np.int8]
    times: npt.NDArray[np.int64]
    prices: npt.NDArray[np.float32]
    queries: dict[int, str]


def history(
    database: Database, customer: str, session: str, n: int, *, prices: bool, until: int | None = None
) -> History:
    """The last n events of the customer, of the session, or of both. See `Store.last_rows`. until: microseconds."""
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
    ((products, times, kinds, paid, searches),) = database.fetch(_sql(sqlite, whose, prices, False, ended), values)
    if kinds and _SEARCH in kinds:  # few histories hold one, and to ask each for them takes a fifth of the time
        ((products, times, kinds, paid, searches),) = database.fetch(_sql(sqlite, whose, prices, True, ended), values)
    if not kinds:
        none = np.empty(0, np.float32)
        return History(products=[], kinds=np.empty(0, np.int8), times=np.empty(0, np.int64), prices=none, queries={})
    names = products.split(_END)
    names.reverse()
    codes = np.frombuffer(kinds.encode(), np.int8)[::-1] - np.int8(ord("0"))
    stamps = _numbers(times, np.int64)
    if not len(names) == len(codes) == len(stamps):
        raise StoreError("the record holds an event of an unknown kind or an id with a control character; load it anew")
    return History(
        products=names,
        kinds=codes,
        times=stamps,
        prices=_numbers(paid, np.float32) if prices else np.full(len(names), np.nan, np.float32),
        queries=_queries(database, codes, searches) if searches else {},
    )


def _numbers(text: str, kind: type[np.generic]) -> npt.NDArray[Any]:
    """The numbers of a joined column, oldest first."""
    return np.ascontiguousarray(np.fromstring(text, kind, sep=",")[::-1])


def _queries(database: Database, codes: npt.NDArray[np.int8], searches: str) -> dict[int, str]:
    """The words of each search that has some, by place. searches: their sequences, newest first."""
    sequences = searches.split(",")[::-1]
    places = dict(zip(map(int, sequences), np.flatnonzero(codes == EventType.SEARCH.code).tolist(), strict=True))
    rows = database.fetch(f"SELECT sequence, query FROM events WHERE sequence IN ({','.join(sequences)})", ())
    return dict(sorted((places[sequence], query) for sequence, query in rows if query))


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
        joined(_SEARCHES, "','") if searches else "NULL",
    )
    sql = f"SELECT {', '.join(columns)} {ask}"
    return sql if sqlite else sql.replace("?", "%s")
