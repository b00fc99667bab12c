"""The questions a shop's screens ask, each drawn from what happened after a cutoff.

A `QuestionSet` is all that a model needs and all that it is measured by. To measure a candidate model, write one
function and hand it over (`questions.measure` does the rest: metrics, intervals, overlap, beside the baselines):

    def answer(questions: QuestionSet) -> Ints:                      # ids int32 [n, 12], -1 for none
        model = fit(questions.past, items)                           # events to learn from, all before the cutoff
        return questions.best(lambda i: model.scores(questions.seeds[i]))    # scores float [n_items] of question i

    result = measure(dataset, settings, cutoff, days, only=["complements"], more={"mine": answer})

`best` leaves out what the protocol forbids to show. Who answers with ids and not with scores asks for more than 12 and
calls `questions.cut(lists)`. Hidden and forbidden products are the same for everybody who answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from shelfwise.metrics import Mask, Relevant
from shelfwise.models.recommender import Items, top_k
from shelfwise.models.sequences import DAY, Ints, Longs, Sequences
from shelfwise.schema import EventType
from shelfwise.training.dataset import Dataset, levels

K = 12
POPULAR = 100  # most bought of the last four weeks, neither shown nor wanted; of small shops a twentieth
GAP = 1_800  # seconds without an event that end a basket or a session
MOST = 1_500  # questions of one kind
LEAST = 10  # fewer questions say nothing
HIDDEN = 0.2  # of the products, on a cold page
_MONTH = 28
_PURCHASE = EventType.PURCHASE.code
_NOTHING = np.empty(0, np.int32)

QUESTIONS = (
    "home, known",
    "home, known: new to them",
    "home, first visit",
    "complements",
    "substitutes",
    "cart",
    "cold page",
    "cold product",
    "another department",
    "category page",
    "complements, any category",
)
#: Of both kinds of complements: how often the page's product was sold before the cutoff.
BY_SALES = (("0–5", 0, 5), ("6–50", 6, 50), ("51+", 51, np.iinfo(np.int64).max))


@dataclass(frozen=True, kw_only=True, eq=False)
class QuestionSet:
    """n questions of one kind.

    name: of `QUESTIONS`. past: the events to learn from, all before the cutoff. now: seconds, when they are asked.
    seeds: n arrays of inside ids, what the page, the cart or the visit shows, the newest last. wanted: n sets.
    histories: row i is what is known of who asks, empty for nobody. hidden: bool [n_items], never an answer.
    groups: int32 [n_items], codes by which `only` (int32 [n], the one group an answer may be in) or `barred` (n arrays
    of codes no answer is in) restrict each question. apart: int32 [n_items], groups of variants (-1 for none): no
    variant of what is shown is an answer. seen: may be shown what the history holds?
    """

    name: str
    past: Sequences
    now: int
    seeds: list[Ints]
    wanted: Relevant
    histories: Sequences
    hidden: Mask
    groups: Ints | None = None
    only: Ints | None = None
    barred: list[Ints] | None = None
    apart: Ints | None = None
    seen: bool = True
    group_names: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.seeds)

    def allowed(self, i: int) -> Mask:
        """bool [n_items]: what may answer question i."""
        allowed = ~self.hidden
        allowed[self.seeds[i]] = False
        if not self.seen:
            allowed[self.histories.items_of(i)] = False
        if self.groups is not None and self.only is not None:
            allowed &= self.groups == self.only[i]
        if self.groups is not None and self.barred is not None and len(self.barred[i]):
            allowed &= ~np.isin(self.groups, self.barred[i])
        if self.apart is not None:
            allowed &= (self.apart < 0) | ~np.isin(self.apart, self.apart[self.seeds[i]])
        return allowed

    def best(self, scores: Callable[[int], npt.NDArray[np.floating]], k: int = K) -> Ints:
        """int32 [n, k]: the best that may be shown by `scores(i)` [n_items]; 0 or less and -inf are no answer."""
        ids = np.full((len(self), k), -1, np.int32)
        for i in range(len(self)):
            merit = np.where(self.allowed(i), scores(i), -np.inf).astype(np.float32)
            merit[merit <= 0] = -np.inf
            top = top_k(merit[None], k)[0][0]
            ids[i, : len(top)] = top
        return ids

    def cut(self, lists: Iterable[Ints], k: int = K) -> Ints:
        """int32 [n, k]: of each list, best first, the first k that may be shown."""
        ids = np.full((len(self), k), -1, np.int32)
        for i, row in enumerate(lists):
            row = np.asarray(row)
            row = row[row >= 0]
            row = row[self.allowed(i)[row]][:k]
            ids[i, : len(row)] = row
        return ids

    def where(self, rows: Longs, name: str) -> QuestionSet:
        """Only these questions, under another name."""
        return replace(
            self,
            name=name,
            seeds=[self.seeds[i] for i in rows],
            wanted=self.wanted.select(rows),
            histories=self.histories.select(rows),
            only=None if self.only is None else self.only[rows],
            barred=None if self.barred is None else [self.barred[i] for i in rows],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """A shop's record cut in two. past, window: row i is the same customer in both. popular: bool [n_items].

    sold: int64 [n_items], purchases before the cutoff. baskets: of the window, distinct products each in time order,
    those of one moment in the order drawn.
    """

    past: Sequences
    window: Sequences
    items: Items
    cutoff: int
    popular: Mask
    sold: Longs
    seed: int
    most: int

    @classmethod
    def cut(cls, dataset: Dataset, cutoff: int, days: float, *, seed: int = 0, most: int = MOST) -> Record:
        past, window = dataset.split(cutoff, days)
        n = dataset.features.n
        bought = past.take(past.kind == _PURCHASE)
        lately = np.bincount(bought.item[bought.time >= cutoff - _MONTH * DAY], minlength=n)
        popular = np.zeros(n, np.bool_)
        popular[np.argsort(-lately, kind="stable")[: min(POPULAR, n // 20)]] = True
        return cls(
            past=past,
            window=window,
            items=dataset.features,
            cutoff=cutoff,
            popular=popular & (lately > 0),
            sold=np.bincount(bought.item, minlength=n).astype(np.int64),
            seed=seed,
            most=most,
        )

    @property
    def leaf(self) -> Ints:
        """int32 [n_items]: the deepest category, -1 unknown."""
        return np.full(self.items.n, -1, np.int32) if self.items.category is None else self.items.category

    def department(self) -> tuple[Ints, tuple[str, ...]]:
        """int32 [n_items], the first level of the category, and the names."""
        return levels(self.leaf, self.items.category_names, 1)

    def baskets(self, random: np.random.Generator, *, any_kind: bool = False) -> list[Ints]:
        """Of the window, in random order."""
        events = self.window if any_kind else self.window.take(self.window.kind == _PURCHASE)
        baskets = list(baskets_of(events, random))
        return [baskets[i] for i in random.permutation(len(baskets))]

    def ask(self, name: str) -> QuestionSet | str:
        """The questions of this name, or a sentence why the record cannot ask them."""
        questions = _ASK[name](self, np.random.default_rng([self.seed, QUESTIONS.index(name)]))
        if isinstance(questions, str):
            return questions
        if len(questions) < LEAST:
            return f"only {len(questions)} questions could be drawn from the window, and {LEAST} are needed"
        return questions

    def made(self, name: str, seeds: list[Ints], wanted: list[Ints], **more: object) -> QuestionSet:
        """`QuestionSet` of these, asked by nobody known unless `histories` are given."""
        nobody = self.past.select(np.empty(0, np.int64))
        empty = replace(nobody, offsets=np.zeros(len(seeds) + 1, np.int64))
        given = {
            "past": self.past,
            "histories": empty,
            "hidden": np.zeros(self.items.n, np.bool_),
            **more,
        }
        # One table of fields of different types, each its own of QuestionSet.
        return QuestionSet(name=name, now=self.cutoff, seeds=seeds, wanted=Relevant.of(wanted), **given)  # type: ignore[arg-type]


def baskets_of(events: Sequences, random: np.random.Generator) -> Iterator[Ints]:
    """Distinct products of each basket (a pause of `GAP` ends one), in time order; of one moment in random order."""
    if not events.rows:
        return
    owner = np.repeat(np.arange(len(events)), events.lengths())
    begins = np.ones(events.rows, np.bool_)
    begins[1:] = (owner[1:] != owner[:-1]) | (np.diff(events.time) > GAP)
    order = np.lexsort((random.random(events.rows), events.time, owner))
    items = events.item[order]
    for part in np.split(items, np.flatnonzero(begins)[1:]):
        _, first = np.unique(part, return_index=True)
        yield part[np.sort(first)].astype(np.int32)


def _known(record: Record, random: np.random.Generator, *, new: bool = False) -> QuestionSet | str:
    window = record.window.take(record.window.kind == _PURCHASE)
    bought = record.past.take(record.past.kind == _PURCHASE)
    customers = np.flatnonzero((bought.lengths() > 0) & (window.lengths() > 0))
    if not len(customers):
        return "no customer bought both before the cutoff and in the window"
    customers = np.sort(random.permutation(customers)[: record.most])
    histories = record.past.select(customers)
    wanted = [np.unique(window.items_of(i)) for i in customers.tolist()]
    if new:
        wanted = [one[~np.isin(one, histories.items_of(i))] for i, one in enumerate(wanted)]
    some = [i for i, one in enumerate(wanted) if len(one)]
    return record.made(
        "home, known: new to them" if new else "home, known",
        [_NOTHING] * len(some),
        [wanted[i] for i in some],
        histories=histories.select(np.array(some, np.int64)),
        seen=not new,
    )


def _first_visit(record: Record, random: np.random.Generator) -> QuestionSet | str:
    def pairs() -> Iterator[tuple[Ints, Ints]]:
        for basket in record.baskets(random, any_kind=True):
            shown = min(int(random.integers(1, 4)), len(basket) - 1)
            if shown > 0:
                yield basket[:shown], basket[shown:]

    return _without_popular(record, "home, first visit", pairs()) or _NO_BASKETS


def _complements(record: Record, random: np.random.Generator) -> QuestionSet | str:
    return _elsewhere(record, "complements", _one_of_a_basket(record, random)) or _NO_BASKETS


def _any_complements(record: Record, random: np.random.Generator) -> QuestionSet | str:
    """The rest of the basket whatever its category: a second red wine goes with the first."""
    return _without_popular(record, "complements, any category", _one_of_a_basket(record, random)) or _NO_BASKETS


def _one_of_a_basket(record: Record, random: np.random.Generator) -> Iterator[tuple[Ints, Ints]]:
    for basket in record.baskets(random):
        drawn = random.permutation(basket)
        yield drawn[:1], drawn[1:]


def _cold_page(record: Record, random: np.random.Generator) -> QuestionSet | str:
    cold = random.random(record.items.n) < HIDDEN
    past = record.past.take(~cold[record.past.item])

    def pairs() -> Iterator[tuple[Ints, Ints]]:
        for basket in record.baskets(random):
            drawn = random.permutation(basket)
            of = np.flatnonzero(cold[drawn])
            if len(of):
                yield drawn[of[:1]], np.delete(drawn, of[0])

    questions = _elsewhere(record, "cold page", pairs())
    return _NO_BASKETS if questions is None else replace(questions, past=past)


def _cart(record: Record, random: np.random.Generator) -> QuestionSet | str:
    def pairs() -> Iterator[tuple[Ints, Ints]]:
        for basket in record.baskets(random):
            drawn = random.permutation(basket)
            half = len(drawn) // 2
            if half:
                yield drawn[:half], drawn[half:]

    return _without_popular(record, "cart", pairs()) or _NO_BASKETS


def _substitutes(record: Record, random: np.random.Generator) -> QuestionSet | str:
    leaf, view = record.leaf, EventType.VIEW_ITEM.code
    if not (leaf >= 0).any():
        return "the catalogue has no categories, so nothing is known to stand in another's place"
    variants = np.full(record.items.n, -1, np.int32) if record.items.group is None else record.items.group
    seeds: list[Ints] = []
    wanted: list[Ints] = []
    looked = bool((record.window.kind == view).any())
    for customer in random.permutation(np.flatnonzero(record.window.lengths() > 0)).tolist():
        rows = slice(record.window.offsets[customer], record.window.offsets[customer + 1])
        item, kind = record.window.item[rows], record.window.kind[rows]
        bought = np.unique(item[kind == _PURCHASE])
        shown = np.setdiff1d(item[kind == view], bought) if looked else bought
        for product in random.permutation(shown[leaf[shown] >= 0])[:2]:  # few of one customer
            other = bought[(leaf[bought] == leaf[product]) & (bought != product)]
            other = other[(variants[other] < 0) | (variants[other] != variants[product])]
            if len(other):
                seeds.append(np.array([product], np.int32))
                wanted.append(other)
        if len(seeds) >= record.most:
            break
    if not seeds:
        return "nobody chose between two products of one leaf category in the window"
    only = leaf[np.concatenate(seeds)]
    names = record.items.category_names
    return record.made("substitutes", seeds, wanted, groups=leaf, only=only, apart=variants, group_names=names)


def _cold_product(record: Record, random: np.random.Generator) -> QuestionSet | str:
    cold = record.sold == 0
    window = record.window.take((record.window.kind == _PURCHASE) & cold[record.window.item])
    first = np.zeros(record.items.n, np.bool_)
    first[window.item] = True
    customers = np.flatnonzero((record.past.lengths() > 0) & (window.lengths() > 0))
    if not len(customers):
        return "no product was first sold in the window to a customer known before"
    customers = np.sort(random.permutation(customers)[: record.most])
    return record.made(
        "cold product",
        [_NOTHING] * len(customers),
        [np.unique(window.items_of(i)) for i in customers.tolist()],
        histories=record.past.select(customers),
        hidden=~first,
    )


def _another_department(record: Record, random: np.random.Generator) -> QuestionSet | str:
    department, names = record.department()
    if len(names) < 2:
        return "the catalogue has fewer than two departments (first levels of product_type)"
    window = record.window.take(record.window.kind == _PURCHASE)
    customers, wanted, barred = [], [], []
    for customer in random.permutation(np.flatnonzero((record.past.lengths() > 0) & (window.lengths() > 0))).tolist():
        known = np.unique(department[record.past.items_of(customer)])
        bought = np.unique(window.items_of(customer))
        bought = bought[~np.isin(department[bought], known) & (department[bought] >= 0)]
        if len(bought):
            customers.append(customer)
            wanted.append(bought)
            barred.append(np.union1d(known, [-1]).astype(np.int32))
        if len(customers) >= record.most:
            break
    if not customers:
        return "nobody bought in a department new to them in the window"
    histories = record.past.select(np.array(customers))
    seeds = [_NOTHING] * len(customers)
    return record.made(
        "another department",
        seeds,
        wanted,
        histories=histories,
        groups=department,
        barred=barred,
        group_names=names,
    )


def _category_page(record: Record, random: np.random.Generator) -> QuestionSet | str:
    leaf = record.leaf
    if not (leaf >= 0).any():
        return "the catalogue has no categories"
    window = record.window.take(record.window.kind == _PURCHASE)
    customers, wanted, only = [], [], []
    for customer in random.permutation(np.flatnonzero((record.past.lengths() > 0) & (window.lengths() > 0))).tolist():
        bought = np.unique(window.items_of(customer))
        for code in random.permutation(np.unique(leaf[bought][leaf[bought] >= 0]))[:2]:  # few of one customer
            customers.append(customer)
            wanted.append(bought[leaf[bought] == code])
            only.append(int(code))
        if len(customers) >= record.most:
            break
    return record.made(
        "category page",
        [_NOTHING] * len(customers),
        wanted,
        histories=record.past.select(np.array(customers, np.int64)),
        groups=leaf,
        only=np.array(only, np.int32),
        group_names=record.items.category_names,
    )


def _without_popular(record: Record, name: str, pairs: Iterator[tuple[Ints, Ints]]) -> QuestionSet | None:
    """The popular neither shown nor wanted; questions without anything wanted are left out."""
    seeds, wanted = [], []
    for shown, rest in pairs:
        rest = rest[~record.popular[rest]]
        if len(rest):
            seeds.append(shown)
            wanted.append(rest)
        if len(seeds) >= record.most:
            break
    return record.made(name, seeds, wanted, hidden=record.popular) if seeds else None


def _elsewhere(record: Record, name: str, pairs: Iterator[tuple[Ints, Ints]]) -> QuestionSet | None:
    """`_without_popular`, and only what lies in other leaf categories than the one product shown."""
    leaf = record.leaf

    def other() -> Iterator[tuple[Ints, Ints]]:
        for shown, rest in pairs:
            own = leaf[shown[0]]
            yield shown, rest if own < 0 else rest[leaf[rest] != own]

    questions = _without_popular(record, name, other())
    if questions is None:
        return None
    barred = [leaf[shown][leaf[shown] >= 0] for shown in questions.seeds]
    return replace(questions, groups=leaf, barred=barred, group_names=record.items.category_names)


_NO_BASKETS = "the window has no baskets of two or more products that could be completed"
_ASK: dict[str, Callable[[Record, np.random.Generator], QuestionSet | str]] = {
    "home, known": _known,
    "home, known: new to them": lambda record, random: _known(record, random, new=True),
    "home, first visit": _first_visit,
    "complements": _complements,
    "substitutes": _substitutes,
    "cart": _cart,
    "cold page": _cold_page,
    "cold product": _cold_product,
    "another department": _another_department,
    "category page": _category_page,
    "complements, any category": _any_complements,
}


def exported(sets: Sequence[QuestionSet], names: Sequence[str]) -> Iterator[dict[str, object]]:
    """One plain record a question, products by their outside ids: {"question", "seeds", "wanted"}, and
    "history" (with times) where someone known asks, "only" or "barred" where a category decides what may be shown."""
    for one in sets:
        for i, seeds in enumerate(one.seeds):
            span = slice(one.wanted.offsets[i], one.wanted.offsets[i + 1])
            row: dict[str, object] = {
                "question": one.name,
                "seeds": [names[item] for item in seeds],
                "wanted": [names[item] for item in one.wanted.ids[span]],
            }
            if len(one.histories.items_of(i)):
                rows = slice(one.histories.offsets[i], one.histories.offsets[i + 1])
                row["history"] = [
                    [names[item], int(time)]
                    for item, time in zip(one.histories.item[rows], one.histories.time[rows], strict=True)
                ]
            if one.only is not None:
                row["only"] = one.group_names[one.only[i]]
            if one.barred is not None:
                row["barred"] = [one.group_names[code] for code in one.barred[i] if code >= 0]
            yield row
