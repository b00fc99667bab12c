"""Refunds: which purchases were given back.

A refund gives back pieces of purchases: of its order (`request_id`) and product where the record has them; of the whole
order where it names no product; else of the same customer's purchases of the product before it, one of just as many
pieces first, then the newest. A purchase of which nothing is left becomes `purchase_returned`, which nothing counts and
nothing learns from; what is left in part stays a purchase. Both events keep their quantities as they came, so the
outcome can be computed again, and is, whenever a refund or a purchase comes late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, bindparam, func, or_, select, update

from shelfwise.schema import EventType
from shelfwise.store.tables import events

_BOUGHT = (str(EventType.PURCHASE), str(EventType.RETURNED))
_REFUND = str(EventType.REFUND)
_CHUNK = 500  # values in one IN (…)
_NOTHING = 1e-9  # pieces


class _Row(NamedTuple):
    sequence: int
    type: str
    time: int
    actor: str
    product: str
    quantity: float
    order: str


_COLUMNS = (
    events.c.sequence, events.c.type, events.c.time, events.c.actor, events.c.product, events.c.quantity,
    events.c.request_id,
)  # fmt: skip


def settle(connection: Connection, arrived: Iterable[tuple[str, str, str]]) -> None:
    """Settle the refunds that events just recorded concern. arrived: (type, actor, request_id) of each."""
    actors = {actor for kind, actor, _ in arrived if kind == _REFUND or kind in _BOUGHT}
    refunds = select(events.c.actor).where(events.c.type == _REFUND)
    refunders = {
        name for some in _chunks(actors) for name in connection.scalars(refunds.where(events.c.actor.in_(some)))
    }
    if not refunders:
        return
    rows = _of(connection, events.c.actor, refunders)
    bought = {row.order for row in rows if row.type in _BOUGHT}
    # A refund sent by the shop's office names an order but not who bought.
    elsewhere = {row.order for row in rows if row.type == _REFUND and row.order} - bought
    if elsewhere:
        others = {row.actor for row in _of(connection, events.c.request_id, elsewhere)} - refunders
        rows += _of(connection, events.c.actor, others)
    _settle(connection, rows, anew=False)


def settle_all(connection: Connection) -> None:
    """Settle every refund of the record: after an import, whose rows come in any order."""
    refunds = select(events.c.actor).where(events.c.type == _REFUND)
    if connection.execute(refunds.limit(1)).first() is None:
        return
    orders = select(events.c.request_id).where(events.c.type == _REFUND, events.c.request_id != "")
    query = select(*_COLUMNS).where(
        events.c.type.in_((*_BOUGHT, _REFUND)), or_(events.c.actor.in_(refunds), events.c.request_id.in_(orders))
    )
    _settle(connection, [_Row(*row) for row in connection.execute(query)], anew=True)


def returned(connection: Connection) -> tuple[int, int]:
    """(refunds, purchases given back whole) of the record."""
    kinds = (_REFUND, str(EventType.RETURNED))
    query = select(events.c.type, func.count()).where(events.c.type.in_(kinds)).group_by(events.c.type)
    counts: dict[str, int] = {kind: int(count) for kind, count in connection.execute(query)}
    return counts.get(kinds[0], 0), counts.get(kinds[1], 0)


def _of(connection: Connection, column: Column[Any], values: set[str]) -> list[_Row]:
    """Purchases and refunds with one of the values in the column."""
    query = select(*_COLUMNS).where(events.c.type.in_((*_BOUGHT, _REFUND)))
    return [_Row(*row) for some in _chunks(values) for row in connection.execute(query.where(column.in_(some)))]


def _chunks(values: set[str]) -> Iterator[list[str]]:
    names = sorted(values)
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]


def _settle(connection: Connection, rows: list[_Row], *, anew: bool) -> None:
    """Write what the rows amount to. anew: the rows are all there are, so what was given back may be bought again."""
    gone = given_back(rows)
    changes = [
        {"at": row.sequence, "kind": _BOUGHT[row.sequence in gone]}
        for row in rows
        if row.type in _BOUGHT and (row.type == _BOUGHT[1]) != (row.sequence in gone) and (anew or row.sequence in gone)
    ]
    if changes:
        change = update(events).where(events.c.sequence == bindparam("at")).values(type=bindparam("kind"))
        connection.execute(change, changes)


def given_back(rows: Iterable[_Row]) -> set[int]:
    """Sequences of the purchases of which nothing is left."""
    rows = sorted(rows, key=lambda row: (row.time, row.sequence))
    left: dict[int, float] = {}
    of_order: dict[str, list[_Row]] = defaultdict(list)
    of_actor: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    for row in rows:
        if row.type in _BOUGHT:
            left[row.sequence] = row.quantity
            if row.order:
                of_order[row.order].append(row)
            of_actor[row.actor, row.product].append(row)
    for refund in rows:
        if refund.type != _REFUND:
            continue
        whole = of_order.get(refund.order, []) if refund.order else []
        if not refund.product:
            left.update((row.sequence, 0.0) for row in whole)
            continue
        bought = [row for row in whole if row.product == refund.product]
        if not bought:
            bought = [row for row in of_actor.get((refund.actor, refund.product), ()) if row.time <= refund.time]
        pieces = refund.quantity
        bought.sort(key=lambda row: (abs(left[row.sequence] - pieces) > _NOTHING, -row.time))
        for row in bought:
            taken = min(pieces, left[row.sequence])
            left[row.sequence] -= taken
            pieces -= taken
    return {sequence for sequence, pieces in left.items() if pieces <= _NOTHING}
