from __future__ import annotations

import numpy as np
import pytest

from shelfwise.search.query.text import Analyzer
from shelfwise.search.rank.titles import Titles

TITLES = (
    *(f"{brand} keyboard cover" for brand in "ABCDE"),
    *(f"{brand} keyboard black" for brand in "ABCDE"),
    *(f"{brand} phone black" for brand in "ABCDE"),
    *(f"{brand} case cover" for brand in "ABCDE"),
    "keyboard",
)


@pytest.fixture
def titles() -> Titles:
    made = Titles(Analyzer())
    made.put(range(len(TITLES)), TITLES)
    # What a product is: a cover, a keyboard, a phone.
    kinds = ["cover" if t.endswith("cover") else "phone" if "phone" in t else "keyboard" for t in TITLES]
    axes = dict(zip(("cover", "keyboard", "phone"), np.eye(3, dtype=np.float32), strict=True))
    made.measure(np.stack([axes[kind] for kind in kinds]))
    return made


def test_a_word_of_one_kind_of_product_is_narrow(titles: Titles) -> None:
    assert titles.narrow("cover") == 1
    assert titles.narrow("black") < 0.5 < titles.narrow("phone")
    assert titles.narrow("never") == 0


def test_a_word_before_what_the_product_is_only_qualifies(titles: Titles) -> None:
    rows = np.array([0, 5, 20], np.int32)
    phrase, head, qualifies = titles.match(rows, ["keyboard", "black"], [("keyboard",)])
    assert phrase.tolist() == [0, 1, 0]
    assert head.tolist() == [1, 1, 1]
    assert qualifies[0] == 1
    assert qualifies[1] < 0.5
    assert qualifies[2] == 0
    assert titles.match(rows, ["keyboard", "cover"], [("keyboard",), ("cover",)])[2].tolist() == [0, 0, 0]


def test_what_is_said_after_the_name_of_a_thing_is_not_its_name(titles: Titles) -> None:
    rows = np.array([0, 5, 10], np.int32)
    _, head, qualifies = titles.match(rows, [], [("keyboard",), ("15in",)])
    assert head.tolist() == [1, 1, 0]
    assert qualifies[0] == 1


def test_titles_change_and_come_later(titles: Titles) -> None:
    for _ in range(3):
        titles.put([0, 30], ["keyboard black", "red phone case"])
    assert len(titles) == 31
    phrase, _, _ = titles.match(np.array([0, 25, 30, 99], np.int32), ["phone", "case"], [("phone",), ("case",)])
    assert phrase.tolist() == [0, 0, 1, 0]
    assert titles.match(np.array([0], np.int32), ["keyboard", "black"], [("keyboard",)])[0].tolist() == [1]


def test_what_changed_titles_leave_behind_is_given_back() -> None:
    made = Titles(Analyzer())
    made.put(range(3_000), [" ".join(f"w{i % 7}x" for i in range(40))] * 3_000)
    made.put(range(3_000), ["short title"] * 3_000)
    assert len(made._kept.flat) == 6_000
    assert made.match(np.array([7, 2_999], np.int32), ["short", "titl"], [("short",)])[0].tolist() == [1, 1]
