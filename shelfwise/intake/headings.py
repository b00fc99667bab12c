"""Tables whose first line is data: what its columns seem to be, and a copy with the headings that the user names.

Taobao's UserBehavior.csv and MovieLens' ratings.dat begin with data; MovieLens writes `::` between fields.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from shelfwise.errors import UnreadableFile
from shelfwise.intake import columns, dates, reading
from shelfwise.intake.values import parse_time

_SAMPLE = 50
_FIELDS = ("customer", "session", "product", "type", "time", "value", "quantity", "price", "query", "request_id", "id")


def double_colons(path: Path) -> bool:
    """Whether `::` stands between fields."""
    with suppress(UnreadableFile):
        for _, text in reading.lines(path):
            if text.strip():
                return text.count("::") >= 2 and not re.search(r"[,;\t|]", text.replace("::", ""))
    return False


def with_headings(path: Path, kind: str, names: Sequence[str], folder: Path) -> Path:
    """A CSV in `folder` of the table under these headings; without names under its own. Raises UnreadableFile."""
    copy = folder / f"{path.name.split('.')[0]}.csv"
    with copy.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        if names:
            out.writerow(names)
        for line, row in _rows(path, kind):
            if names and len(row) != len(names):
                shown = ", ".join(row)[:100]
                problem = f"has {len(row)} fields ({shown}) where --columns names {len(names)}"
                raise UnreadableFile(path, problem, line=line)
            out.writerow(row)
    return copy


def _rows(path: Path, kind: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of every line that is not blank, the first too."""
    if double_colons(path):
        for line, text in reading.lines(path):
            if text.strip():
                yield line, text.rstrip("\r\n").split("::")
        return
    table = reading._csv(path, kind)
    line, header, _ = next(table)
    yield line, header
    for line, row, _ in table:
        yield line, row


def seems_data(header: Sequence[str]) -> bool:
    """Whether a first line holds values: a number or a date stands where no heading has one."""
    cells = [cell.strip() for cell in header if cell.strip()]
    values = [cell for cell in cells if re.fullmatch(r"-?\d+(?:[.,]\d+)?", cell) or _is_time(cell)]
    return len(cells) >= 2 and len(values) * 2 >= len(cells)


def proposal(path: Path, kind: str) -> str:
    """The option that reads the table: '--columns customer,product,-,type,time'."""
    sample: list[list[str]] = []
    for _, row in _rows(path, kind):
        sample.append(row)
        if len(sample) >= _SAMPLE:
            break
    width = len(sample[0])
    parts = [[row[at].strip() for row in sample if len(row) == width] for at in range(width)]
    names = ["-"] * width
    for at, values in enumerate(parts):
        if all(map(_is_time, values)) and "time" not in names:
            names[at] = "time"
        elif all(value.lower() in columns.TYPE_NAMES for value in values) and "type" not in names:
            names[at] = "type"
        elif at > 1 and all(re.fullmatch(r"[0-5](?:\.\d)?", value) for value in values) and len(set(values)) > 1:
            names[at] = "value" if "value" not in names else "-"
    for field in ("customer", "product"):
        if "-" in names:
            names[names.index("-")] = field
    return f"--columns {','.join(names)}"


def _is_time(text: str) -> bool:
    if re.fullmatch(r"\d{9,19}", text):
        return True
    if re.fullmatch(r"\d{1,8}(?:\.\d+)?", text):
        return False
    return dates.needs_order(text) or dates.parse(text, dates.Reading()) is not None or parse_time(text) is not None
