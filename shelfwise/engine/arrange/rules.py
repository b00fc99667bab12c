"""Merchants' rules: which hold for a query or category now, and what they make of a ranked answer, be it found by
search or recommended on a category's page.

The order of a ranked answer is changed in this way: hidden products go; boosts and buries move scores by parts of the
answer's span (several add up); pins come last and set products at their places, also those that no word of the query
found, as long as the filters let them in. Of two pins for one product or place, that of the smaller id counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from shelfwise.catalogue.products import LEVELS
from shelfwise.models.sequences import Floats, Ints
from shelfwise.schema import Rule, RuleAction, to_micros

_ALWAYS = (-(2**62), 2**62)


class Rules:
    """Every rule of a shop, ready to be asked. Immutable; thread-safe.

    normal: how queries are compared (`text.normal`), so that letter case, width and Chinese script do not matter.
    """

    def __init__(self, rules: Iterable[Rule] = (), normal: Callable[[str], str] = str.casefold) -> None:
        self._normal = normal
        self._by_query: dict[str, list[Rule]] = {}
        self._by_category: dict[str, list[Rule]] = {}
        self._spans: dict[str, tuple[int, int]] = {}
        for rule in sorted(rules, key=lambda rule: rule.id):
            self._spans[rule.id] = (
                _ALWAYS[0] if rule.start is None else to_micros(rule.start),
                _ALWAYS[1] if rule.end is None else to_micros(rule.end),
            )
            if rule.query.strip():
                self._by_query.setdefault(self._key(rule.query), []).append(rule)
            else:
                self._by_category.setdefault(_path(rule.category), []).append(rule)

    def __len__(self) -> int:
        return len(self._spans)

    def holding(self, query: str, categories: Sequence[str], now: float) -> tuple[Rule, ...]:
        """The rules for this query and these categories (the answer's filter, paths) at `now` (seconds), by id."""
        if not self._spans:
            return ()
        rules: list[Rule] = []
        paths = [_path(category) for category in categories]
        if self._by_query and query:
            rules += [
                rule
                for rule in self._by_query.get(self._key(query), ())
                if not rule.category.strip() or any(_inside(path, _path(rule.category)) for path in paths)
            ]
        if self._by_category:
            above = {path[:end] for path in paths for end in _levels(path)}
            for name in above:
                rules += self._by_category.get(name, ())
        moment = int(now * 1_000_000)
        there = [rule for rule in rules if self._spans[rule.id][0] <= moment < self._spans[rule.id][1]]
        return tuple(sorted(there, key=lambda rule: rule.id))

    def _key(self, query: str) -> str:
        return " ".join(self._normal(query).split())


@dataclass(frozen=True, slots=True, eq=False)
class Arranged:
    """rows: int32 [m], best first. scores: float32 [m], never rising, and falling where products are pinned, so that
    sorting by them keeps the order. applied: of each row that a rule moved, the ids of these rules."""

    rows: Ints
    scores: Floats
    applied: dict[int, tuple[str, ...]] = field(default_factory=dict)


def arranged(
    rules: Sequence[Rule],
    rows: Ints,
    scores: Floats,
    row_of: Callable[[str], int | None],
    shown: Callable[[int], bool],
) -> Arranged:
    """A ranked answer under these rules.

    rows: int32 [c], scores: float32 [c], in any order (of equals the smaller row is better).
    row_of: the catalogue's row of an id, None for none.
    shown: may this row be in the answer (for sale, inside the filters)? Asked for pinned products only.
    """
    if not rules:
        return Arranged(rows, scores)
    order = np.lexsort((rows, -scores))
    rows, scores = rows[order], scores[order]
    applied: dict[int, list[str]] = {}
    hidden: set[int] = set()
    moved: dict[int, float] = {}
    pins: dict[int, int] = {}  # row -> place
    taken: set[int] = set()
    span = float(scores.max() - scores.min()) if len(scores) else 0.0
    for rule in rules:
        rows_of_rule = [row for product in rule.products if (row := row_of(product)) is not None]
        for step, row in enumerate(rows_of_rule):
            match rule.action:
                case RuleAction.HIDE:
                    hidden.add(row)
                case RuleAction.PIN:
                    place = rule.position - 1 + step
                    if row in pins or place in taken:
                        continue
                    pins[row] = place
                    taken.add(place)
                case RuleAction.BOOST:
                    moved[row] = moved.get(row, 0.0) + rule.amount * (span or 1.0)
                case RuleAction.BURY:
                    moved[row] = moved.get(row, 0.0) - rule.amount * (span or 1.0)
            applied.setdefault(row, []).append(rule.id)
    pins = {row: place for row, place in pins.items() if row not in hidden and shown(row)}
    out = hidden | set(pins)
    if out:
        keep = ~np.isin(rows, np.fromiter(out, np.int32, len(out)))
        rows, scores = rows[keep], scores[keep]
    if moved:
        change = np.fromiter((moved.get(row, 0.0) for row in rows.tolist()), np.float32, len(rows))
        scores = scores + change
        order = np.lexsort((rows, -scores))
        rows, scores = rows[order], scores[order]
    if pins:
        rows, scores = _pinned(rows, scores, pins)
    there = set(rows.tolist())
    return Arranged(rows, scores, {row: tuple(ids) for row, ids in applied.items() if row in there})


def _pinned(rows: Ints, scores: Floats, pins: dict[int, int]) -> tuple[Ints, Floats]:
    """Each pinned row at its place, or at the end of a shorter answer; it takes the score of the one after it."""
    merged_rows, merged_scores = rows.tolist(), scores.tolist()
    for row, place in sorted(pins.items(), key=lambda pin: pin[1]):
        at = min(place, len(merged_rows))
        score = merged_scores[at] if at < len(merged_scores) else merged_scores[-1] if merged_scores else 0.0
        if at == 0 and merged_scores:
            score = merged_scores[0]
        merged_rows.insert(at, row)
        merged_scores.insert(at, score)
    values = np.minimum.accumulate(np.array(merged_scores, np.float32))
    # No ties, or sorting by score would undo the places. Ten thousand steps of this size are a 400th of the score.
    step = 2 * np.spacing(np.abs(values).max())
    return np.array(merged_rows, np.int32), (values - step * np.arange(len(values))).astype(np.float32)


def _path(category: str) -> str:
    return LEVELS.join(level.strip() for level in category.casefold().split(LEVELS.strip()))


def _levels(path: str) -> list[int]:
    """Where each of a path's prefixes ends."""
    ends, at = [], path.find(LEVELS)
    while at >= 0:
        ends.append(at)
        at = path.find(LEVELS, at + 1)
    return [*ends, len(path)]


def _inside(path: str, category: str) -> bool:
    return path == category or path.startswith(category + LEVELS)
