"""A ranked list, and what a step of arrange is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shelfwise.catalogue.products import ProductsView
from shelfwise.engine.context import Context
from shelfwise.models.sequences import Floats, Ints
from shelfwise.schema import Rule


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """rows: int32 [m], best first. scores: float32 [m], never rising. ruled: rows that a merchant's rule moved."""

    rows: Ints
    scores: Floats
    ruled: frozenset[int] = frozenset()


class AnswerContext(Protocol):
    """What a step may read of any question, a search's too.

    rules: those that hold here and now. allowed: may this row be in the answer (for sale, inside the filters)?"""

    @property
    def view(self) -> ProductsView: ...
    @property
    def rules(self) -> tuple[Rule, ...]: ...
    def allowed(self, row: int) -> bool: ...


Step = Callable[[Context, Ranked], Ranked]
SearchStep = Callable[[AnswerContext, Ranked], Ranked]
