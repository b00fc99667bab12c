"""What goes with one product or with a cart: candidates by evidence, numbers for each, one learned score.

The evidence (`evidence.py`) backs off from the pair to what is alike and to the categories, so a product without sales
asks as any other. A product without sales answers as well: it borrows the evidence of the sold product most like it by
text and photo, and a feature says how alike they are. What decides between all this is a head fitted to the shop's own
baskets (`training/complements.py`); without one the order is by `merit`.

    model = fit_complements(sequences, items)                  # or Complements().fit(sequences, items): no head
    ids, scores = model.answer(np.array([product]), 12)        # a page; several products ask as a cart
    model.answer(seeds, 12, allowed=mask, elsewhere=True)      # of these only, in other categories than the seeds'

As a source of the engine: `propose(seeds)` gives rows and `FEATURES`, `model.head.score(features)` the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from shelfwise.models.baskets import Baskets
from shelfwise.models.content import ContentSpace
from shelfwise.models.ease import Ease
from shelfwise.models.evidence import ABOVE, BUYERS, CATEGORY, CHANNELS, NEAR, OWN, Evidence, Gathered
from shelfwise.models.perceptron import Perceptron
from shelfwise.models.ranker import Head
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import Floats, Ints, Longs, Sequences, steps_back

Mask = npt.NDArray[np.bool_]
FEATURES = (
    *(f"merit_{name}" for name in CHANNELS),  # log of the share's merit
    *(f"lift_{name}" for name in CHANNELS),  # log of the count over what popularity explains
    *(f"behind_{name}" for name in CHANNELS),  # log of the baskets that were read
    "ease",  # log of what the rest of a basket says by EASE
    "merit",  # of own and near together
    "own",  # log of the baskets that hold both
    "seeds",  # log of how many products ask
    "popularity",  # log of baskets
    "lately",  # the same, of the last four weeks
    "trend",  # the last week against the last four
    "basket_size",  # log of the mean size of its baskets
    "content",  # cosine with what asks
    "price_apart",  # |log of the ratio of prices|
    "price",  # log
    "same_category",
    "same_above",
    "same_brand",  # shares of what asks
    "likeness",  # 1, or the cosine with the product whose evidence an unsold one borrows
)
_MERIT, _EASED, _POPULARITY = (FEATURES.index(name) for name in ("merit", "ease", "popularity"))
_BEHIND = FEATURES.index("behind_own")
_KINDS = (NEAR, CATEGORY, ABOVE)  # channels that are left to what was never sold
_MONTH, _WEEK = 28, 7  # days
#: Candidates of each channel, the best by merit; how many of the best look for unsold products like them.
_PROPOSED = (200, 100, 100, 50, 50, 80)
_EASE = 100  # by EASE
#: Chosen on Online Retail and Complete Journey: half or twice the half life or the penalty changes less than 2%.
_HALF_LIFE, _PENALTY, _SIZE_POWER = 360.0, 1.0, 0.5
_ASKED_LIKE, _LIKE_EACH = 60, 5
#: Shares at which half of a merit is believed, by channel; how much of a neighbour's evidence is as good as one's own.
#: Both chosen on Complete Journey and Online Retail: half or twice as much changes less than 1%.
_SHRINK = np.array((1.5, 1.5, 5.0, 5.0, 5.0, 0.5), np.float32)
_BORROWED = 0.02
_MOST_SEEDS = 64  # of a cart, the newest
#: Of popularity in the score: on two shops nothing loses by it and some gain 2%, and two pages share a quarter less;
#: three times as much costs up to 3%.
_COMMON = np.float32(0.1)
#: Of the lift in the score where what asks was never sold: two such pages share a third less, for 1 to 2% of NDCG on
#: two shops; twice as much costs 10%. Beside what was sold it costs up to 15%, however fast it fades with sales.
_LIFTED = np.float32(0.5)
_POPULAR = 100  # and at most a twentieth of all


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """ids: int32 [c], distinct products. features: float32 [c, len(FEATURES)]. known: int32 [c], whose evidence each
    uses: its own, or that of a sold product like it. lift: float32 [c], log of the lift that chance hardly explains: of
    the count less its deviation, the best of products alike, category and category above."""

    ids: Ints
    features: Floats
    known: Ints
    lift: Floats


class Complements:
    """A `Recommender` of what goes with the newest basket.

    evidence: what was counted. ease: the regression of each product on the rest of a
    basket. recent: float32 [n, 2], baskets of the last four weeks and of the last one.
    size: float32 [n], mean size of a product's baskets. price: float32 [n]. content: float32 [n, d], unit rows.
    head: what scores `FEATURES`; None before one is fitted.
    """

    name = "complements"

    def __init__(self, head: Head | None = None) -> None:
        self.head = head
        self.evidence: Evidence
        self.ease: Ease
        self.recent: Floats
        self.size: Floats
        self.price: Floats
        self.content: Floats
        self._like: tuple[Longs, Ints, Floats]

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,  # noqa: ARG002 - nothing is chosen here
        progress: Progress | None = None,
    ) -> Self:
        """Count; the head stays as it is."""
        return self.fit_with(content_of(items), train, items, progress)

    def fit_with(self, content: Floats, train: Sequences, items: Items, progress: Progress | None = None) -> Self:
        """`fit`, with `content_of(items)` made before: float32 [n, d]."""
        now = int(train.time.max()) if train.rows else 0
        return self.count(Baskets.of(train, items.n), items, content, now, progress)

    def count(
        self, baskets: Baskets, items: Items, content: Floats, now: int, progress: Progress | None = None
    ) -> Self:
        """`fit` on baskets; content: float32 [n, d] (`content_of`)."""
        if progress:
            progress(0, 1, f"{len(baskets):,} baskets")
        self.evidence = Evidence.fit(baskets, items, content, now)
        self.ease = Ease(half_life=_HALF_LIFE, penalty=_PENALTY, size_power=_SIZE_POWER).fit(baskets.sequences(), items)
        ages, sizes = baskets.ages(now), baskets.sizes().astype(np.float32)
        recent = [np.asarray(baskets.held[ages <= days].sum(axis=0), np.float32).ravel() for days in (_MONTH, _WEEK)]
        self.recent = np.stack(recent, axis=1)
        sold = np.maximum(self.evidence.popularity, 1)
        self.size = np.asarray((baskets.held.T @ sizes) / sold, np.float32)
        price = np.zeros(items.n, np.float32) if items.price is None else items.price
        self.price = np.nan_to_num(price, nan=0.0).astype(np.float32)
        self.content = content
        self._like = _unsold_like(self.evidence)
        if progress:
            progress(1, 1, f"{len(self.evidence.ids):,} pairs")
        return self

    @cached_property
    def telling(self) -> Mask:
        """bool [n]: all but the most bought of the last four weeks. Those are in every basket anyway: a head learns
        nothing of them, and they are no answer."""
        lately = self.recent[:, 0]
        mask = lately <= 0
        mask[np.argsort(-lately, kind="stable")[min(_POPULAR, len(lately) // 20) :]] = True
        return mask

    def answer(
        self, seeds: Ints, k: int, *, allowed: Mask | None = None, elsewhere: bool = False
    ) -> tuple[Ints, Floats]:
        """The best k, best first: (ids int32 [≤ k], scores float32)."""
        proposed = self.propose(seeds, allowed=allowed, elsewhere=elsewhere)
        scores = self.score(proposed)
        best = np.argsort(-scores, kind="stable")[:k]
        return proposed.ids[best], scores[best]

    def score(self, proposed: Proposed) -> Floats:
        """float32 [c]; higher is better. What is popular goes with everything, so it stands a little lower. Where what
        asks was never sold, what its kind goes with beyond doubt counts instead: a head falls back on staples there."""
        features = proposed.features
        if self.head is None or not len(features):
            return np.asarray(features[:, _MERIT], np.float32)
        scores = self.head.score(features)
        if features[0, _BEHIND] > 0:
            return scores - _COMMON * features[:, _POPULARITY]
        return scores + _LIFTED * proposed.lift

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:  # noqa: ARG002 - no clock here
        """float32 [len(histories), n]: what goes with each one's newest basket; -inf for what is not proposed."""
        result = np.full((len(histories), len(self.price)), -np.inf, np.float32)
        newest = histories.take(steps_back(histories) == 0)
        for row in range(len(histories)):
            seeds = np.unique(newest.items_of(row)).astype(np.int32)
            if len(seeds):
                proposed = self.propose(seeds)
                result[row, proposed.ids] = self.score(proposed)
        return result

    def propose(
        self,
        seeds: Ints,
        *,
        allowed: Mask | None = None,
        elsewhere: bool = False,
        hidden: bool = False,
        twins: bool = False,
    ) -> Proposed:
        """Candidates that go with `seeds` (int32 [m], the newest last), never one of them.

        allowed: bool [n], what may be shown. elsewhere: nothing of the seeds' own categories.
        hidden: as if the seeds had never been sold, which teaches a head to answer for such. twins: unsold products
        like what everybody buys too, which are no answer, and teach a head that popularity in itself is none.
        """
        refused = np.asarray(seeds, np.int32)
        seeds = refused[-_MOST_SEEDS:]
        gathered = self.evidence.gather(seeds, hidden)
        gathered, regressed = self._regressed(refused, gathered, hidden)
        merits = self._merits(gathered)
        chosen = _best_of_each(np.column_stack((merits, regressed)))
        lenders = chosen if twins else chosen[self.telling[gathered.ids[chosen]]]
        borrowed, lender, likeness = self._borrowed(gathered, merits, lenders)
        ids = np.concatenate((gathered.ids[chosen], borrowed))
        place = np.concatenate((chosen, lender))
        alike = np.concatenate((np.ones(len(chosen), np.float32), np.minimum(likeness, np.float32(0.999))))
        kept = ~np.isin(ids, refused)
        if allowed is not None:
            kept &= allowed[ids]
        if elsewhere:
            own = self.evidence.groups[seeds, 0]
            kept &= ~np.isin(self.evidence.groups[ids, 0], own[own >= 0])
        ids, place = ids[kept], place[kept]
        read = gathered.where(place)
        expected = self._expected(read)
        features = self._features(seeds, ids, read, expected, merits[place], alike[kept])
        features[:, _EASED] = np.log(np.maximum(regressed[place], 0) + np.float32(1e-3))
        count = read.count[:, _KINDS]
        sure = np.maximum(count - np.sqrt(count), 0)
        lift = np.log((sure + np.float32(0.5)) / (expected[:, _KINDS] + np.float32(0.5))).max(axis=1)
        return Proposed(ids, features, read.ids, lift)

    def _regressed(self, seeds: Ints, gathered: Gathered, hidden: bool) -> tuple[Gathered, Floats]:
        """What was gathered and EASE's best besides, and EASE's score of each, 0 for what it does not know."""
        if hidden or not len(self.ease.known):
            return gathered, np.zeros(len(gathered.ids), np.float32)
        known, scores = self.ease.of(seeds, np.zeros(len(seeds), np.int64), 0)
        best = np.argpartition(-scores, _EASE)[:_EASE] if len(known) > _EASE else np.arange(len(known))
        place, fresh = self.ease.place(gathered.ids), np.ones(len(known), np.bool_)
        fresh[place[place >= 0]] = False
        best = np.sort(best[fresh[best]])
        place = np.concatenate((place, best))
        return gathered.with_ids(known[best]), np.where(place >= 0, scores[place], 0).astype(np.float32)

    def _merits(self, gathered: Gathered) -> Floats:
        """float32 [c, channels]: share / popularity^0.25, believed by its size."""
        tie = np.maximum(self.evidence.popularity[gathered.ids], 1) ** np.float32(-0.25)
        share = gathered.share
        return np.asarray(tie[:, None] * share * (share / (share + _SHRINK)), np.float32)

    def _borrowed(self, gathered: Gathered, merits: Floats, chosen: Longs) -> tuple[Ints, Longs, Floats]:
        """Unsold products like the best candidates: ids, the place of each one's lender in `gathered`, their cosine."""
        start, ids, cosine = self._like
        if not len(ids) or not len(chosen):
            return np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32)
        worth = (merits[chosen] / np.maximum(merits[chosen].max(axis=0), 1e-6)).sum(axis=1)
        best = chosen[np.argsort(-worth, kind="stable")[:_ASKED_LIKE]]
        lengths = np.minimum(np.diff(start)[gathered.ids[best]], _LIKE_EACH)
        entries = np.arange(lengths.sum()) + np.repeat(
            start[gathered.ids[best]] - (np.cumsum(lengths) - lengths), lengths
        )
        lender = np.repeat(best, lengths)
        _, first = np.unique(ids[entries], return_index=True)  # of its lenders the one that goes best
        return ids[entries[first]], lender[first], cosine[entries[first]]

    def _expected(self, read: Gathered) -> Floats:
        """float32 [c, channels]: the counts that popularity explains."""
        counted = self.evidence
        expected = (counted.popularity[read.ids] / max(float(counted.baskets[0]), 1))[:, None] * read.behind
        expected[:, BUYERS] = counted.buyers[read.ids]  # a customer's sum is no basket: against its own buyers
        return np.asarray(expected, np.float32)

    def _features(
        self, seeds: Ints, ids: Ints, read: Gathered, expected: Floats, merits: Floats, alike: Floats
    ) -> Floats:
        counted = self.evidence
        popularity = counted.popularity[read.ids]
        features = np.empty((len(ids), len(FEATURES)), np.float32)
        wide = len(CHANNELS)
        features[:, :wide] = np.log(merits + np.float32(1e-3))
        features[:, wide : 2 * wide] = np.log((read.count + np.float32(0.5)) / (expected + np.float32(0.5)))
        features[:, 2 * wide : 3 * wide] = np.log1p(read.behind)
        rest = features[:, 3 * wide + 1 :].T
        mixed = read.share[:, OWN] + _BORROWED * read.share[:, NEAR]
        mixed[alike < 1] *= _BORROWED
        tie = np.maximum(popularity, 1) ** np.float32(-0.25)
        rest[0] = np.log(tie * mixed * (mixed / (mixed + _SHRINK[OWN])) + np.float32(1e-3))
        rest[1] = np.log1p(read.count[:, OWN])
        rest[2] = np.log(len(seeds))
        rest[3] = np.log1p(popularity)
        month, week = self.recent[read.ids].T
        rest[4] = np.log1p(month)
        rest[5] = np.log((_MONTH / _WEEK * week + 1) / (month + 1))
        rest[6] = np.log1p(self.size[read.ids])
        rest[7] = self.content[ids] @ self.content[seeds].mean(axis=0)
        price = np.log(self.price[ids] + np.float32(0.1))
        rest[8] = np.abs(price - np.log(self.price[seeds] + np.float32(0.1)).mean())
        rest[9] = price
        for column in range(3):
            theirs, own = counted.groups[ids, column], counted.groups[seeds, column]
            rest[10 + column] = ((theirs[:, None] == own) & (own >= 0)).mean(axis=1)
        rest[13] = alike
        return features

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything learned, as arrays for a bundle; the content in half precision."""
        arrays = {f"evidence.{name}": array for name, array in self.evidence.tensors().items()}
        arrays |= {f"ease.{name}": array for name, array in self.ease.tensors().items()}
        arrays |= {"recent": self.recent, "size": self.size, "price": self.price}
        arrays["content"] = self.content.astype(np.float16)
        if self.head is not None:
            arrays["head"] = self.head.tensor()
        return arrays

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        head = tensors.get("head")
        model = cls(None if head is None else Perceptron.of(head))

        def part(name: str) -> dict[str, npt.NDArray[Any]]:
            return {key.removeprefix(name): array for key, array in tensors.items() if key.startswith(name)}

        model.evidence = Evidence.from_tensors(part("evidence."))
        model.ease = Ease.from_tensors(part("ease."))
        model.recent, model.size, model.price = tensors["recent"], tensors["size"], tensors["price"]
        model.content = tensors["content"].astype(np.float32)
        model._like = _unsold_like(model.evidence)
        return model


def content_of(items: Items) -> Floats:
    """float32 [n, d]: texts and photos in one space (`ContentSpace`), in half precision's numbers; [n, 1] of zeros
    where there are neither."""
    space = ContentSpace.fit(items.text, items.image)
    if space is None:
        return np.zeros((items.n, 1), np.float32)
    vectors = space.vectors(items.n, items.text, items.image)
    return np.asarray(vectors.astype(np.float16), np.float32)


def _best_of_each(merits: Floats) -> Longs:
    """Places of the best candidates of each channel, ascending."""
    kept = np.zeros(len(merits), np.bool_)
    for channel, most in enumerate((*_PROPOSED, _EASE)):
        column = merits[:, channel]
        best = np.argpartition(-column, most)[:most] if len(column) > most else np.arange(len(column))
        kept[best[column[best] > 0]] = True
    return np.flatnonzero(kept)


def _unsold_like(evidence: Evidence) -> tuple[Longs, Ints, Floats]:
    """CSR of the unsold products whose most alike sold ones each product is: start int64 [n + 1], ids, cosines, the
    most alike first."""
    n = len(evidence.popularity)
    unsold = np.flatnonzero(evidence.popularity == 0).astype(np.int32)
    near, alike = evidence.near[unsold, :3], evidence.alike[unsold, :3]
    there = (near >= 0) & (alike > 0)
    lender, ids, cosine = near[there], np.repeat(unsold, there.sum(axis=1)), alike[there]
    order = np.lexsort((ids, -cosine, lender))
    start = np.concatenate(([0], np.cumsum(np.bincount(lender, minlength=n)))).astype(np.int64)
    return start, ids[order], cosine[order].astype(np.float32)
