"""The OpenAPI document, made from the tables that `wire` parses with: what is shown is what is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shelfwise.serve.campaigns import (
    AUDIENCE,
    CAMPAIGN,
    CONTACT,
    INVITED,
    MAX_CAMPAIGNS,
    MAX_ROWS,
    REDEMPTION,
)
from shelfwise.serve.plan import MAX_STOCK, MAX_WEEKS, ORDERS, STOCK
from shelfwise.serve.search import IMAGE_TYPES, LOOK, MAX_SUGGESTIONS, SEARCH
from shelfwise.serve.steering import MAX_RULES, RULE, SYNONYM
from shelfwise.serve.wire import (
    EVENT,
    MAX_EVENTS,
    MAX_PRODUCTS,
    PRODUCT,
    QUESTION,
    SIMILAR,
    Field,
    schema_of,
)
from shelfwise.trust.keys import Scope

Schema = dict[str, Any]
_TEXT = {"type": "string"}


def _reply(**properties: Schema) -> Schema:
    properties = {"request_id": {**_TEXT, "description": "Names this request, in logs and later events."}} | properties
    return {"type": "object", "properties": properties, "required": list(properties)}


def _kept(fields: Mapping[str, Field]) -> Schema:
    """A record as it is answered: every field there, null where it has none."""
    schema = schema_of(fields)
    for name in ("start", "end"):
        if name in schema["properties"]:
            schema["properties"][name] = {"type": ["string", "null"], "format": "date-time"}
    return schema | {"required": list(fields)}


_SPANS = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}}
_VALUE = {"type": ["string", "number", "boolean"]}
_HIT: Schema = {
    "type": "object",
    "properties": {
        "product": _TEXT,
        "score": {"type": "number", "description": "Higher is better; only to compare within an answer."},
        "sources": {"type": "array", "items": _TEXT, "description": "What found the product."},
        "reason": {**_TEXT, "description": "For the shopper's eyes."},
        "title": _TEXT,
        "highlights": {
            "type": "object",
            "additionalProperties": _SPANS,
            "description": "Field to [start, end] of what the query met.",
        },
        "variants": {"type": "array", "items": _TEXT, "description": "Other products found of its item_group_id."},
        "parts": {
            "type": "object",
            "additionalProperties": {"type": "number"},
            "description": "With explain: what the score is made of.",
        },
    },
    "required": ["product", "score", "sources", "reason", "title", "highlights", "variants"],
}
_FACET: Schema = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "values": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"value": _VALUE, "count": {"type": "integer"}},
                "required": ["value", "count"],
            },
        },
        "low": {"type": "number", "description": "Lowest found, of numbers."},
        "high": {"type": "number", "description": "Highest found, of numbers."},
    },
    "required": ["name", "values"],
}
_CHIP: Schema = {
    "type": "object",
    "properties": {
        "id": {**_TEXT, "description": "What `undo` takes."},
        "kind": _TEXT,
        "text": {**_TEXT, "description": "The words it was read from."},
        "effect": {"type": "string", "enum": ["filter", "boost"]},
        "label": {**_TEXT, "description": "For the shopper's eyes."},
    },
    "required": ["id", "kind", "text", "effect", "label"],
}
#: The parameters of GET /v1/suggest.
FORECAST: list[Schema] = [
    {
        "name": "weeks",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_WEEKS, "default": 4},
        "description": "How many weeks ahead.",
    },
]
EMPTY: list[Schema] = [
    {
        "name": "empty",
        "in": "query",
        "schema": {"type": "boolean", "default": False},
        "description": "Whether a product without a title may take the place of a known one that has one.",
    }
]
SUGGEST: list[Schema] = [
    {
        "name": "q",
        "in": "query",
        "schema": {"type": "string", "maxLength": 10_000},
        "description": "What is typed so far.",
        "example": "te",
    },
    {
        "name": "k",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_SUGGESTIONS, "default": 8},
        "description": "How many.",
    },
]


SCHEMAS: dict[str, Schema] = {
    "Event": schema_of(EVENT),
    "Product": schema_of(PRODUCT),
    "Question": schema_of(QUESTION),
    "Similar": schema_of(SIMILAR),
    "Answer": _reply(
        items={
            "type": "array",
            "description": "Best first.",
            "items": {
                "type": "object",
                "properties": {
                    "product": _TEXT,
                    "score": {"type": "number", "description": "Higher is better; only to compare within an answer."},
                    "sources": {"type": "array", "items": _TEXT, "description": "What proposed the product."},
                    "reason": {**_TEXT, "description": "For the shopper's eyes."},
                },
                "required": ["product", "score", "sources", "reason"],
            },
        }
    )
    | {"description": "`unknown`: seeds that the catalogue does not have, left out; absent where there are none."},
    "Accepted": _reply(
        accepted={"type": "integer", "description": "Events recorded now, safe on disk."},
        duplicates={"type": "integer", "description": "Events whose id was recorded before."},
        ids={"type": "array", "items": _TEXT, "description": "Every recorded event's id, in the order sent."},
    )
    | {
        "description": "With `on_error` skip, `refused` names each bad event: its index, code, message and field. "
        "`nobody`: indices of events whose customer stands for nobody (undefined, guest, 0) and was left out."
    },
    "Stored": _reply(stored={"type": "integer", "description": "Products added or replaced."}),
    "Deleted": _reply(deleted={**_TEXT, "description": "The product's id."}),
    "Health": _reply(
        status={"type": "string", "enum": ["ok", "degraded"]},
        version=_TEXT,
        bundle={"type": ["string", "null"], "description": "The bundle in use; null before the first training."},
        products={"type": ["integer", "null"], "description": "null while the record cannot be read."},
        degraded={"type": "array", "items": _TEXT, "description": "What is not as it should be; /v1/ready says why."},
    ),
    "Ready": _reply(
        status={"type": "string", "enum": ["ready", "degraded", "not_ready"]},
        checks={
            "type": "object",
            "description": "By name, whether it is well, and what is wrong.",
            "additionalProperties": {
                "type": "object",
                "properties": {"ok": {"type": "boolean"}, "message": _TEXT},
                "required": ["ok", "message"],
            },
        },
    ),
    "Search": schema_of(SEARCH),
    "Look": schema_of(LOOK),
    "Found": _reply(
        query={**_TEXT, "description": "As it was understood: without control characters and outer spaces."},
        items={"type": "array", "description": "Best first.", "items": _HIT},
        total={"type": "integer", "description": "How many products (or groups of variants) were found."},
        facets={"type": "array", "items": _FACET},
        reading={"type": "array", "description": "What was read from the query and applied.", "items": _CHIP},
        did_you_mean={**_TEXT, "description": "Another spelling worth a link; empty for none."},
        corrected={**_TEXT, "description": "The spelling that was looked for instead; empty when as typed."},
        relaxed={"type": "array", "items": _TEXT, "description": "What was given up, step by step, to find anything."},
        after={**_TEXT, "description": "Send it to get the next page; empty on the last."},
    ),
    "Suggestions": _reply(
        suggestions={
            "type": "array",
            "description": "Best first.",
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"type": "string", "enum": ["product", "brand", "category", "query"]},
                    "text": {**_TEXT, "description": "What to show, and to search for."},
                    "id": {**_TEXT, "description": "The product's id, empty for other kinds."},
                    "highlight": {**_SPANS, "description": "[start, end] of what was typed, in text."},
                },
                "required": ["kind", "text", "id", "highlight"],
            },
        }
    ),
    "Rule": schema_of(RULE),
    "Synonym": schema_of(SYNONYM),
    "Rules": _reply(rules={"type": "array", "items": _kept(RULE)}),
    "Synonyms": _reply(synonyms={"type": "array", "items": _kept(SYNONYM | {"id": Field(_TEXT, "Names it.")})}),
    "Kept": _reply(
        stored={"type": "integer", "description": "How many ids were sent."},
        ids={"type": "array", "items": _TEXT, "description": "Every record's id, in the order sent."},
    ),
    "Proposals": _reply(
        suggestions={
            "type": "array",
            "items": schema_of(
                SYNONYM
                | {
                    "id": Field(_TEXT, "What the synonyms will be named once accepted (PUT /v1/synonyms)."),
                    "customers": Field({"type": "integer", "minimum": 5}, "Distinct customers it rests on."),
                    "evidence": Field(
                        {"type": "string", "enum": ["reformulated", "same products"]},
                        "They asked the one, then the other; or both led to the same products.",
                    ),
                    "examples": Field(
                        {"type": "array", "items": {"type": "array", "items": _TEXT}}, "Pairs of whole queries."
                    ),
                }
            ),
        }
    ),
    "Changes": _reply(changes={"type": "array", "items": {"$ref": "#/components/schemas/Change"}}),
    "Undone": _reply(change={"$ref": "#/components/schemas/Change"}),
    "Change": {
        "type": "object",
        "properties": {
            "number": {"type": "integer", "description": "Names the change, to undo it."},
            "time": {"type": "string", "format": "date-time"},
            "who": {**_TEXT, "description": "The key's name, local without keys, or who used the command line."},
            "kind": {"type": "string", "enum": ["rule", "synonym"]},
            "id": _TEXT,
            "before": {"type": ["object", "null"], "description": "null when it was new."},
            "after": {"type": ["object", "null"], "description": "null when it was deleted."},
        },
        "required": ["number", "time", "who", "kind", "id", "before", "after"],
    },
    "StockRow": schema_of(STOCK),
    "OrdersWanted": schema_of(ORDERS),
    "Forecast": _reply(
        product=_TEXT,
        forecast={
            "type": "array",
            "items": {"type": "object"},
            "description": "Of each week: start, mean and quantiles q05 to q95.",
        },
    ),
    "StockList": _reply(stock={"type": "array", "items": {"type": "object"}}),
    "StockKept": _reply(stored={"type": "integer"}),
    "Orders": _reply(
        orders={"type": "array", "items": {"type": "object"}, "description": "The most urgent first."},
        counts={"type": "object", "description": "How many products of each status."},
    ),
    "Campaign": schema_of(CAMPAIGN),
    "Audience": schema_of(AUDIENCE),
    "Invited": schema_of(INVITED),
    "Contact": schema_of(CONTACT),
    "Redemption": schema_of(REDEMPTION),
    "Campaigns": _reply(campaigns={"type": "array", "items": {"type": "object"}, "description": "Newest start first."}),
    "Invitations": _reply(
        campaigns={
            "type": "array",
            "description": "The most profitable first; none where none pays.",
            "items": {
                "type": "object",
                "properties": {
                    "campaign": _TEXT,
                    "title": _TEXT,
                    "offer": _TEXT,
                    "discount": {"type": "number"},
                    "products": {"type": "array", "items": _TEXT, "description": "Those that fit this customer."},
                    "response": {"type": ["number", "null"], "description": "Expected chance to take part."},
                    "uplift": {
                        "type": ["number", "null"],
                        "description": "Expected change of that chance; null where nobody was held out before.",
                    },
                    "profit": {"type": ["number", "null"], "description": "Expected gain after cost."},
                    "reason": _TEXT,
                },
                "required": [
                    "campaign",
                    "title",
                    "offer",
                    "discount",
                    "products",
                    "response",
                    "uplift",
                    "profit",
                    "reason",
                ],
            },
        }
    ),
    "AudienceMade": _reply(
        summary={"type": "object", "description": "Sizes and expectations, each with its 95% interval."},
        curve={"type": "array", "items": {"type": "object"}, "description": "Profit by how many are addressed."},
        warnings={"type": "array", "items": _TEXT},
        list={**_TEXT, "description": "CSV of those addressed; empty without export."},
    ),
    "Effect": _reply(effect={"type": "object", "description": "Those sent to beside those held out."}),
    "Added": _reply(
        accepted={"type": "integer", "description": "Rows recorded now, safe on disk."},
        duplicates={"type": "integer", "description": "Rows recorded before."},
    ),
    "Failure": _reply(
        error={
            "type": "object",
            "properties": {
                "code": {**_TEXT, "description": "For programs."},
                "message": {**_TEXT, "description": "For people: what is wrong and how to mend it."},
                "field": {"type": ["string", "null"], "description": "Where, for example events[3].price."},
            },
            "required": ["code", "message", "field"],
        }
    ),
}

_FAILURES = {
    400: "The body is not JSON.",
    401: "A key is needed.",
    403: "The key lacks the scope.",
    404: "No such product, rule or campaign.",
    409: "This shop looks at no photos.",
    413: "Too much at once.",
    415: "Not sent as application/json.",
    422: "A field breaks a rule; `field` names it.",
    429: "Too many of these wait; try again.",
}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _many(name: str, plural: str, limit: int) -> Schema:
    rows = {"type": "array", "items": _ref(name), "minItems": 1, "maxItems": limit}
    properties: Schema = {plural: rows}
    if plural == "events":
        properties["on_error"] = {
            "type": "string",
            "enum": ["refuse", "skip"],
            "description": "skip records the good events and names the bad; refuse, as when left out, records none.",
        }
    wrapped = {"type": "object", "properties": properties, "required": [plural], "additionalProperties": False}
    return {"oneOf": [_ref(name), rows, wrapped]}


BODIES: Mapping[str, tuple[Schema, Any]] = {
    "events": (
        _many("Event", "events", MAX_EVENTS),
        {"type": "purchase", "customer": "42", "product": "A-1", "quantity": 2, "price": 3.5},
    ),
    "products": (
        _many("Product", "products", MAX_PRODUCTS),
        {"id": "A-1", "title": "Oat milk 1 l", "product_type": "Grocery > Drinks", "price": 2.19, "currency": "USD"},
    ),
    "recommend": (_ref("Question"), {"customer": "42", "surface": "home", "k": 12}),
    "search": (_ref("Search"), {"query": "oat milk under 5", "customer": "42", "facets": ["brand"], "k": 24}),
    "rules": (
        _many("Rule", "rules", MAX_RULES),
        {"action": "pin", "query": "tea", "products": ["A-1"], "position": 1, "end": "2030-01-01T00:00:00Z"},
    ),
    "synonyms": (_many("Synonym", "synonyms", MAX_RULES), {"terms": ["phone"], "means": ["smartphone", "mobile"]}),
    "stock": (
        _many("StockRow", "stock", MAX_STOCK),
        {"product": "A-1", "on_hand": 12, "lead_time": 14, "unit_cost": 1.1, "pack": 6},
    ),
    "orders": (_ref("OrdersWanted"), {"budget": 1000}),
    "invited": (_ref("Invited"), {"customer": "42", "k": 3}),
    "campaigns": (
        _many("Campaign", "campaigns", MAX_CAMPAIGNS),
        {
            "id": "tea-weeks",
            "start": "2030-05-01T00:00:00Z",
            "end": "2030-05-15T00:00:00Z",
            "contact_cost": 0.05,
            "offers": [{"code": "T10", "categories": ["Grocery > Tea"], "discount": 0.1}],
        },
    ),
    "audience": (_ref("Audience"), {"orders": 2, "size": 500}),
    "contacts": (_many("Contact", "contacts", MAX_ROWS), {"campaign": "tea-weeks", "customer": "42", "arm": "sent"}),
    "redemptions": (_many("Redemption", "redemptions", MAX_ROWS), {"campaign": "tea-weeks", "customer": "42"}),
    "similar": (_ref("Similar"), {"product": "A-1", "k": 6}),
}


#: The photo itself, with the rest as JSON in the parameter `question`; or a form with both.
_PHOTO: Schema = {
    "required": True,
    "content": {
        **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in IMAGE_TYPES},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "image": {"type": "string", "format": "binary", "description": "A JPEG, PNG or WebP photo."},
                    "question": _ref("Look"),
                },
                "required": ["image"],
            },
            "encoding": {"question": {"contentType": "application/json"}},
        },
    },
}
_QUESTION: Schema = {
    "name": "question",
    "in": "query",
    "description": "What a form has as its part `question`, where the photo is the body.",
    "content": {"application/json": {"schema": _ref("Look")}},
}


def described(
    reply: str,
    *failures: int,
    body: str | None = None,
    queries: Sequence[Schema] = (),
    scope: Scope | None = None,
) -> dict[str, Any]:
    """Keyword arguments of a FastAPI route that say what it takes and answers. queries: its parameters."""
    extra: Schema = {}
    if queries:
        extra["parameters"] = list(queries)
    if body == "image":
        extra |= {"requestBody": _PHOTO, "parameters": [_QUESTION]}
        failures = (400, 413, 415, 422, *failures)
    elif body is not None:
        schema, example = BODIES[body]
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example}},
        }
        failures = (400, 413, 415, 422, *failures)
    if scope is not None:
        extra["security"] = [{"key": []}]
        extra["x-scope"] = str(scope)
        failures = (401, 403, *failures)
    responses: dict[int | str, Schema] = {
        200: {"description": "Done.", "content": {"application/json": {"schema": _ref(reply)}}}
    }
    for status in sorted(set(failures)):
        responses[status] = {
            "description": _FAILURES[status],
            "content": {"application/json": {"schema": _ref("Failure")}},
        }
    return {"responses": responses, "openapi_extra": extra, "response_model": None}


def document(app: FastAPI) -> Schema:
    """The whole document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = made.setdefault("components", {})
        components["schemas"] = SCHEMAS
        components["securitySchemes"] = {
            "key": {
                "type": "http",
                "scheme": "bearer",
                "description": "A key of the shop (`shelfwise keys create`); the header X-API-Key works too.",
            }
        }
        for path in made["paths"].values():
            for operation in path.values():
                text = operation["responses"].get("422", {}).get("description")
                operation["responses"].pop("422", None) if text != _FAILURES[422] else None
        app.openapi_schema = made
    return app.openapi_schema


__all__ = ["SCHEMAS", "Field", "described", "document"]
