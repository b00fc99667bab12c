"""Search over HTTP: words, photos, completions. A query may be recorded as the event it is.

Answers are found inside the event loop, as recommendations are; a photo is decoded and encoded on a thread of its own,
one at a time, for that takes tens of milliseconds. A photo is looked at before it is decoded: its format, its size in
pixels and whether it moves are read from its head, so that a decompression bomb costs nothing.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from PIL import Image
from starlette.requests import Request

from shelfwise.catalogue.filters import FACETS, MAX_FACETS, MAX_VALUES, SearchFilters
from shelfwise.engine.request import MAX_K
from shelfwise.errors import EncodingError, InvalidRequest
from shelfwise.models.photos import read_photo
from shelfwise.schema import MAX_ID, MAX_QUERY, MAX_TITLE, Event, EventType
from shelfwise.search.request import MAX_UNDO, SORTS, SearchAnswer
from shelfwise.serve.gate import Access, read_body, read_raw
from shelfwise.serve.metrics import Metrics
from shelfwise.serve.wire import FILTERS, Field, Refused, invalid, parse_fields, parse_json
from shelfwise.shop import Shop
from shelfwise.store import EventWriter
from shelfwise.trust.keys import Scope

MAX_QUESTION = 128 * 1024  # bytes: a page's token may be long
MAX_IMAGE = 10 * 1024 * 1024  # bytes
MAX_PIXELS = 50_000_000
MAX_WAITING = 8  # photos that may wait for the one thread
MAX_SUGGESTIONS = 20
IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
_FORMATS = ("JPEG", "PNG", "WEBP")
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    KeyError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def _texts(help: str, length: int, limit: int) -> Field:
    items = {"type": "string", "minLength": 1, "maxLength": length}
    return Field({"type": "array", "items": items, "maxItems": limit}, help)


def _flag(help: str) -> Field:
    return Field({"type": "boolean"}, help)


_SEARCH_FILTERS = FILTERS | {
    "attributes": Field(
        {
            "type": "object",
            "maxProperties": MAX_FACETS,
            "additionalProperties": {
                "type": "array",
                "items": {"type": ["string", "number", "boolean"]},
                "minItems": 1,
                "maxItems": MAX_VALUES,
            },
        },
        "Only products with one of these values: attribute to values.",
    ),
    "ranges": Field(
        {
            "type": "object",
            "maxProperties": MAX_FACETS,
            "additionalProperties": {
                "type": "array",
                "items": {"type": ["number", "null"]},
                "minItems": 2,
                "maxItems": 2,
            },
        },
        "Numeric attribute to lowest and highest, null for no bound.",
    ),
}

LOOK = {
    "customer": Field({"type": "string", "maxLength": MAX_ID}, "Who asks. Leave out for someone unknown."),
    "session": Field({"type": "string", "maxLength": MAX_ID}, "The visit, for someone who has not signed in."),
    "k": Field({"type": "integer", "minimum": 1, "maximum": MAX_K}, "Products a page; 24 when left out."),
    "filters": Field({"type": "object"}, "What the answer may hold.", fields=_SEARCH_FILTERS),
}

SEARCH = {
    "query": Field({"type": "string", "maxLength": 10 * MAX_QUERY}, "As typed; empty to browse."),
    **LOOK,
    "after": Field({"type": "string", "maxLength": 100_000}, "The `after` of the page before."),
    "sort": Field({"type": "string", "enum": list(SORTS)}, "relevance when left out."),
    "facets": _texts(f"Count values of: {', '.join(FACETS)} or any attribute.", MAX_TITLE, MAX_FACETS),
    "group": _flag("Show variants of one item_group_id as one; true when left out."),
    "personal": _flag("Let who asks change the order; true when left out."),
    "learned": _flag("Let earlier searchers' clicks change the order; true when left out."),
    "explain": _flag("Show each part of each product's score."),
    "undo": _texts(
        "Ids of chips of the reading that must not be applied; spelling looks for the query as typed.",
        MAX_TITLE,
        MAX_UNDO,
    ),
    "correct": _flag("Mend spelling; true when left out."),
    "language": Field({"type": "string", "enum": ["en", "zh"]}, "Of reasons and labels; the shop's when left out."),
    "record": _flag("Record the query as this customer's or session's event; needs the scope ingest too."),
}


class Search:
    """The handlers. Each returns the answer's request_id ("" for the request's own) and content."""

    def __init__(self, shop: Shop, access: Access, metrics: Metrics) -> None:
        self._shop = shop
        self._access = access
        self._metrics = metrics
        self._photos = ThreadPoolExecutor(1, thread_name_prefix="shelfwise-photo")
        self._waiting = 0

    def close(self) -> None:
        self._photos.shutdown(wait=True)

    async def search(self, request: Request, writer: EventWriter) -> SearchAnswer:
        self._access.admit(request, Scope.READ)
        values = _parsed(await read_body(request, MAX_QUESTION))
        record = values.pop("record", False)
        if record:
            self._access.admit(request, Scope.INGEST)
            if not values.get("customer") and not values.get("session"):
                raise invalid("record", "give a customer or a session: whose event is it?")
        answer: SearchAnswer = self._shop.search(**values)
        self._metrics.searched(answer.total)
        if record and answer.query:
            event = Event(
                type=EventType.SEARCH,
                query=answer.query,
                customer=values.get("customer", ""),
                session=values.get("session", ""),
                request_id=answer.request_id,
            )
            appended = await writer.append([event])
            self._metrics.ingested(appended.accepted, appended.duplicates)
        return answer

    async def image(self, request: Request) -> SearchAnswer:
        self._access.admit(request, Scope.READ)
        kind = request.headers.get("content-type", "")
        body = await read_raw(request, MAX_IMAGE)
        if kind.partition(";")[0].strip().lower() == "multipart/form-data":
            parts = multipart(kind, body)
            photo, question = parts.get("image"), parts.get("question", b"{}")
            if photo is None:
                raise invalid("image", "is required: the photo, as the part `image` of the form")
        else:
            if kind.partition(";")[0].strip().lower() not in IMAGE_TYPES:
                raise Refused(
                    415, "content_type", f"send the photo as {', '.join(IMAGE_TYPES)} or as multipart/form-data"
                )
            photo, question = body, request.query_params.get("question", "{}").encode("utf-8", "replace")
        values = _filtered(parse_fields(parse_json(question), LOOK, ""))
        if self._waiting >= MAX_WAITING:
            raise Refused(429, "busy", "many photos wait already; try again", headers={"retry-after": "1"})
        self._waiting += 1
        try:
            run = asyncio.get_running_loop().run_in_executor
            answer: SearchAnswer = await run(self._photos, self._alike, photo, values)
        finally:
            self._waiting -= 1
        self._metrics.searched(answer.total)
        return answer

    def _alike(self, photo: bytes, values: dict[str, Any]) -> SearchAnswer:
        check_photo(photo)
        if self._shop.settings.image_encoder == "none":
            raise Refused(409, "no_photos", "this shop looks at no photos: its setting image_encoder is none")
        return self._shop.search_image(photo, **values)

    async def suggest(self, request: Request) -> dict[str, Any]:
        self._access.admit(request, Scope.READ)
        given = request.query_params
        for name in given:
            if name not in ("q", "k"):
                raise invalid(name[:60], "is not a parameter; they are q and k")
        text, many = given.get("q", ""), given.get("k", "8")
        if len(text) > 10 * MAX_QUERY:
            raise invalid("q", f"is {len(text)} characters long; at most {10 * MAX_QUERY}")
        if not (many.isascii() and many.isdecimal() and 1 <= len(many) <= 3 and 1 <= int(many) <= MAX_SUGGESTIONS):
            raise invalid("k", f"must be a whole number from 1 to {MAX_SUGGESTIONS}")
        suggestions = self._shop.suggest(text, k=int(many))
        return {"suggestions": [suggestion.to_json() for suggestion in suggestions]}


def _parsed(body: bytes) -> dict[str, Any]:
    """The arguments of `Shop.search`, and record. Raises Refused."""
    row = parse_json(body)
    query: object = ""
    if isinstance(row, dict) and row.get("query") is not None:
        row = dict(row)
        query = row.pop("query")
        if not isinstance(query, str):
            raise invalid("query", "must be text")
        # Whatever is typed is a query, control characters too: what cannot be looked for is left out, not refused.
        if len(query) > 10 * MAX_QUERY:
            raise invalid("query", f"is {len(query)} characters long; at most {10 * MAX_QUERY}")
    return _filtered(parse_fields(row, SEARCH, "")) | {"query": query}


def _filtered(values: dict[str, Any]) -> dict[str, Any]:
    """The same with `filters` made of what was given. Raises Refused."""
    given = values.get("filters")
    if given is not None:
        lists: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        try:
            values["filters"] = SearchFilters(**lists)
        except InvalidRequest as error:
            raise invalid(f"filters.{error.field}", error.problem) from None
    return values


def check_photo(photo: bytes) -> None:
    """Raises Refused (422) for what is no photo, moves, is too large to decode, or is cut off."""
    if not photo:
        raise invalid("image", "is empty")
    try:
        with Image.open(BytesIO(photo), formats=_FORMATS) as image:
            width, height = image.size
            moves = getattr(image, "n_frames", 1) > 1
    except _BROKEN:
        raise invalid("image", "cannot be read as a JPEG, PNG or WebP photo") from None
    if width * height > MAX_PIXELS:
        raise invalid("image", f"has {width} x {height} pixels; at most {MAX_PIXELS:,} are looked at: send it smaller")
    if moves:
        raise invalid("image", "moves; send a single picture")
    try:
        read_photo(photo)
    except EncodingError as error:
        raise invalid("image", f"cannot be decoded: {error}") from None


_BOUNDARY = re.compile(r"""boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))""", re.IGNORECASE)
_NAME = re.compile(
    rb"""^content-disposition:\s*form-data;(?:.*;)?\s*name="?([^";\r\n]{1,60})"?""", re.IGNORECASE | re.MULTILINE
)


def multipart(kind: str, body: bytes) -> dict[str, bytes]:
    """The parts of a form by name (RFC 7578). kind: the Content-Type header. Raises Refused (400)."""
    boundary = _BOUNDARY.search(kind)
    if boundary is None:
        raise Refused(400, "bad_form", "multipart/form-data needs its boundary in Content-Type")
    mark = b"--" + (boundary[1] or boundary[2]).encode("latin-1", "replace")
    parts: dict[str, bytes] = {}
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise Refused(400, "bad_form", "the form ends before its last boundary")
    for piece in pieces[1:-1]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        name = _NAME.search(head.lstrip(b"\r\n"))
        if not blank or name is None:
            raise Refused(400, "bad_form", "a part of the form has no name")
        parts[name[1].decode("utf-8", "replace")] = content
    return parts
