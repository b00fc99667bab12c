"""JSON files of any layout: one object a line (JSON Lines), one array, one object over many lines, a whole answer of an
API that wraps its records ({"products": [...], "total": 3}). Streams: one record is in memory at a time.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shelfwise.errors import UnreadableFile
from shelfwise.intake.containers import DAMAGED, open_bytes
from shelfwise.intake.encoding import encoding_of

MOST = 64_000_000  # characters of one record of an array, or of a document that is one object
_CHUNK = 262_144
_BLANK = re.compile(r"[\s,]*")
#: Keys under which answers of APIs hold their records, and keys that may stand beside them.
_LISTS = frozenset(
    [
        "products",
        "orders",
        "items",
        "data",
        "results",
        "records",
        "rows",
        "events",
        "hits",
        "value",
        "values",
        "elements",
        "resources",
        "list",
        "nodes",
        "edges",
        "customers",
        "transactions",
        "invoices",
        "refunds",
        "order_list",
        "product_list",
        "productslist",
        "orderslist",
    ]
)
_BESIDE = frozenset(
    [
        "search_criteria",
        "total_count",
        "totalcount",
        "total",
        "count",
        "page",
        "pages",
        "per_page",
        "perpage",
        "page_size",
        "pagesize",
        "limit",
        "offset",
        "next",
        "previous",
        "prev",
        "first",
        "last",
        "links",
        "_links",
        "meta",
        "metadata",
        "pagination",
        "paging",
        "pageinfo",
        "page_info",
        "status",
        "success",
        "ok",
        "code",
        "message",
        "messages",
        "error",
        "errors",
        "kind",
        "next_page_token",
        "nextpagetoken",
        "has_more",
        "hasmore",
        "object",
        "url",
        "extensions",
        "cursor",
        "took",
        "timed_out",
        "max_score",
        "_shards",
        "aggregations",
        "version",
        "generated_at",
        "exported_at",
        "date",
        "etag",
    ]
)
_ENVELOPES = frozenset(
    [
        "data",
        "result",
        "response",
        "node",
        "order",
        "product",
        "event",
        "body",
        "hits",
        "payload",
        "products",
        "orders",
        "_source",
    ]
)


def is_document(path: Path) -> bool:
    """Whether the file is one array or object rather than an object a line."""
    try:
        with open_bytes(path) as stream:
            text = io.TextIOWrapper(stream, encoding_of(path).codec, errors="replace")
            while (line := text.readline(MOST)) and not line.strip("\ufeff \t\r\n"):
                pass
    except DAMAGED:
        return False
    line = line.lstrip("\ufeff \t")
    if len(line) > 2_000_000:  # no line of a log is so long
        return True
    if line.startswith("["):
        return True
    try:
        return not isinstance(json.loads(line), dict)
    except ValueError:
        return line.rstrip()[-1:] in tuple("{[,") or bool(re.match(r'\{\s*"[^"]*"\s*:\s*[^{}]*[,\[{]?\s*$', line))


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, record) of a document. Raises UnreadableFile with the line that is no JSON."""
    for line, value in _values(path):
        if not isinstance(value, dict):
            raise UnreadableFile(path, "is not a JSON object", line=line)
        for record in unwrapped(value):
            yield line, record


def unwrapped(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of an answer of an API; a record by itself."""
    if isinstance(source := value.get("_source"), dict):  # a hit of Elasticsearch
        value = {**({"_id": value["_id"]} if "_id" in value else {}), **source}
    if any(_is_typed(one) for one in value.values()):
        value = _typed(value)
    names = {name: name.lower() for name in value}
    lists = [name for name, plain in names.items() if plain in _LISTS and _is_records(value[name])]
    beside = [name for name, plain in names.items() if name not in lists and plain not in _BESIDE]
    if len(lists) == 1 and not beside:
        for inner in value[lists[0]]:
            yield from unwrapped(inner)
        return
    inside = [name for name in names if isinstance(value[name], dict) and names[name] in _ENVELOPES]
    if len(inside) == 1 and not [name for name in beside if name != inside[0]]:
        yield from unwrapped(value[inside[0]])
        return
    yield value


def _is_typed(value: object) -> bool:
    """MongoDB's extended JSON: {"$oid": "5f…"}, {"$date": …}, {"$numberDecimal": "3.5"}."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("$")


def _typed(value: Any) -> Any:
    """The value with what its types wrap in their place."""
    if isinstance(value, list):
        return [_typed(one) for one in value]
    if not isinstance(value, dict):
        return value
    return (
        _typed(next(iter(value.values()))) if _is_typed(value) else {name: _typed(one) for name, one in value.items()}
    )


def _is_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _values(path: Path) -> Iterator[tuple[int, Any]]:
    """(line, value) of the top level, or of the array there."""
    text = _Text(path)
    try:
        with open_bytes(path) as stream:
            text.begin(io.TextIOWrapper(stream, encoding_of(path).codec, newline=""))
            while text.skip():
                if text.here == "[":
                    text.at += 1
                    while text.skip() and text.here != "]":
                        yield text.value()
                    if not text.skip():
                        raise UnreadableFile(path, "is cut off: its list is never closed", line=text.line)
                    text.at += 1
                else:
                    yield text.value()
    except UnicodeDecodeError as error:
        problem = f"is not {encoding_of(path).name}; name its encoding with --encoding"
        raise UnreadableFile(path, f"{problem} ({error.reason})", line=text.line) from None
    except DAMAGED as error:
        raise UnreadableFile(path, f"is cut off or damaged: {error}", line=text.line) from None


class _Text:
    """A file's text as far as it is needed. at: the place in `buffer`; line: of the place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decoder = json.JSONDecoder()
        self.buffer, self.at, self.line, self._ended = "", 0, 1, False

    def begin(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream

    @property
    def here(self) -> str:
        return self.buffer[self.at]

    def skip(self) -> bool:
        """Past blanks and commas; False at the end of the file."""
        while True:
            # `_BLANK` matches nothing at all too, so there always is a match.
            end = _BLANK.match(self.buffer, self.at).end()  # type: ignore[union-attr]
            self.line += self.buffer.count("\n", self.at, end)
            self.at = end
            if self.at < len(self.buffer):
                if self.here == "\ufeff":
                    self.at += 1
                    continue
                return True
            if not self._fill(_CHUNK):
                return False

    def _fill(self, size: int) -> bool:
        if self._ended:
            return False
        more = self._stream.read(size)
        self._ended = not more
        self.buffer, self.at = self.buffer[self.at :] + more, 0
        return bool(more)

    def value(self) -> tuple[int, Any]:
        line, size = self.line, _CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self.buffer, self.at)
                if end < len(self.buffer) or self._ended or not self._fill(_CHUNK):
                    break
            except json.JSONDecodeError:
                if len(self.buffer) - self.at >= MOST or not self._fill(size):
                    raise self._broken() from None
                size *= 2
            except RecursionError:
                raise UnreadableFile(self._path, "is nested too deep", line=line) from None
        self.line += self.buffer.count("\n", self.at, end)
        self.at = end
        return line, value

    def _broken(self) -> UnreadableFile:
        try:
            self._decoder.raw_decode(self.buffer, self.at)
        except json.JSONDecodeError as error:
            line = self.line + self.buffer.count("\n", self.at, error.pos)
            column = error.pos - max(self.buffer.rfind("\n", 0, error.pos), self.at - 1)
            problem = f"is not JSON: {error.msg} (character {column})"
            if len(self.buffer) - self.at >= MOST:
                problem = f"one JSON value is longer than {MOST:,} characters; write one object a line"
            elif error.pos >= len(self.buffer.rstrip()):
                problem = "is cut off: its JSON is never closed"
            return UnreadableFile(self._path, problem, line=line)
        return UnreadableFile(self._path, "is not JSON", line=self.line)
