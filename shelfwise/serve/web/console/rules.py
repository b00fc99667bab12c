"""Rules and synonyms on the console: what holds, adding, ending, what behaviour proposes, taking changes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

import orjson

from shelfwise.errors import InvalidRecord
from shelfwise.schema import Change, Rule, RuleAction, Synonym, now
from shelfwise.search.query.synonyms import Proposal
from shelfwise.shop import Shop

CHANGES = 30  # newest changes shown
PROPOSALS = 30
#: Fields of the form for a rule.
FORM = ("action", "query", "category", "products", "position", "amount", "start", "end", "note")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductName:
    """A product of a rule. title: None when the catalogue has no such product (any more)."""

    id: str
    title: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleRow:
    """state: holds, waits (its start lies ahead), over (its end has passed)."""

    rule: Rule
    products: tuple[ProductName, ...]
    state: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeRow:
    """A change in words: what it did (added, changed, ended, restored as the record shows), to what."""

    number: int
    time: datetime
    who: str
    kind: str
    did: str
    what: str
    undoable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RulesPage:
    """form: what stands in the form's fields. wrong: the field that cannot be taken, and why."""

    template: ClassVar[str] = "console/rules.html"
    section: ClassVar[str] = "rules"
    actions: ClassVar[tuple[str, ...]] = tuple(str(action) for action in RuleAction)
    fields: ClassVar[tuple[str, ...]] = FORM
    rules: tuple[RuleRow, ...]
    changes: tuple[ChangeRow, ...]
    form: Mapping[str, str] = field(default_factory=dict)
    wrong: tuple[str, str] | None = None
    done: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SynonymsPage:
    """line: what stands in the form. wrong: why it cannot be taken."""

    template: ClassVar[str] = "console/synonyms.html"
    section: ClassVar[str] = "synonyms"
    synonyms: tuple[Synonym, ...]
    proposals: tuple[Proposal, ...]
    changes: tuple[ChangeRow, ...]
    line: str = ""
    wrong: str = ""
    done: str = ""


def rules_page(
    shop: Shop, *, form: Mapping[str, str] | None = None, wrong: tuple[str, str] | None = None, done: str = ""
) -> RulesPage:
    moment = now()
    return RulesPage(
        rules=tuple(
            RuleRow(
                rule=rule,
                products=tuple(ProductName(id=id, title=_title(shop, id)) for id in rule.products),
                state="waits"
                if rule.start and rule.start > moment
                else "over"
                if rule.end and rule.end <= moment
                else "holds",
            )
            for rule in shop.store.rules()
        ),
        changes=changes(shop, "rule"),
        form=dict(form or {}),
        wrong=wrong,
        done=done,
    )


def synonyms_page(shop: Shop, *, line: str = "", wrong: str = "", done: str = "") -> SynonymsPage:
    return SynonymsPage(
        synonyms=tuple(shop.store.synonyms()),
        proposals=tuple(shop.suggested_synonyms(PROPOSALS)),
        changes=changes(shop, "synonym"),
        line=line,
        wrong=wrong,
        done=done,
    )


def rule_of(shop: Shop, form: Mapping[str, str]) -> Rule:
    """The rule a form tells. Products are ids, one a line or parted by commas. Raises InvalidRecord."""
    ids = [id.strip() for line in form.get("products", "").splitlines() for id in _parted(shop, line)]
    products = tuple(dict.fromkeys(id for id in ids if id))
    for id in products:
        if shop.store.product(id) is None:
            raise InvalidRecord("products", f"has {id[:60]!r}, which no product has as its id")
    return Rule(
        action=RuleAction(form["action"]) if form.get("action") in list(RuleAction) else RuleAction.PIN,
        products=products,
        query=form.get("query", "").strip(),
        category=form.get("category", "").strip(),
        position=_whole("position", form.get("position", ""), 1),
        amount=_number("amount", form.get("amount", ""), 0.5),
        start=_time("start", form.get("start", "")),
        end=_time("end", form.get("end", "")),
        note=form.get("note", "").strip(),
    )


def changes(shop: Shop, kind: str) -> tuple[ChangeRow, ...]:
    """The newest of one kind. One can be undone while its record is as the change left it."""
    edits = [change for change in shop.store.audit(1_000) if change.kind == kind]
    newest: dict[str, str] = {}
    rows = []
    for change in edits:
        current = newest.setdefault(change.id, change.after)
        rows.append(
            ChangeRow(
                number=change.number,
                time=change.time,
                who=change.who,
                kind=kind,
                did="added" if not change.before else "ended" if not change.after else "changed",
                what=_described(change),
                undoable=current == change.after,
            )
        )
    return tuple(rows[:CHANGES])


def _described(change: Change) -> str:
    record = orjson.loads(change.after or change.before)
    if change.kind == "synonym":
        return str(Synonym(tuple(record["terms"]), tuple(record["means"])))
    where = " · ".join(part for part in (record["query"], record["category"]) if part)
    shown = ", ".join(record["products"][:3]) + ("…" if len(record["products"]) > 3 else "")
    return f"{record['action']} {shown} · {where}"


def _parted(shop: Shop, line: str) -> list[str]:
    """An id may hold a comma: a line that is one whole id stays whole."""
    return [line] if shop.store.product(line.strip()) is not None else line.split(",")


def _title(shop: Shop, id: str) -> str | None:
    product = shop.store.product(id)
    return None if product is None else product.title or product.id


def _number(name: str, text: str, default: float) -> float:
    try:
        return float(text if text.strip() else default)
    except ValueError:
        raise InvalidRecord(name, f"is {text[:40]!r}; it must be a number") from None


def _whole(name: str, text: str, default: int) -> int:
    number = _number(name, text, default)
    if not number.is_integer():
        raise InvalidRecord(name, f"is {text[:40]!r}; it must be a whole number")
    return int(number)


def _time(name: str, text: str) -> datetime | None:
    """Of a form's datetime-local field, read as UTC."""
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC) if text.strip() else None
    except ValueError:
        raise InvalidRecord(name, f"is {text[:40]!r}; use a date and a time") from None
