"""Explain: why a product is in the answer, read from the numbers that ranked it.

The source that counts is found by taking each away: its features are set to the median candidate's, the ranker scores
again, and the source whose loss costs most is the reason. That works for any ranker and says what is true of this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from shelfwise.catalogue.products import GONE
from shelfwise.engine.catalogue import View
from shelfwise.engine.context import Context
from shelfwise.engine.rank import FEATURES
from shelfwise.engine.retrieve.source import Candidates, Reason, Source
from shelfwise.models.sequences import Floats, Ints

LANGUAGES = ("en", "zh")
Score = Callable[[Floats], Floats]

_TITLE = 80  # characters of a product's title inside a sentence
_USUAL = 64  # candidates, about, whose median stands for all
RULED = Reason("rules")
_RULED = {"en": "Chosen by the shop", "zh": "店家推荐"}


class Explainer:
    """Reasons of answers by these sources. Thread-safe."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._names = [source.name for source in sources]
        self._popular = next((source for source in sources if source.name == "popular"), None)
        self._taken = np.array([[name in source.features for name in FEATURES] for source in sources], np.bool_)
        self._texts = {
            language: {text: words for source in sources for text, words in source.texts[language].items()}
            | {"rules": _RULED[language]}
            for language in LANGUAGES
        }

    def reasons(
        self, context: Context, candidates: Candidates, features: Floats, chosen: Ints, score: Score
    ) -> list[tuple[tuple[str, ...], Reason]]:
        """Of each chosen candidate (positions [k]): its sources, the decisive one first, and the reason."""
        if not len(chosen):
            return []
        worth = self._worth(candidates, features, chosen, score)
        orders = np.argsort(-worth, axis=0, kind="stable").T.tolist()
        proposed = candidates.proposed[:, chosen].T.tolist()
        result = []
        for row, numbers, by, order in zip(
            candidates.rows[chosen].tolist(), features[chosen].tolist(), proposed, orders, strict=True
        ):
            values = dict(zip(FEATURES, numbers, strict=True))
            names = [self._names[each] for each in order if by[each]]
            reason = None
            for each in dict.fromkeys([order[0], *(each for each in order if by[each])]):
                reason = self._sources[each].reason(context, row, values)
                if reason and reason.row >= 0 and not reason.query and context.view.sale[reason.row] == GONE:
                    reason = None  # it would name what nobody may see
                if reason:
                    if reason.text == "search":
                        names = ["search", *(name for name in names if name != "search")]
                    break
            if reason is None and self._popular is not None:
                reason = self._popular.reason(context, row, values)
            result.append((tuple(names), reason or RULED))
        return result

    def words(self, reason: Reason, view: View, language: str) -> str:
        title = reason.query if reason.query else view.title(reason.row) if reason.row >= 0 else ""
        return self._texts[language][reason.text].format(title=_short(title), **reason.values)

    def _worth(self, candidates: Candidates, features: Floats, chosen: Ints, score: Score) -> npt.NDArray[np.float32]:
        """What each source is worth to each chosen candidate: float32 [sources, k], -inf where it has no number."""
        some = features[:: max(1, len(features) // _USUAL)]
        middle = len(some) // 2
        usual = np.partition(np.ascontiguousarray(some.T), middle, axis=1)[:, middle]
        features = features[chosen]
        without = np.where(self._taken[:, None], usual, features).reshape(-1, features.shape[1])
        scores = score(np.concatenate((features, without))).reshape(len(self._taken) + 1, len(chosen))
        worth = scores[0] - scores[1:]
        by = candidates.proposed[:, chosen]
        # Who proposed a product goes before who merely has a number for it, when the numbers do not decide.
        worth += np.float32(1e-6) * by
        silent = ~(self._taken @ (features != 0).T)
        numberless = ~self._taken.any(axis=1)
        worth[silent] = -np.inf
        worth[numberless] = np.where(by[numberless], np.inf, -np.inf)  # a search speaks through others' numbers
        return np.asarray(worth, np.float32)


def _short(title: str) -> str:
    return title if len(title) <= _TITLE else title[: _TITLE - 1].rstrip() + "…"
