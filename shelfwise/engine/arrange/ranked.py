"""A ranked list, and what a step of arrange is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shelfwise.engine.context import Context
from shelfwise.models.sequences import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """rows: int32 [m], best first. scores: float32 [m], never rising. ruled: rows that a merchant's rule moved."""

    rows: Ints
    scores: Floats
    ruled: frozenset[int] = frozenset()


Step = Callable[[Context, Ranked], Ranked]
