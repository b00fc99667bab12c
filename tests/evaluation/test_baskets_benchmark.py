import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfwise.errors import InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.evaluation.baskets_benchmark import baskets, read_baskets, write_baskets
from shelfwise.evaluation.next_basket import Frequency, Tifu, TifuKnn, counted
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import DAY, IdMap, sequences_of
from shelfwise.training.dataset import Dataset
from tests.training.test_pipeline import SMALL


def lines_of(customers: int = 60, seed: int = 0) -> list[str]:
    """Each buys two favourites nearly always, and something of its taste beside, in six to nine baskets."""
    random = np.random.default_rng(seed)
    lines = []
    for customer in range(customers):
        taste = customer % 4 * 10
        favourites = taste + random.choice(10, 2, replace=False)
        for basket in range(int(random.integers(6, 10))):
            held = [*(item for item in favourites if random.random() < 0.8), taste + int(random.integers(10))]
            lines += [f"c{customer} b{basket} i{item}" for item in held]
    return lines


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("baskets") / "baskets.gz"
    path.write_bytes(gzip.compress("\n".join(lines_of()).encode()))
    return baskets(path, settings=SMALL)


def test_every_row_has_all_repeated_and_new(measured: dict[str, Any]) -> None:
    assert [row["name"] for row in measured["rows"]] == ["engine", "g-topfreq", "p-topfreq", "gp-topfreq", "tifu-knn"]
    for row in measured["rows"]:
        for part in ("", "repeated_", "new_"):
            for metric in ("recall@10", "ndcg@10", "phr@10"):
                low, high = row["intervals"][part + metric]
                assert 0 <= low <= row[part + metric] <= high <= 1
    rows = {row["name"]: row for row in measured["rows"]}
    assert rows["p-topfreq"]["new_recall@10"] == 0
    assert rows["p-topfreq"]["repeated_recall@10"] > rows["g-topfreq"]["recall@10"]
    assert rows["tifu-knn"]["new_recall@10"] >= rows["g-topfreq"]["new_recall@10"] > 0
    assert rows["engine"]["recall@10"] > rows["g-topfreq"]["recall@10"]
    assert measured["customers"] == 60
    assert measured["items"] == 40


def test_reads_baskets_whose_lines_stand_apart(tmp_path: Path) -> None:
    path = tmp_path / "baskets.txt"
    path.write_text("a 1 tea\nb 7 soap\na 1 tea\n\na 2 soap\na 1 milk\n")
    found, n = read_baskets(path)
    assert n == 3
    assert found.lengths().tolist() == [3, 1]
    assert found.time.tolist() == [0, 0, DAY, DAY]


def test_who_has_too_few_baskets_is_in_no_window(tmp_path: Path) -> None:
    path = tmp_path / "baskets.txt"
    path.write_text("".join(f"a {basket} tea\n" for basket in range(9)) + "b 1 soap\n")
    found, _ = read_baskets(path)
    assert found.time.tolist() == [day * DAY for day in range(9)] + [4 * DAY], "the windows are days 5 to 7, 8 the test"


@pytest.mark.parametrize("text", ["a 1\n", "a 1 tea extra\n", "", "\n"])
def test_other_files_are_named_with_what_they_need(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baskets.txt"
    path.write_text(text)
    with pytest.raises(UnreadableFile, match="customer basket item"):
        read_baskets(path)


def test_too_little_says_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "baskets.txt"
    path.write_text("a 1 tea\na 2 tea\na 3 tea\n")
    with pytest.raises(NotEnoughData, match="1 customers have three baskets"):
        baskets(path)
    with pytest.raises(InvalidRequest, match="tifu-knn"):
        baskets(path, only=["tifu"])


def test_frequencies_count_baskets() -> None:
    histories = sequences_of([[0, 1, 0], [2]], times=[[0, 0, DAY], [DAY]])
    rows = np.array([0, 1])
    assert counted(histories, 3).toarray().tolist() == [[2, 1, 0], [0, 0, 1]]
    assert Frequency(histories, 3, "p").scores(rows).tolist() == [[2, 1, 0], [0, 0, 1]]
    mixed = Frequency(histories, 3, "gp").scores(rows)
    assert np.argsort(-mixed[1])[:2].tolist() == [2, 0]  # own first, then what everybody buys


def test_tifu_decays_within_and_between_groups() -> None:
    histories = sequences_of([[0, 1, 2]], times=[[0, DAY, 2 * DAY]])
    setting = Tifu(size=2, within=0.5, between=0.1, neighbours=5, own=1.0)
    # Newest group {2, 1}: 1/2 and 0.5/2; the older group {0} alone: 1. Both over two groups, the older times 0.1.
    assert TifuKnn(histories, 3, setting).scores(np.array([0]))[0].tolist() == pytest.approx([0.05, 0.125, 0.25])


def test_tifu_takes_what_the_nearest_customers_buy() -> None:
    histories = sequences_of([[0, 1], [0, 1, 2], [3]], times=[[0, 0], [0, 0, 0], [0]])
    scores = TifuKnn(histories, 4, Tifu(neighbours=1, own=0.5)).scores(np.array([0]))[0]
    assert scores[2] > 0
    assert scores[3] == 0


def test_a_record_is_written_and_read_back(tmp_path: Path) -> None:
    sequences = sequences_of([[0, 1, 0], [1]], times=[[0, 60, 9_000], [30]])
    dataset = Dataset(IdMap(["black tea", "milk"]), IdMap(["ann", "bob"]), sequences, Items(n=2))
    path = tmp_path / "out.gz"
    assert write_baskets(dataset, path) == 4
    text = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert sorted(text[:2]) == ["0 0 black_tea", "0 0 milk"]
    assert text[2:] == ["1 0 milk", "0 1 black_tea"]
    found, n = read_baskets(path)
    assert (len(found), n) == (2, 2)
