"""What a source is. To add one is to add a file here and a line in `sources.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from shelfwise.catalogue.columns import Mask
from shelfwise.engine.catalogue import View
from shelfwise.engine.context import Context
from shelfwise.models.bundle import Bundle
from shelfwise.models.sequences import Floats, Ints

NO_ROWS: Ints = np.empty(0, np.int32)
SCANNED = 30_000  # products inside a filter that are scored one by one rather than through an index


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What may be shown, and the numbers by which it is ranked.

    rows: int32 [c], catalogue rows (the bundle's inside ids, then later products), distinct.
    proposed: bool [sources, c], which source proposed which, in the order of `SOURCES`.
    known: int32 [c], the bundle's row whose counts each uses. likeness: float32 [c], how far; None: all are its own.
    """

    rows: Ints
    proposed: Mask
    known: Ints
    likeness: Floats | None

    @classmethod
    def of(cls, view: View, rows: Ints, proposed: Mask) -> Candidates:
        late = len(rows) > 0 and int(rows.max()) >= view.known
        known, likeness = (view.proxy[rows], view.likeness[rows]) if late else (rows, None)
        return cls(rows, proposed, known, likeness)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a product is shown. text: a key of its source's `texts`, filled with `values`; what of the asker's history it
    names: a product's row, or a query; -1 and "" for nothing."""

    text: str
    row: int = -1
    query: str = ""
    values: Mapping[str, object] = field(default_factory=dict)


class Source:
    """One way to find products: it proposes candidates, computes the features it owns, and says its reason.

    name: as an answer shows it. features: the columns it fills. artefact: what of the bundle it reads; without that it
    is left out. texts: by language its reasons, `{title}` standing for the product or the query a reason names.
    """

    name: ClassVar[str]
    features: ClassVar[tuple[str, ...]] = ()
    artefact: ClassVar[str] = ""
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {"en": {}, "zh": {}}

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def prepare(self, contexts: Sequence[Context]) -> None:
        """Work that is cheaper for many questions at once."""

    def retrieve(self, context: Context) -> Ints:
        """Rows to propose, best first, hidden ones left out: int32 [m]."""
        return NO_ROWS

    def retrieve_within(self, context: Context, rows: Ints) -> Ints:
        """Rows to propose of these alone (what passes the filters), so that an answer has k products where it can."""
        return NO_ROWS

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        """Fill this source's features: float32 [len(features), c], zeros before."""

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        """Why this row, by its features; None where this source has nothing true to say."""
        return None


def top(scores: Floats, k: int) -> npt.NDArray[np.intp]:
    """Positions of the k highest, in no order."""
    if len(scores) <= k:
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - k)[len(scores) - k :]


def best_shown(context: Context, rows: Ints, scores: Floats, k: int) -> Ints:
    """Of these rows those that may be shown and score highest, in no order: int32 [k or fewer]."""
    if len(context.hidden):
        shown = ~context.scratch.hidden[rows]
        rows, scores = rows[shown], scores[shown]
    return np.asarray(rows[top(scores, k)], np.int32)


def shared(columns: Floats, scores: Floats) -> None:
    """A score and its share of the best candidate's, into two columns."""
    columns[0] = scores
    best = float(scores.max())
    if best > 0:
        np.maximum(scores, 0, out=columns[1])
        columns[1] /= best
