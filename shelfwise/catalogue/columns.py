"""Values by row: codes for texts, and one sparse column of codes for each attribute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shelfwise.catalogue.filters import Value
from shelfwise.models.sequences import Floats, Ints

Mask = npt.NDArray[np.bool_]
LISTED = " | "  # between the values of a list
_FOLD = 2_000  # changes of a column kept beside it before they are worked in


class Names:
    """Texts by code; codes are only ever added. `of("")` is -1."""

    def __init__(self) -> None:
        self.names: list[Value] = []
        self._codes: dict[object, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def of(self, name: Value) -> int:
        if name == "":
            return -1
        # True and 1 are equal to a dict, and not to a shopper.
        key = (name,) if isinstance(name, bool) else name
        code = self._codes.get(key)
        if code is None:
            self.names.append(name)  # before its code can be found
            code = self._codes[key] = len(self.names) - 1
        return code

    def folded(self) -> list[list[str]]:
        """Of each code the values it counts as, letter case ignored."""
        return [[part.casefold() for part in shown(name).split(LISTED)] for name in self.names]


def shown(value: Value) -> str:
    """A value as text: true, false, 13.3, 4 (not 4.0)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) and value == int(value) else str(value)


class Column:
    """One attribute: codes of its values by row, sparse. Immutable; `with_` makes the next."""

    def __init__(self, names: Names, rows: Ints, codes: Ints, changed: Mapping[int, int] | None = None) -> None:
        self.names = names
        self._rows = rows
        self._codes = codes
        self._changed = dict(changed or {})

    def with_(self, changes: Mapping[int, int]) -> Column:
        changed = {**self._changed, **changes}
        if len(changed) <= max(_FOLD, len(self._rows) // 4):
            return Column(self.names, self._rows, self._codes, changed)
        kept = ~np.isin(self._rows, np.fromiter(changed, np.int32, len(changed)))
        there = {row: code for row, code in changed.items() if code >= 0}
        return Column(
            self.names,
            np.concatenate((self._rows[kept], np.fromiter(there, np.int32, len(there)))),
            np.concatenate((self._codes[kept], np.fromiter(there.values(), np.int32, len(there)))),
        )

    @cached_property
    def codes(self) -> Ints:
        """int32 [highest row + 1], -1 where a product has none; made when first asked for."""
        n = max(int(self._rows.max(initial=-1)), max(self._changed, default=-1)) + 1
        codes = np.full(n, -1, np.int32)
        codes[self._rows] = self._codes
        if self._changed:
            codes[np.fromiter(self._changed, np.int64)] = np.fromiter(self._changed.values(), np.int32)
        return codes

    def at(self, rows: Ints) -> Ints:
        """Codes of these rows [m]."""
        codes = self.codes
        if not len(codes):
            return np.full(len(rows), -1, np.int32)
        return np.where(rows < len(codes), codes[np.minimum(rows, len(codes) - 1)], -1).astype(np.int32)

    @property
    def count(self) -> int:
        """Products that have it (before the newest changes)."""
        return len(self._rows)

    def numbers(self) -> Floats:
        """float64 [codes + 1]: the number each code is, NaN for a text; the last entry is for -1."""
        table = np.full(len(self.names) + 1, np.nan)
        for code, name in enumerate(self.names.names[: len(table) - 1]):
            if isinstance(name, int | float) and not isinstance(name, bool):
                table[code] = name
        return table

    def matching(self, values: Iterable[Value]) -> Mask:
        """bool [codes + 1]: is a code one of these values?"""
        wanted = {shown(value).casefold() for value in values}
        table = np.zeros(len(self.names) + 1, np.bool_)
        for code, parts in enumerate(self.names.folded()[: len(table) - 1]):
            table[code] = not wanted.isdisjoint(parts)
        return table
