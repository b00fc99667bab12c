"""Rules, synonyms and their audit over HTTP: what a merchant steers search with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request

from shelfwise.errors import InvalidRecord
from shelfwise.schema import (
    MAX_ID,
    MAX_QUERY,
    MAX_RULE_PRODUCTS,
    MAX_SYNONYMS,
    MAX_TITLE,
    Change,
    Rule,
    RuleAction,
    Synonym,
)
from shelfwise.search.query.synonyms import Proposal
from shelfwise.serve.gate import Access, read_body
from shelfwise.serve.wire import Field, Refused, invalid, many, parse_fields, parse_json, parse_time
from shelfwise.shop import Shop
from shelfwise.trust.keys import Scope

MAX_RULES = 1_000  # rules or synonyms a request
MAX_STEERING = 1024 * 1024  # bytes of rules or synonyms at once
_AUDIT = 100  # newest changes shown
_PROPOSED = 100  # synonyms proposed at once
_TIME: dict[str, Any] = {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}


def _texts(length: int, limit: int) -> dict[str, Any]:
    items = {"type": "string", "minLength": 1, "maxLength": length}
    return {"type": "array", "items": items, "maxItems": limit}


RULE = {
    "action": Field({"type": "string", "enum": [str(kind) for kind in RuleAction]}, "What is done.", required=True),
    "products": Field(_texts(MAX_ID, MAX_RULE_PRODUCTS), "Ids, in their order.", required=True),
    "id": Field({"type": "string", "maxLength": MAX_ID}, "One is made when left out; the same id again replaces."),
    "query": Field({"type": "string", "maxLength": MAX_QUERY}, "The whole query it holds for."),
    "category": Field({"type": "string", "maxLength": MAX_TITLE}, "The category path within which it holds."),
    "position": Field({"type": "integer", "minimum": 1, "maximum": 1_000}, "pin: the first product's place, from 1."),
    "amount": Field(
        {"type": "number", "minimum": 0, "maximum": 100},
        "boost, bury: how far, in parts of the answer's span of scores; 0.5 when left out.",
    ),
    "start": Field(_TIME, "Holds from this time on; from now on when left out."),
    "end": Field(_TIME, "Holds until before this time; for good when left out."),
    "note": Field({"type": "string", "maxLength": MAX_TITLE}, "For people."),
}

SYNONYM = {
    "terms": Field(_texts(MAX_ID, MAX_SYNONYMS), "Words or phrases that each find all of them.", required=True),
    "means": Field(
        _texts(MAX_ID, MAX_SYNONYMS), "When given: what each of `terms` finds too, not the other way round."
    ),
}

Beside = Callable[..., Awaitable[Any]]


class Steering:
    """The handlers. Each returns what its answer holds beside `request_id`.

    beside: runs a function on the thread for changes.
    """

    def __init__(self, shop: Shop, access: Access, beside: Beside) -> None:
        self._shop = shop
        self._access = access
        self._beside = beside

    async def rules(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        rules = await self._beside(self._shop.store.rules)
        return {"rules": [rule_json(rule) for rule in rules]}

    async def put_rules(self, request: Request) -> dict[str, Any]:
        who = self._access.admit(request, Scope.MERCHANT)
        rows, lone = many(parse_json(await read_body(request, MAX_STEERING)), "rules", MAX_RULES)
        rules = [parse_rule(row, "" if lone else f"rules[{index}]") for index, row in enumerate(rows)]
        stored = await self._changed(self._shop.store.put_rules, rules, who)
        return {"stored": stored, "ids": [rule.id for rule in rules]}

    async def delete_rule(self, request: Request) -> dict[str, Any]:
        who, id = self._access.admit(request, Scope.MERCHANT), request.path_params["id"]
        if not await self._changed(self._shop.store.delete_rule, id, who):
            raise Refused(404, "unknown_rule", f"no rule has the id {id!r}", "id")
        return {"deleted": id}

    async def synonyms(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        synonyms = await self._beside(self._shop.store.synonyms)
        return {"synonyms": [synonym_json(synonym) for synonym in synonyms]}

    async def put_synonyms(self, request: Request) -> dict[str, Any]:
        who = self._access.admit(request, Scope.MERCHANT)
        rows, lone = many(parse_json(await read_body(request, MAX_STEERING)), "synonyms", MAX_RULES)
        synonyms = [_parse_synonym(row, "" if lone else f"synonyms[{index}]") for index, row in enumerate(rows)]
        stored = await self._changed(self._shop.store.put_synonyms, synonyms, who)
        return {"stored": stored, "ids": [synonym.id for synonym in synonyms]}

    async def delete_synonym(self, request: Request) -> dict[str, Any]:
        who, id = self._access.admit(request, Scope.MERCHANT), request.path_params["id"]
        if not await self._changed(self._shop.store.delete_synonym, id, who):
            raise Refused(404, "unknown_synonym", f"no synonyms have the id {id!r}", "id")
        return {"deleted": id}

    async def suggested(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        proposals = await self._beside(self._shop.suggested_synonyms, _PROPOSED)
        return {"suggestions": [proposal_json(proposal) for proposal in proposals]}

    async def audit(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.MERCHANT)
        changes = await self._beside(self._shop.store.audit, _AUDIT)
        return {"changes": [change_json(change) for change in changes]}

    async def undo(self, request: Request) -> dict[str, Any]:
        who, number = self._access.admit(request, Scope.MERCHANT), request.path_params["number"]
        if not number.isdecimal() or not number.isascii() or len(number) > 15:
            raise invalid("number", "must be the number of a change; GET /v1/audit lists them")
        return {"change": change_json(await self._changed(self._shop.store.undo, int(number), who))}

    async def _changed(self, write: Callable[..., Any], *arguments: Any) -> Any:
        """Write and follow at once, so that the very next search of this worker knows it."""

        def work() -> Any:
            result = write(*arguments)
            self._shop.refresh()
            return result

        return await self._beside(work)


def parse_rule(row: Any, where: str = "") -> Rule:
    """Raises Refused."""
    place = f"{where}." if where else ""
    times: dict[str, Any] = {}
    if isinstance(row, dict):
        row = dict(row)
        times = {
            name: parse_time(row.pop(name), place + name) for name in ("start", "end") if row.get(name) is not None
        }
    values = parse_fields(row, RULE, where)
    values["products"] = tuple(values["products"])
    try:
        return Rule(**values, **times)
    except InvalidRecord as error:
        raise invalid(place + error.field, error.problem) from None


def _parse_synonym(row: Any, where: str) -> Synonym:
    values = parse_fields(row, SYNONYM, where)
    try:
        return Synonym(tuple(values["terms"]), tuple(values.get("means", ())))
    except InvalidRecord as error:
        raise invalid(f"{where}.{error.field}" if where else error.field, error.problem) from None


def rule_json(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "action": str(rule.action),
        "query": rule.query,
        "category": rule.category,
        "products": list(rule.products),
        "position": rule.position,
        "amount": rule.amount,
        "start": rule.start and rule.start.isoformat(),
        "end": rule.end and rule.end.isoformat(),
        "note": rule.note,
    }


def synonym_json(synonym: Synonym) -> dict[str, Any]:
    return {"id": synonym.id, "terms": list(synonym.terms), "means": list(synonym.means)}


def proposal_json(proposal: Proposal) -> dict[str, Any]:
    return {
        "id": proposal.synonym.id,
        "terms": list(proposal.synonym.terms),
        "means": list(proposal.synonym.means),
        "customers": proposal.customers,
        "evidence": proposal.evidence,
        "examples": [list(pair) for pair in proposal.examples],
    }


def change_json(change: Change) -> dict[str, Any]:
    return {
        "number": change.number,
        "time": change.time.isoformat(),
        "who": change.who,
        "kind": change.kind,
        "id": change.id,
        "before": orjson.loads(change.before) if change.before else None,
        "after": orjson.loads(change.after) if change.after else None,
    }
