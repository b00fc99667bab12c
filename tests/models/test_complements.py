"""What goes with what in a small shop whose answer is known: bread goes with butter, nails with hammers, and everybody
buys water."""

from __future__ import annotations

import numpy as np
import pytest

from shelfwise.models.baskets import Baskets
from shelfwise.models.complements import FEATURES, Complements
from shelfwise.models.evidence import CATEGORY, OWN, Evidence
from shelfwise.models.ranker import Linear
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Sequences, sequences_of
from shelfwise.training.complements import fit_complements

BREAD, ROLLS, BUTTER, HAMMER, NAILS, WATER, NEW_BREAD, NEW_NAILS, NOTHING = range(9)
N = 9
CATEGORIES = ("Food > Bakery", "Food > Dairy", "Tools > Hand", "Tools > Small", "Food > Drinks")
_LIKE = {
    BREAD: (1, 0, 0, 0), ROLLS: (0.95, 0, 0, 0.31), NEW_BREAD: (0.99, 0.1, 0, 0), BUTTER: (0, 1, 0, 0),
    HAMMER: (0, 0, 1, 0), NAILS: (0, 0, 0.3, 0.95), NEW_NAILS: (0, 0.05, 0.3, 0.95), WATER: (0.1, 0.1, 0, -1),
}  # fmt: skip


def items() -> Items:
    text = np.zeros((N, 4), np.float32)
    for product, row in _LIKE.items():
        text[product] = np.array(row) / np.linalg.norm(row)
    return Items(
        n=N,
        text=text,
        category=np.array([0, 0, 1, 2, 3, 4, 0, 3, -1], np.int32),
        category_names=CATEGORIES,
        price=np.array([2, 2, 3, 20, 4, 1, 2, 4, np.nan], np.float32),
    )


POPULAR = np.arange(N) == WATER


def test_of_what_a_head_finds_equal_the_less_popular_stands_first() -> None:
    model = fitted()
    model.head = Linear(np.zeros(len(FEATURES), np.float32))
    proposed = model.propose(np.array([BREAD], np.int32))
    popularity = proposed.features[:, FEATURES.index("popularity")]
    assert len(set(popularity.tolist())) > 1
    assert np.argsort(-model.score(proposed), kind="stable").tolist() == np.argsort(popularity, kind="stable").tolist()


def test_beside_what_was_never_sold_counts_what_its_kind_goes_with() -> None:
    model = fitted()
    model.head = Linear(np.zeros(len(FEATURES), np.float32))
    unsold = model.propose(np.array([NEW_BREAD], np.int32))
    lift = dict(zip(unsold.ids.tolist(), unsold.lift.tolist(), strict=True))
    assert lift[BUTTER] > lift[WATER], "everybody buys water"
    order = unsold.ids[np.argsort(-model.score(unsold))].tolist()
    assert order.index(BUTTER) < order.index(WATER)


def test_what_is_like_what_everybody_buys_is_proposed_to_nobody() -> None:
    n = 42  # 0 and 1 are in every basket, 40 and 41 have their texts and were never sold
    text = np.eye(n, dtype=np.float32)
    text[40], text[41] = text[0], text[5]
    shop = sequences_of([[0, 1, 4 + customer % 2] for customer in range(39)], times=[[0, 0, 0]] * 39)
    model = Complements().fit(shop, Items(n=n, text=text))
    assert np.flatnonzero(~model.telling).tolist() == [0, 1]
    proposed = model.propose(np.array([1], np.int32))
    assert {0, 5, 41} <= set(proposed.ids.tolist())
    assert 40 not in proposed.ids
    assert 40 in model.propose(np.array([1], np.int32), twins=True).ids


def test_what_everybody_buys_lately_is_popular() -> None:
    shop = sequences_of([[0, 1 + customer] for customer in range(39)], times=[[0, 0]] * 39)
    telling = Complements().fit(shop, Items(n=40)).telling
    assert np.flatnonzero(~telling).tolist() == [0, 1]  # a twentieth of all
    assert fitted().telling.all()  # of nine products all


def baskets_of(*baskets: list[int], apart: int = 86_400) -> Sequences:
    """Each basket of a customer of its own, at a moment of its own."""
    times = [[place * apart] * len(basket) for place, basket in enumerate(baskets)]
    return sequences_of(list(baskets), times=times)


SHOP = baskets_of(
    *([[BREAD, BUTTER, WATER]] * 8),
    *([[ROLLS, BUTTER, WATER]] * 4),
    *([[HAMMER, NAILS, WATER]] * 8),
    *([[BREAD, WATER], [HAMMER, WATER], [WATER, ROLLS]] * 3),
)


def fitted() -> Complements:
    return Complements().fit(SHOP, items())


def first(model: Complements, *seeds: int, **how: object) -> list[int]:
    ids, _ = model.answer(np.array(seeds, np.int32), 9, **how)  # type: ignore[arg-type]
    return [int(product) for product in ids]


def test_a_basket_is_what_was_bought_without_a_pause() -> None:
    bought = sequences_of([[0, 1, 1, 2], [0]], times=[[0, 100, 100, 9_000], [50]])
    found = Baskets.of(bought, 3)
    assert found.held.toarray().tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert found.time.tolist() == [0, 9_000, 50]
    assert found.customer.tolist() == [0, 0, 1]


def test_looks_are_no_baskets() -> None:
    looked = sequences_of([[0, 1]], kinds=[[0, 3]])
    assert Baskets.of(looked, 2).held.toarray().tolist() == [[0, 1]]
    assert len(Baskets.of(sequences_of([[]]), 2)) == 0


def test_counts_are_those_of_the_baskets() -> None:
    evidence = Evidence.fit(Baskets.of(SHOP, N), items(), items().text)
    read = evidence.gather(np.array([BREAD], np.int32))
    counts = dict(zip(read.ids.tolist(), read.count[:, OWN].tolist(), strict=True))
    assert counts[BUTTER] == 8
    assert counts[WATER] == 11
    assert BREAD not in counts or counts[BREAD] == 0
    assert read.behind[OWN] == 11


def test_a_category_does_not_go_with_itself_by_its_own_sales() -> None:
    # Rolls and bread are of one category and never together: each stands in the category's row only by the other.
    evidence = Evidence.fit(Baskets.of(SHOP, N), items(), items().text)
    read = evidence.gather(np.array([NEW_BREAD], np.int32))
    counts = dict(zip(read.ids.tolist(), read.count[:, CATEGORY].tolist(), strict=True))
    assert counts[BUTTER] == 12
    assert counts.get(BREAD, 0) == counts.get(ROLLS, 0) == 0
    assert read.behind[CATEGORY] == 18


def test_what_goes_with_it_comes_first() -> None:
    model = fitted()
    assert first(model, BREAD, allowed=~POPULAR)[0] == BUTTER
    assert first(model, HAMMER, allowed=~POPULAR)[0] == NAILS
    assert first(model, NAILS, allowed=~POPULAR)[0] == HAMMER


def test_a_product_never_sold_asks_as_what_is_like_it() -> None:
    model = fitted()
    assert first(model, NEW_BREAD, allowed=~POPULAR)[0] == BUTTER
    assert HAMMER in first(model, NEW_NAILS, allowed=~POPULAR)[:2]
    hidden = model.propose(np.array([BREAD], np.int32), hidden=True)
    assert not hidden.features[:, FEATURES.index("behind_own")].any()
    assert hidden.features[:, FEATURES.index("behind_near")].any()


def test_a_product_never_sold_is_proposed_by_what_is_like_it() -> None:
    model = fitted()
    proposed = model.propose(np.array([HAMMER], np.int32))
    place = proposed.ids.tolist().index(NEW_NAILS)
    assert proposed.known[place] == NAILS
    assert proposed.features[place, FEATURES.index("likeness")] < 1
    order = first(model, HAMMER)
    assert order.index(NAILS) < order.index(NEW_NAILS)


def test_a_cart_asks_with_all_it_holds() -> None:
    answer = first(fitted(), BREAD, HAMMER, allowed=~POPULAR)
    assert set(answer[:2]) == {BUTTER, NAILS}
    assert not {BREAD, HAMMER} & set(answer)


def test_only_what_is_allowed_is_proposed() -> None:
    allowed = np.ones(N, np.bool_)
    allowed[BUTTER] = False
    assert BUTTER not in first(fitted(), BREAD, allowed=allowed)
    assert ROLLS not in first(fitted(), NEW_BREAD, elsewhere=True)
    assert ROLLS in first(fitted(), NEW_BREAD)


def test_nothing_known_is_no_answer_and_no_error() -> None:
    assert first(fitted(), NOTHING) == []
    empty = Complements().fit(sequences_of([[]]), Items(n=3))
    assert first(empty, 1) == []


def test_tensors_come_back() -> None:
    model = fitted()
    again = Complements.from_tensors(model.tensors())
    asked = sequences_of([[BREAD], [NEW_NAILS, HAMMER], []])
    assert np.array_equal(again.scores(asked), model.scores(asked))


@pytest.fixture(scope="module")
def pairs() -> tuple[Sequences, Items]:
    """A shop of 30 pairs: product 2 i goes with 2 i + 1, a third of each basket is chance; 60 is in every basket."""
    random = np.random.default_rng(0)
    baskets = []
    for _ in range(1_500):
        pair = int(random.integers(30))
        baskets.append([2 * pair, 2 * pair + 1, int(random.integers(60)), 60])
    return baskets_of(*baskets, apart=3_600), Items(n=61, price=np.ones(61, np.float32))


def test_a_head_learns_the_pairs(pairs: tuple[Sequences, Items]) -> None:
    model = fit_complements(*pairs, seed=1)
    assert model.head is not None
    right = [first(model, product)[0] == product ^ 1 for product in range(60)]
    assert np.mean(right) > 0.95
    again = fit_complements(*pairs, seed=1)
    assert first(again, 4) == first(model, 4)
    back = Complements.from_tensors(model.tensors())
    assert first(back, 7) == first(model, 7)


def test_too_few_baskets_teach_no_head() -> None:
    assert fit_complements(SHOP, items()).head is None
    assert fit_complements(sequences_of([[]]), Items(n=2)).head is None
