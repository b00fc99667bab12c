"""Rules and synonyms on a connection. Each change is audited and takes the next steering revision.

A record is kept as JSON text: there are few, they are read whole, and the audit then holds exactly what was kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Table, delete, insert, select, update

from shelfwise.errors import InvalidRecord
from shelfwise.schema import MAX_ID, Change, Rule, RuleAction, Synonym, check_text, from_micros, now, to_micros
from shelfwise.store import tables
from shelfwise.store.tables import audit, tally

_REVISION = tally.c.name == "steering_revision"
_MOST = {"rule": 10_000, "synonym": 50_000}  # every worker holds them all


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    table: Table
    dump: Callable[[Any], dict[str, Any]]


def _rule_dump(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "action": str(rule.action),
        "query": rule.query,
        "category": rule.category,
        "products": list(rule.products),
        "position": rule.position,
        "amount": float(rule.amount),
        "start": None if rule.start is None else to_micros(rule.start),
        "end": None if rule.end is None else to_micros(rule.end),
        "note": rule.note,
    }


def _rule(text: str) -> Rule:
    values: dict[str, Any] = orjson.loads(text)
    times: dict[str, datetime | None] = {
        name: None if values[name] is None else from_micros(values[name]) for name in ("start", "end")
    }
    rest = {"action": RuleAction(values["action"]), "products": tuple(values["products"])}
    return Rule(**(values | times | rest))


def _synonym_dump(synonym: Synonym) -> dict[str, Any]:
    return {"terms": list(synonym.terms), "means": list(synonym.means)}


def _synonym(text: str) -> Synonym:
    values = orjson.loads(text)
    return Synonym(tuple(values["terms"]), tuple(values["means"]))


_RULE = _Kind("rule", tables.rules, _rule_dump)
_SYNONYM = _Kind("synonym", tables.synonyms, _synonym_dump)
_KINDS = {kind.name: kind for kind in (_RULE, _SYNONYM)}


def rules(connection: Connection) -> list[Rule]:
    """Ordered by id."""
    table = tables.rules
    return [_rule(text) for text in connection.scalars(select(table.c.record).order_by(table.c.id))]


def synonyms(connection: Connection) -> list[Synonym]:
    """Ordered by their words."""
    return sorted((_synonym(text) for text in connection.scalars(select(tables.synonyms.c.record))), key=str)


def put_rules(connection: Connection, given: Iterable[Rule], who: str) -> int:
    return _put(connection, _RULE, given, who)


def put_synonyms(connection: Connection, given: Iterable[Synonym], who: str) -> int:
    return _put(connection, _SYNONYM, given, who)


def delete_rule(connection: Connection, id: str, who: str) -> bool:
    return _change(connection, _RULE, id, "", who)


def delete_synonym(connection: Connection, id: str, who: str) -> bool:
    return _change(connection, _SYNONYM, id, "", who)


def changes(connection: Connection, n: int) -> list[Change]:
    """The newest n, newest first."""
    rows = connection.execute(select(audit).order_by(audit.c.number.desc()).limit(n))
    return [_entry(row) for row in rows]


def undo(connection: Connection, number: int, who: str) -> Change:
    """Put back what was before the change. Raises InvalidRecord when there is no such change, or the record has changed
    since: undoing would throw that away."""
    _lock(connection)
    row = connection.execute(select(audit).where(audit.c.number == number)).first()
    if row is None:
        raise InvalidRecord("number", f"there is no change {number}; the newest are at /v1/audit")
    entry = _entry(row)
    kind = _KINDS[entry.kind]
    if _kept(connection, kind, entry.id) != entry.after:
        raise InvalidRecord(
            "number", f"the {entry.kind} {entry.id!r} was changed since change {number}; undo that first"
        )
    _change(connection, kind, entry.id, entry.before, who)
    (made,) = changes(connection, 1)
    return made


def _put(connection: Connection, kind: _Kind, given: Iterable[Any], who: str) -> int:
    records = {record.id: orjson.dumps(kind.dump(record)).decode() for record in given}
    _lock(connection)
    for id, text in records.items():
        _change(connection, kind, id, text, who)
    count = len(connection.scalars(select(kind.table.c.id)).all())
    if count > _MOST[kind.name]:
        raise InvalidRecord(kind.name, f"there would be {count:,}; at most {_MOST[kind.name]:,} are kept")
    return len(records)


def _lock(connection: Connection) -> None:
    """One transaction at a time past here, as for events: what the audit calls `before` is what was replaced."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(tally.c.value).where(_REVISION).with_for_update())


def _change(connection: Connection, kind: _Kind, id: str, after: str, who: str) -> bool:
    """Make the record `after` ("" deletes it); False when it was so already."""
    check_text("who", who, MAX_ID, required=True)
    _lock(connection)
    before = _kept(connection, kind, id)
    if before == after:
        return False
    connection.execute(delete(kind.table).where(kind.table.c.id == id))
    if after:
        connection.execute(insert(kind.table).values(id=id, record=after))
    values = {"time": to_micros(now()), "who": who, "kind": kind.name, "id": id, "before": before, "after": after}
    connection.execute(insert(audit).values(**values))
    connection.execute(update(tally).where(_REVISION).values(value=tally.c.value + 1))
    return True


def _kept(connection: Connection, kind: _Kind, id: str) -> str:
    return connection.scalar(select(kind.table.c.record).where(kind.table.c.id == id)) or ""


def _entry(row: Any) -> Change:
    number, time, who, kind, id, before, after = row
    return Change(number=number, time=from_micros(time), who=who, kind=kind, id=id, before=before, after=after)
