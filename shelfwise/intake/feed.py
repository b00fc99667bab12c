"""A product feed opened as what it is: its rows under the names that a mapping and the synonyms mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from shelfwise.errors import UnreadableFile
from shelfwise.intake import answers, cells, exports, families, icecat, markup, reading
from shelfwise.intake.exports import EXPORTS
from shelfwise.intake.mapping import plain_name
from shelfwise.intake.reading import Row
from shelfwise.intake.report import Findings

_Rows = Iterator[tuple[int, Row]]
_GOOGLE = frozenset(("id", "title", "link", "image_link", "price", "availability"))  # what it demands of every product
_LOOKED_AT = 100  # rows that tell the columns of a file whose rows differ, and whether cells hold lists


@dataclass(slots=True)
class Feed:
    kind: str
    header: list[str]
    rows: _Rows
    mapping: Mapping[str, str] | None
    open_ended: bool = False
    columns: list[str] = field(default_factory=list)  # as they stand in the file

    @classmethod
    def opened(cls, path: Path, format: str | None, mapping: Mapping[str, str] | None, findings: Findings) -> Feed:
        """format: one of products.FORMATS where the user names it. Raises UnreadableFile."""
        kind = format if format in reading.KINDS else reading.sniff(path)
        assert kind is not None
        if kind in ("csv", "tsv", "parquet"):
            return cls._table(path, kind, format, mapping, findings)
        findings.facts["format"] = kind
        if kind == "xml":
            if markup.is_google(path):
                findings.facts["format"] = "Google Merchant"
            return cls._of_rows(path, kind, mapping, findings, lambda: markup.xml_rows(path))
        header, rows = _first(path, kind, reading.rows_of(path, kind))
        if icecat.is_export(header):
            header, rows = list(dict.fromkeys(icecat.plain(name) for name in header)), icecat.rows(rows)
            findings.facts["format"] = "icecat"
            return cls(kind, header, rows, icecat.MAPPING | dict(mapping or {}), open_ended=True)
        return cls._nested(path, kind, format, mapping, findings)

    @classmethod
    def _table(
        cls, path: Path, kind: str, format: str | None, mapping: Mapping[str, str] | None, findings: Findings
    ) -> Feed:
        header = reading.header_of(path, kind)
        if key := exports.format_of(format, header):
            return cls._export(path, kind, EXPORTS[key], header, mapping, findings)
        google = any(name.startswith("g:") for name in header) or {plain_name(name) for name in header} >= _GOOGLE
        findings.facts["format"] = "Google Merchant" if google or format == "google" else kind
        if cells.nest(path, kind, header):
            why = "cells hold lists or objects: variants, photos and attributes are read from them"
            findings.add("nested_cells", "note", why)
            feed = cls._nested(path, kind, None, mapping, findings)
            feed.columns = header
            return feed
        if families.is_export(header):
            return cls._export(path, kind, families.EXPORT, header, mapping, findings, say=False)
        return cls(kind, header, reading.rows_of(path, kind), mapping)

    @classmethod
    def _nested(
        cls, path: Path, kind: str, format: str | None, mapping: Mapping[str, str] | None, findings: Findings
    ) -> Feed:
        """Records that nest: as an API of a shop system answers, or any, laid flat."""

        def records() -> _Rows:
            return ((line, cells.opened(row)) for line, row in reading.rows_of(path, kind))

        system = answers.system_of(row for _, row in islice(records(), _LOOKED_AT))
        if system and format in (None, "jsonl", system):
            source = answers.Answers(records, system)
            for _ in islice(source.rows(), _LOOKED_AT):
                pass
            feed = cls._export(path, kind, EXPORTS[system], list(source.header), mapping, findings, source.rows)
            findings.facts["format"] = f"{EXPORTS[system].name} (API)"
            return feed
        return cls._of_rows(
            path, kind, mapping, findings, lambda: ((n, row) for n, one in records() for row in answers.flat(one))
        )

    @classmethod
    def _of_rows(
        cls,
        path: Path,
        kind: str,
        mapping: Mapping[str, str] | None,
        findings: Findings,
        source: Callable[[], _Rows],
    ) -> Feed:
        header, rows = _first(path, kind, source())
        if families.is_export(header):
            return cls._export(path, kind, families.EXPORT, header, mapping, findings, source, say=False)
        return cls(kind, header, rows, mapping, open_ended=True)

    @classmethod
    def _export(
        cls,
        path: Path,
        kind: str,
        export: exports.Export,
        header: list[str],
        mapping: Mapping[str, str] | None,
        findings: Findings,
        source: Callable[[], _Rows] | None = None,
        *,
        say: bool = True,
    ) -> Feed:
        rows, remaining = exports.rows(export, path, kind, header, mapping, findings, source)
        if say:
            findings.facts["format"] = export.name
        first, rows = _first(path, kind, rows)
        return cls(kind, first, rows, remaining, open_ended=True, columns=header)


def _first(path: Path, kind: str, rows: _Rows) -> tuple[list[str], _Rows]:
    """The columns of the first rows of a file whose rows differ, and all rows."""
    first = list(islice(rows, _LOOKED_AT))
    if not first:
        raise UnreadableFile(
            path, "has no products (XML needs <item> or <entry> elements)" if kind == "xml" else "has no rows"
        )
    return list(dict.fromkeys(name for _, row in first for name in row)), chain(first, rows)
