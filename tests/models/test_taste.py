import numpy as np

from shelfwise.models.index import VectorIndex
from shelfwise.models.sequences import DAY, Sequences, sequences_of
from shelfwise.models.taste import Taste

CONTENT = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1], [0, 0]], np.float32)


def taste_of(histories: Sequences) -> Taste:
    return Taste.fit(histories, CONTENT, VectorIndex.build(CONTENT))


def asked(taste: Taste, items: list[int]) -> list[float]:
    """What a history of these says of the unsold products 4 and 5."""
    times = np.arange(len(items)) * DAY
    vector = taste.of(np.array(items, np.int32), times, len(items) * DAY, CONTENT)
    return (CONTENT[4:6] @ vector).tolist()


def test_who_buys_like_things_together_is_shown_like_things() -> None:
    taste = taste_of(sequences_of([[0, 1]] * 20 + [[2, 3]] * 20))
    first, second = asked(taste, [0])
    assert first > second
    first, second = asked(taste, [2])
    assert second > first


def test_what_goes_together_is_learned_and_not_likeness() -> None:
    taste = taste_of(sequences_of([[0, 2], [1, 3], [1, 2], [0, 3]] * 10))
    first, second = asked(taste, [0])
    assert second > first


def test_the_unsold_borrow_what_was_sold_of_their_like() -> None:
    taste = taste_of(sequences_of([[0, 1]] * 20 + [[2]] * 3))
    assert taste.borrowed[:4].tolist() == [0] * 3 + [taste.borrowed[3]]
    np.testing.assert_allclose(taste.borrowed[4], np.log1p(20), rtol=1e-3)
    np.testing.assert_allclose(taste.borrowed[[3, 5]], np.log1p(3), rtol=1e-3)
    assert taste.borrowed[6] == 0, "nothing is known of it"


def test_a_record_that_says_nothing_gives_finite_numbers() -> None:
    taste = taste_of(sequences_of([[0], []]))
    assert np.isfinite(taste.matrix).all()
    assert np.isfinite(asked(taste, [0])).all()
    again = Taste.from_tensors(taste.tensors())
    np.testing.assert_array_equal(again.matrix, taste.matrix)
