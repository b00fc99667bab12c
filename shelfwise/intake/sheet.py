"""A shop system's own export as a sheet: rows by role, whatever language its headings are in.

A system's table says for each role (`sku`, `parent`, …) what its column is called. An export is recognised by the roles
that only it has, and read twice where rows must be joined that need not stand beside each other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shelfwise.intake import reading
from shelfwise.intake.reading import Row
from shelfwise.intake.report import Findings

#: (line, fields under the vocabulary's names, the row as it stands in the file)
Rows = Iterator[tuple[int, Row, Row]]


def plain(heading: str) -> str:
    """'Visibility in catalog' and 'visibility-in-catalog' alike; punctuation and letter case do not count."""
    text = unicodedata.normalize("NFKC", heading).casefold()
    return " ".join(re.sub(r"[^\w()%]+", " ", text.replace("_", " ")).split())


@dataclass(frozen=True, slots=True)
class Sheet:
    """An export's file with the column of each role."""

    path: Path
    kind: str
    columns: Mapping[str, str]
    header: tuple[str, ...]
    findings: Findings
    source: Callable[[], Iterator[tuple[int, Row]]] | None = None  # of rows, where they do not stand in the file so
    market: str = ""  # of an export with prices by market the one the user chose

    @classmethod
    def of(
        cls,
        path: Path,
        kind: str,
        header: Iterable[str],
        names: Mapping[str, str],
        findings: Findings,
        source: Callable[[], Iterator[tuple[int, Row]]] | None = None,
        market: str = "",
    ) -> Sheet:
        return cls(path, kind, roles(header, names), tuple(header), findings, source, market)

    def __contains__(self, role: str) -> bool:
        return role in self.columns

    def rows(self) -> Iterator[tuple[int, Row]]:
        yield from reading.rows_of(self.path, self.kind) if self.source is None else self.source()

    def text(self, row: Row, role: str) -> str:
        column = self.columns.get(role)
        return "" if column is None else str(row.get(column) or "").strip()

    def fields(self, row: Row, **roles_of: str) -> Row:
        """field → value for each field=role that the file has a column for."""
        return {field: self.text(row, role) for field, role in roles_of.items() if role in self.columns}

    def rest(self, row: Row, skip: Iterable[str] = ()) -> Row:
        """The columns that no role takes, blank ones left out: attributes."""
        taken = {*self.columns.values(), *skip}
        return {name: value for name, value in row.items() if name not in taken and str(value or "").strip()}


def roles(header: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """role → column. names: role → headings it may have, parted by bars."""
    there: dict[str, str] = {}
    for column in header:
        there.setdefault(plain(column), column)
    columns: dict[str, str] = {}
    taken: set[str] = set()
    for role, headings in names.items():
        for heading in headings.split("|"):
            name = there.get(plain(heading))
            if name is not None and name not in taken:
                columns[role] = name
                taken.add(name)
                break
    return columns


def joined(
    sheet: Sheet,
    name_of: Callable[[Row], str],
    parent_of: Callable[[Row], str],
    made: Callable[[Row, Row | None, str], Row],
) -> Rows:
    """Each row that is sold, with its parent's row beside it; a parent is not sold beside its variants.

    name_of: the row's own id; parent_of: its parent's, "" for none; made: (row, parent's row, parent's id) → fields."""
    wanted = {parent_of(row) for _, row in sheet.rows() if parent_of(row) != name_of(row)} - {""}
    parents = {name_of(row): row for _, row in sheet.rows() if name_of(row) in wanted and not parent_of(row)}
    for line, row in sheet.rows():
        name, group = name_of(row), parent_of(row)
        if name in parents and not group:
            why = "a parent whose variants are sold; joined to them"
            sheet.findings.add("joined_parent", "joined", why, [(line, name)])
            continue
        if group and group not in parents:
            why = "a variant whose parent is not in the file; kept by itself"
            sheet.findings.add("no_parent", "flagged", why, [(line, f"{name}: {group}")])
        yield line, made(row, parents.get(group) if group else None, group), row
