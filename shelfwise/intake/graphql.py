"""Records as Shopify's GraphQL API gives them → as its REST API does: ids without `gid://shopify/Product/`, lists
without edges and nodes, money as its amount.

A bulk operation writes what nests (variants, images, an order's lines) as lines of their own that name their parent in
`__parentId`: right behind it where the operation grouped them, anywhere in the file where it did not. They are joined
here; only a file that is not grouped is held in memory.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shelfwise.errors import UnreadableFile

Record = dict[str, Any]
Rows = Callable[[], Iterator[tuple[int, Record]]]
PARENT = "__parentId"
_ID = re.compile(r"gid://\w+/(\w+)/([^/?]+)")
_known: dict[tuple[Path, int, int], bool] = {}  # of the file read last: a load reads it several times
_LISTS = {"ProductVariant": "variants", "LineItem": "lineItems", "Refund": "refunds", "Metafield": "metafields"}


def joined(path: Path, rows: Rows) -> Iterator[tuple[int, Record]]:
    """(line, record) with what is its own inside, plain. Raises UnreadableFile for a line whose parent is nowhere."""
    first = next(rows(), None)
    if first is None or not is_graphql(first[1]):
        yield from rows()
        return
    if _grouped(path, rows):
        yield from _streamed(rows)
        return
    children: defaultdict[str, list[Record]] = defaultdict(list)
    ids, asked = set(), dict[str, int]()
    for line, record in rows():
        ids.add(record.get("id"))
        if parent := record.get(PARENT):
            children[parent].append(record)
            asked.setdefault(parent, line)
    for parent, line in asked.items():
        if parent not in ids:
            problem = f"names {parent!r} as its parent, which no line has; is the file cut off? Export it again"
            raise UnreadableFile(path, problem, line=line)
    for line, record in rows():
        if PARENT not in record:
            yield line, plain(_with(record, children))


def is_graphql(record: Record) -> bool:
    return PARENT in record or (isinstance(name := record.get("id"), str) and name.startswith("gid://"))


def _grouped(path: Path, rows: Rows) -> bool:
    """Whether every line that has a parent stands behind it, before the next line without one."""
    stamp = path.stat()
    key = path, stamp.st_mtime_ns, stamp.st_size
    if key not in _known:
        _known.clear()
        _known[key] = all(_behind(rows()))
    return _known[key]


def _behind(rows: Iterator[tuple[int, Record]]) -> Iterator[bool]:
    """Of each line: is it a parent, or behind its own?"""
    open_ids: set[object] = set()
    for _, record in rows:
        parent = record.get(PARENT)
        if parent is None:
            open_ids = set()
        yield parent is None or parent in open_ids
        open_ids.add(record.get("id"))


def _streamed(rows: Rows) -> Iterator[tuple[int, Record]]:
    root: tuple[int, Record] | None = None
    children: defaultdict[str, list[Record]] = defaultdict(list)
    for line, record in rows():
        if PARENT in record:
            children[record[PARENT]].append(record)
            continue
        if root is not None:
            yield root[0], plain(_with(root[1], children))
        root = line, record
        children.clear()
    if root is not None:
        yield root[0], plain(_with(root[1], children))


def _with(record: Record, children: dict[str, list[Record]]) -> Record:
    """The record with its children in lists by what they are."""
    own = children.get(record.get("id", ""), ())
    if not own:
        return record
    whole = dict(record)
    lists: defaultdict[str, list[Record]] = defaultdict(list)
    for child in own:
        kind = _ID.match(child.get("id") or "")
        image = "image" in (kind[1].lower() if kind else "") or (kind is None and {"url", "src"} & child.keys())
        name = "images" if image else _LISTS.get(kind[1], f"{kind[1]}s") if kind else "children"
        inside = _with(child, children)
        lists[name].append({key: value for key, value in inside.items() if key != PARENT})
    return whole | lists


def plain(value: Any) -> Any:
    """A value without the API's wrapping."""
    if isinstance(value, str):
        found = _ID.match(value) if value.startswith("gid://") else None
        return found[2] if found else value
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    if isinstance(money := value.get("shopMoney"), dict):
        return plain(money.get("amount"))
    inside = value.keys() - {"pageInfo", "totalCount"}
    if inside == {"edges"}:
        return [plain(edge.get("node")) for edge in value["edges"]]
    if "nodes" in inside and inside <= {"nodes", "edges"}:
        return plain(value["nodes"])
    return {name: plain(one) for name, one in value.items()}
