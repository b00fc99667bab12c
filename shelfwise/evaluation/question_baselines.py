"""The simplest things that could answer each question, to stand beside the engine.

Each is a function `QuestionSet → ids int32 [n, 12]`, fitted on the set's own past. What is costly (baskets, EASE, a
matrix of co-occurrence) is made once a past by `Baselines`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
from scipy import sparse

from shelfwise.evaluation.protocols import QuestionSet
from shelfwise.models.baskets import Baskets
from shelfwise.models.complements import content_of
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.ease import Ease
from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import Items, Recommender
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import DAY, Floats, Ints, Sequences, sequences_of
from shelfwise.schema import EventType
from shelfwise.training.windows import midnight

Answer = Callable[[QuestionSet], Ints]
POWERS = (0.0, 0.25, 0.5)
_SHRINK = 5.0  # baskets at which half of a pair's count is believed
_VIEW, _PURCHASE = EventType.VIEW_ITEM.code, EventType.PURCHASE.code
Vector = npt.NDArray[np.floating]


class Baselines:
    """What the baselines learn from one past. content: float32 [n, d], unit rows of text and photo. fitted: models
    fitted on this past already, by name."""

    def __init__(
        self,
        past: Sequences,
        items: Items,
        days: float,
        content: Floats | None = None,
        fitted: Mapping[str, Recommender] | None = None,
    ) -> None:
        self.past = past.liked()
        self.items = items
        self.days = days
        self._content = content
        self._models = dict(fitted or {})

    def of(self, questions: QuestionSet) -> dict[str, Answer]:
        """The baselines of this question by name."""
        pairs: dict[str, Answer] = {f"co-occurrence {power:g}": partial(self._pairs, power=power) for power in POWERS}
        category: dict[str, Answer] = {
            f"category co-occurrence {power:g}": partial(self._category, power=power) for power in POWERS
        }
        ease: dict[str, Answer] = {"ease": self._baskets_ease}
        content: dict[str, Answer] = {"content": self._alike} if self.content.any() else {}
        name = questions.name.split(":")[0]
        known: dict[str, Answer] = {
            one: partial(self._model, name=one) for one in ("repurchase", "ease", "item-knn", "popularity")
        }
        if name == "home, known":
            return dict(known)
        if name == "home, first visit":
            return pairs | content
        if name.startswith("complements"):
            return pairs | category | ease
        if name == "substitutes":
            views = {"co-view": partial(self._pairs, power=0.25, views=True)}
            return {**content, **(views if (self.past.kind == _VIEW).any() else {}), "popularity": self._popular}
        if name == "cart":
            return pairs | ease
        if name == "cold page":
            near: dict[str, Answer] = {
                f"content's nearest {power:g}": partial(self._nearest, power=power) for power in POWERS
            }
            return (near if content else {}) | category
        if name == "cold product":
            return {
                **({"content-knn": self._content_history} if content else {}),
                "popularity of the category": self._taste,
            }
        if name == "another department":
            return {"ease": known["ease"], "popularity of the department": self._popular}
        return {"popularity in it": self._popular, "repurchase": known["repurchase"]}

    # What is learned

    @cached_property
    def baskets(self) -> Baskets:
        return Baskets.of(self.past, self.items.n)

    @cached_property
    def _visits(self) -> Baskets:
        return Baskets.of(self.past, self.items.n, kind=_VIEW)

    @cached_property
    def content(self) -> Floats:
        return content_of(self.items) if self._content is None else self._content

    @cached_property
    def sold(self) -> Floats:
        """float32 [n]: baskets that hold the product."""
        return np.asarray(self.baskets.held.sum(axis=0), np.float32).ravel()

    def model(self, name: str) -> Recommender:
        """Popularity, repurchase, item-kNN or EASE, chosen on the newest days before the cutoff, then fitted anew."""
        if name not in self._models:
            made: Recommender = {
                "popularity": Popularity,
                "repurchase": Repurchase,
                "item-knn": Cooccurrence,
                "ease": Ease,
            }[name]()
            start = midnight(self.past) - int(self.days) * DAY
            validation = self.past.take(self.past.time >= start)
            if name in ("popularity", "repurchase") and self.past.before(start).rows and validation.rows:
                made.fit(self.past.before(start), self.items, validation=validation)
            self._models[name] = made.fit(self.past, self.items)
        return self._models[name]

    @cached_property
    def _ease_of_baskets(self) -> Ease:
        """EASE with a basket in a customer's place."""
        held = self.baskets.held
        rows = [
            held.indices[start:stop].tolist() for start, stop in zip(held.indptr[:-1], held.indptr[1:], strict=True)
        ]
        times = [[time] * len(row) for row, time in zip(rows, self.baskets.time.tolist(), strict=True)]
        return Ease(half_life=1e6).fit(sequences_of(rows, times=times), self.items)

    # Answers

    def _model(self, questions: QuestionSet, *, name: str) -> Ints:
        model, now = self.model(name), np.full(1, questions.now, np.int64)
        return questions.best(lambda i: _shifted(model.scores(questions.histories.select(slice(i, i + 1)), now=now)[0]))

    def _pairs(self, questions: QuestionSet, *, power: float, views: bool = False) -> Ints:
        """Count in the same basket / popularity^power · count / (count + 5), summed over what is shown."""
        return self._counted(questions, questions.seeds, power, (self._visits if views else self.baskets).held)

    def _nearest(self, questions: QuestionSet, *, power: float) -> Ints:
        """`_pairs` of the sold product most alike by text and photo."""
        sold = np.flatnonzero(self.sold > 0)
        cosine = self.content[np.concatenate(questions.seeds)] @ self.content[sold].T
        return self._counted(
            questions, [sold[[row.argmax()]].astype(np.int32) for row in cosine], power, self.baskets.held
        )

    def _counted(self, questions: QuestionSet, seeds: list[Ints], power: float, held: sparse.csr_matrix) -> Ints:
        together = (held.tocsc()[:, np.concatenate(seeds)].T @ held).tocsr()
        together.data = together.data * (together.data / (together.data + _SHRINK))
        merit = together.multiply(np.maximum(self.sold, 1)[None, :] ** -power).tocsr()
        start = np.concatenate(([0], np.cumsum([len(one) for one in seeds])))
        return questions.best(lambda i: np.asarray(merit[start[i] : start[i + 1]].sum(axis=0)).ravel())

    def _category(self, questions: QuestionSet, *, power: float) -> Ints:
        """In how many baskets a product stands with anything of the shown product's leaf category."""
        leaf = np.full(self.items.n, -1) if self.items.category is None else self.items.category
        some = np.flatnonzero(leaf >= 0)
        belongs = sparse.csr_matrix(
            (np.ones(len(some), np.float32), (some, leaf[some])),
            shape=(self.items.n, max(len(self.items.category_names), 1)),
        )
        held = (self.baskets.held @ belongs).tocsc()
        held.data[:] = 1
        codes = leaf[np.concatenate(questions.seeds)]
        distinct, place = np.unique(codes, return_inverse=True)
        merit = (held[:, np.maximum(distinct, 0)].T @ self.baskets.held).tocsr()
        merit = merit.multiply(np.maximum(self.sold, 1)[None, :] ** -power).tocsr()
        nothing = np.zeros(self.items.n)
        return questions.best(lambda i: nothing if codes[i] < 0 else merit[place[i]].toarray().ravel())

    def _baskets_ease(self, questions: QuestionSet) -> Ints:
        model = self._ease_of_baskets
        now = np.full(1, questions.now, np.int64)
        return questions.best(
            lambda i: model.scores(
                sequences_of([questions.seeds[i].tolist()], times=[[questions.now] * len(questions.seeds[i])]), now=now
            )[0]
        )

    def _alike(self, questions: QuestionSet) -> Ints:
        """Text and photo most like what is shown."""
        return questions.best(lambda i: self.content @ self.content[questions.seeds[i]].mean(axis=0))

    def _content_history(self, questions: QuestionSet) -> Ints:
        """Content-kNN: the cosine with the nearest of what the customer turned to."""
        some = np.flatnonzero(~questions.hidden)
        near = self.content[some]

        def scores(i: int) -> Vector:
            result = np.zeros(self.items.n, np.float32)
            history = np.unique(questions.histories.items_of(i))
            result[some] = np.sort(near @ self.content[history].T, axis=1)[:, -5:].mean(axis=1)
            return result

        return questions.best(scores)

    def _popular(self, questions: QuestionSet) -> Ints:
        scores = _shifted(
            self.model("popularity").scores(questions.past.select(slice(0, 1)), now=np.full(1, questions.now))[0]
        )
        return questions.best(lambda _: scores)

    def _taste(self, questions: QuestionSet) -> Ints:
        """How often the customer bought in a product's leaf category, ties by how much that category sells."""
        leaf = np.full(self.items.n, -1) if self.items.category is None else self.items.category
        width = max(len(self.items.category_names), 1)
        sells = np.bincount(leaf[leaf >= 0], weights=self.sold[leaf >= 0], minlength=width)
        sells = sells / max(sells.max(), 1)

        def scores(i: int) -> Vector:
            own = leaf[questions.histories.items_of(i)]
            merit = np.append(np.bincount(own[own >= 0], minlength=width) + sells, 0.0)
            return merit[leaf]

        return questions.best(scores)


def _shifted(scores: Floats) -> Floats:
    """The same order, all above 0, since `best` takes 0 for no answer."""
    there = np.isfinite(scores)
    if not there.any():
        return scores
    low = scores[there].min()
    return np.where(there, scores - low + np.float32(1e-6), -np.inf).astype(np.float32)
