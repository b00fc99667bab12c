"""When a product is shown, since when it is there, when its sale price holds: a feed's dates → microseconds.

Dates that say themselves which part is the day are read at once; others as all dates of the file leave no doubt
(`reading_of`), else they are reported with the formats that decide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from shelfwise import schema
from shelfwise.intake import dates
from shelfwise.intake.mapping import Column
from shelfwise.intake.reading import Row, value_text
from shelfwise.intake.values import moment

FIELDS = ("created", "sale_start", "sale_end", "shown_from", "shown_until")


def reading_of(
    columns: Mapping[str, Column], first: list[Row], rows: Callable[[], Iterator[tuple[int, Row]]]
) -> dates.Reading:
    """How a file writes its dates. first: some of its rows; rows: all of them anew, asked for only where needed."""
    names = [columns[field].name for field in FIELDS if field in columns and not columns[field].format]
    if not any(dates.needs_order(value_text(row.get(name))) for row in first for name in names):
        return dates.Reading()
    return dates.order_of({value_text(row.get(name)).strip() for _, row in rows() for name in names})


class Moments:
    """Reads dates of a file by its columns' formats, else by `reading`. header: its columns as they stand in it."""

    def __init__(self, reading: dates.Reading, header: Collection[str]) -> None:
        self._reading, self._header = reading, header

    def read(self, value: object, column: Column, *, day_ends: bool = False) -> int | None:
        """µs, None where it is no date. day_ends: a day alone lasts until its end."""
        text = text_of(value)
        if not text:
            return None
        parsed = None
        if column.format:
            with suppress(ValueError):
                parsed = datetime.strptime(text, column.format)
                parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        elif (micros := moment(text, day_ends=day_ends)) is not None:
            return micros
        day, month = column.format.find("%d"), column.format.find("%m")
        parsed = parsed or dates.parse(text, dates.Reading(day < month) if month >= 0 else self._reading)
        if parsed is None or parsed.year < 1970:
            return None
        return schema.to_micros(parsed) + _DAY * (day_ends and ":" not in text)

    def hint(self, text: str, field: str, column: Column) -> str:
        """What to write so that a date can be read, "" where nothing helps."""
        if not dates.needs_order(text) or column.format:
            return ""
        name = column.name if column.name in self._header else "COLUMN"
        formats = [dates.format_of(text, day_first=first) for first in (True, False)]
        return "; " + " or ".join(f'--map "{field}={name}|{one}"' for one in formats)


_DAY = 86_400_000_000  # µs


def text_of(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else value_text(value).strip()
