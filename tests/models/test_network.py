from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwise.models.network import Network, NetworkConfig
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Sequences, sequences_of, steps_back
from shelfwise.models.towers import gap_bucket
from shelfwise.training.network_module import NetworkModule

Tower = Literal["lstm", "gru", "transformer"]
TOWERS: tuple[Tower, ...] = ("lstm", "gru", "transformer")
PARTS = ("text", "image", "category", "brand", "price")
N = 9
RANDOM = np.random.default_rng(0)
FACTS: dict[str, Any] = {
    "text": RANDOM.normal(size=(N, 6)).astype(np.float32),
    "image": RANDOM.normal(size=(N, 5)).astype(np.float32),
    "category": np.array([0, 1, 2, -1, 0, 1, 2, 0, 1], np.int32),
    "brand": np.array([1, 0, -1, 1, 1, 0, 0, 1, 0], np.int32),
    "price": np.array([1, 2, np.nan, 4, 5, 6, 7, 80, 0], np.float32),
}
SIZES: dict[str, dict[str, Any]] = {
    "text": {"text": 6},
    "image": {"image": 5},
    "category": {"categories": 3},
    "brand": {"brands": 2},
    "price": {"prices": True, "price_mean": 1.2, "price_spread": 0.8},
}


def config(parts: tuple[str, ...] = (), tower: Tower = "gru", **more: Any) -> NetworkConfig:
    sizes: dict[str, Any] = {}
    for part in parts:
        sizes |= SIZES[part]
    return NetworkConfig(**({"items": N, "width": 16, "hidden": 12, "history": 7, "tower": tower} | sizes | more))


def lively(shape: NetworkConfig, items: Items | None = None, *, keep: float = 0.6) -> NetworkModule:
    """A network of which every weight is at work: a new one remembers nothing yet."""
    torch.manual_seed(0)
    network = NetworkModule(shape, items)
    with torch.no_grad():
        network.keep.fill_(keep)
        for weights in (*network.parameters(), network.ahead, network.memory):
            if weights.dim() > 1:
                weights.normal_(std=0.4)
        network.share.copy_(torch.tensor([1.5, 0.5]))
    return network


def histories(lengths: list[int], seed: int = 0) -> Sequences:
    random = np.random.default_rng(seed)
    made = sequences_of(
        [random.integers(N, size=length).tolist() for length in lengths],
        kinds=[random.integers(6, size=length).tolist() for length in lengths],
        times=[np.cumsum(random.integers(0, 100_000, size=length)).tolist() for length in lengths],
    )
    price = random.uniform(0, 50, made.rows).astype(np.float32)
    price[random.random(made.rows) < 0.3] = np.nan
    return replace(made, price=price)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a network is slower with two, and many times slower where they wait for a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def subsets() -> list[tuple[str, ...]]:
    return list(chain.from_iterable(combinations(PARTS, size) for size in range(len(PARTS) + 1)))


@pytest.mark.parametrize("parts", subsets(), ids=lambda parts: "+".join(parts) or "none")
def test_any_part_of_a_product_may_be_absent(parts: tuple[str, ...]) -> None:
    facts = {part: FACTS[part] for part in parts}
    module = lively(config(parts), Items(n=N, **facts))
    network = module.frozen()
    assert network.config.content == bool(parts)
    vectors = network.item_vectors()
    assert vectors.shape == (N, 12 + 16)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    ids = module.id.detach().numpy()
    # What is known of a product without an id, plus the id's own vector, is the learned vector of the product.
    told = network.item_vector_of(**facts)
    assert told.dtype == np.float32
    if parts:
        assert told.shape == (N, 12 + 16)
        assert not np.allclose(vectors[:, :12], ids)
        assert told[:, 12:].any()
    np.testing.assert_allclose(ids + told[:, :12], vectors[:, :12], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(vectors[:, 12:], module.memory.numpy())
    # Of a part that this network never saw it can say nothing, and takes it without complaint.
    np.testing.assert_allclose(network.item_vector_of(**FACTS), told + np.zeros((N, 28)), rtol=1e-6, atol=1e-6)


def test_what_is_unknown_of_a_product_counts_nothing() -> None:
    module = lively(config(PARTS), Items(n=N, **FACTS))
    with torch.no_grad():
        for content in (module.content, module.recall):
            for part in (content.category, content.brand):
                assert part is not None
                part.weight[0] = 0  # as nn.Embedding's padding index begins and training leaves it
    network = module.frozen()
    nothing = network.item_vector_of(
        text=np.zeros((1, 6), np.float32),
        image=np.zeros((1, 5), np.float32),
        category=np.array([-1], np.int32),
        brand=np.array([-1], np.int32),
        price=np.array([np.nan], np.float32),
    )
    np.testing.assert_array_equal(nothing, np.zeros((1, 28)))
    np.testing.assert_array_equal(network.item_vector_of(), np.zeros((1, 28)))
    whole = network.item_vector_of(**{name: value[:2] for name, value in FACTS.items()})
    parts = [network.item_vector_of(**{name: value[:2]}) for name, value in FACTS.items()]
    np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-5, atol=1e-5)


def test_a_catalogue_that_lost_a_part_is_still_read() -> None:
    module = lively(config(PARTS), Items(n=N, category=FACTS["category"]))
    network = module.frozen()
    told = network.item_vector_of(category=FACTS["category"])
    ids = module.id.detach().numpy()
    np.testing.assert_allclose(network.item_vectors()[:, :12], ids + told[:, :12], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tower", TOWERS)
def test_a_customer_remembers_a_fading_sum_of_what_follows_and_one_moment_is_one_step(tower: Tower) -> None:
    network = lively(config(tower=tower), keep=0.25).frozen()
    ahead = network.ahead
    found = network.encode(sequences_of([[3, 5, 7, 1]], times=[[0, 60, 60, 90]]))
    expected = 0.5 * (ahead[1] + 0.25 * (ahead[7] + ahead[5]) + 0.25**2 * ahead[3])
    np.testing.assert_allclose(found[0, 12:], expected, rtol=1e-5, atol=1e-6)


def test_steps_back_count_moments_of_one_customer() -> None:
    some = sequences_of([[1, 2, 3], [], [4], [5, 6, 7, 8]], times=[[0, 0, 9], [], [9], [1, 2, 2, 2]])
    assert steps_back(some).tolist() == [1, 1, 0, 0, 1, 0, 0, 0]
    assert steps_back(sequences_of([])).tolist() == []


def test_what_counts_nothing_is_not_in_the_customers_vector() -> None:
    module = lively(config())
    asked = histories([4, 2])
    whole = module.frozen().encode(asked)
    module.share.copy_(torch.tensor([0.0, 0.5]))
    network = module.frozen()
    for found in (network.encode(asked), np.concatenate([network.encode(asked.select(np.array([i]))) for i in (0, 1)])):
        assert not found[:, :12].any()
        np.testing.assert_allclose(found[:, 12:], whole[:, 12:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tower", TOWERS)
class TestEncode:
    @given(lengths=st.lists(st.integers(0, 11), min_size=1, max_size=8), seed=st.integers(0, 99))
    @settings(max_examples=8)
    def test_who_else_is_in_the_batch_does_not_matter(self, tower: Tower, lengths: list[int], seed: int) -> None:
        network = lively(config(PARTS, tower), Items(n=N, **FACTS)).frozen()
        asked = histories(lengths, seed)
        now = np.random.default_rng(seed).integers(1_200_000, 9_000_000, len(asked))
        together = network.encode(asked, now)
        assert together.shape == (len(asked), 28)
        assert together.dtype == np.float32
        for at, length in enumerate(lengths):
            alone = network.encode(asked.select(np.array([at])), now[at : at + 1])[0]
            np.testing.assert_allclose(alone, together[at], rtol=1e-3, atol=1e-5)
            assert alone.any() == (length > 0)

    def test_many_are_encoded_in_slices(self, tower: Tower) -> None:
        network = lively(config(tower=tower)).frozen()
        asked = histories(np.random.default_rng(1).integers(0, 12, 600).tolist())
        found = network.encode(asked)
        order = np.random.default_rng(2).permutation(600)
        np.testing.assert_allclose(network.encode(asked.select(order)), found[order], rtol=1e-3, atol=1e-5)
        for at in (0, 299, 599):
            alone = network.encode(asked.select(np.array([at])))[0]
            np.testing.assert_allclose(alone, found[at], rtol=1e-3, atol=1e-5)

    def test_the_newest_are_read_of_a_long_history(self, tower: Tower) -> None:
        network = lively(config(tower=tower), keep=0.98).frozen()
        assert network.reads == 200
        asked = histories([230, 8, 7])
        found = network.encode(asked)
        np.testing.assert_array_equal(network.encode(asked.last(200)), found)
        np.testing.assert_array_equal(network.encode(asked.last(7))[:, :12], found[:, :12])
        for unread, part in ((30, slice(0, 28)), (230 - 7, slice(0, 12))):
            old, new = asked.item.copy(), asked.item.copy()
            old[:unread] = (old[:unread] + 1) % N
            new[unread] = (new[unread] + 1) % N
            np.testing.assert_array_equal(network.encode(replace(asked, item=old))[:, part], found[:, part])
            read = network.encode(replace(asked, item=new))[0, part]
            assert (read != found[0, part]).any()

    def test_order_type_and_time_all_tell(self, tower: Tower) -> None:
        network = lively(config(tower=tower)).frozen()
        asked = histories([5])
        now = np.array([asked.time[-1] + 60])
        found = network.encode(asked, now)
        for changed in (
            network.encode(replace(asked, item=asked.item[::-1].copy()), now),
            network.encode(replace(asked, kind=(asked.kind + 1) % 6), now),
            network.encode(replace(asked, time=asked.time * 64), now * 64),
            network.encode(asked, now + 864_000),
            network.encode(asked),
        ):
            assert not np.allclose(changed, found)

    def test_nobody_and_nothing_give_zeros(self, tower: Tower) -> None:
        network = lively(config(tower=tower)).frozen()
        np.testing.assert_array_equal(network.encode(sequences_of([[], []])), np.zeros((2, 28)))
        assert network.encode(sequences_of([])).shape == (0, 28)

    def test_tensors_make_the_same_network_again(self, tower: Tower) -> None:
        network = lively(config(PARTS, tower), Items(n=N, **FACTS)).frozen()
        tensors = network.tensors()
        assert all(isinstance(value, np.ndarray) for value in tensors.values())
        again = Network.from_tensors({name: value.copy() for name, value in tensors.items()})
        asked = histories([0, 3, 7, 20])
        now = np.full(4, 5_000_000)
        assert again.config == network.config
        np.testing.assert_array_equal(again.item_vectors(), network.item_vectors())
        np.testing.assert_allclose(again.encode(asked, now), network.encode(asked, now), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(again.item_vector_of(**FACTS), network.item_vector_of(**FACTS))
        for name, value in again.tensors().items():
            np.testing.assert_array_equal(value, tensors[name])

    def test_products_that_came_later_are_read_by_their_vector(self, tower: Tower) -> None:
        module = lively(config(tower=tower))
        module.ahead[[4, 2]] = 0  # nothing is remembered of what came later
        network = module.frozen()
        vectors = network.item_vectors()
        known, late = sequences_of([[1, 4, 2]]), sequences_of([[1, N, N + 1]])
        behind = np.concatenate((vectors, vectors[[4, 2]]))
        np.testing.assert_allclose(network.encode(late, vectors=behind), network.encode(known), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(network.encode(known, vectors=behind), network.encode(known))


def test_a_bundle_with_the_layers_older_names_answers_alike() -> None:
    older = {"elapsed": "asked", "input_norm": "enter", "output_proj": "leave", "position": "place", "norm1": "before"}
    older |= {"qkv_proj": "look", "out_proj": "gather", "norm2": "between", "fc1": "think", "fc2": "say"}
    network = lively(config(tower="transformer")).frozen()
    tensors = {
        ".".join(older.get(part, part) for part in name.split(".")): value for name, value in network.tensors().items()
    }
    assert "tower.steps.0.look.weight" in tensors
    some = histories([4, 2])
    np.testing.assert_array_equal(Network.from_tensors(tensors).encode(some), network.encode(some))


def test_tensors_of_something_else_are_refused() -> None:
    tensors = NetworkModule(config()).frozen().tensors()
    for missing in ("config", "vectors", "ahead"):
        with pytest.raises(ValueError, match="not a network"):
            Network.from_tensors({name: value for name, value in tensors.items() if name != missing})
    with pytest.raises(ValueError, match="not a network"):
        Network.from_tensors(tensors | {"ahead": np.zeros((N, 3), np.float32)})


def test_customers_tell_how_large_vectors_are() -> None:
    network, asked = lively(config()).frozen(), histories([4, 9, 2])
    measured = network.measured(asked)
    np.testing.assert_allclose(measured.spread, np.sqrt(np.mean(network.encode(asked) ** 2, axis=0)), rtol=1e-5)
    np.testing.assert_array_equal(network.spread, np.ones(28))


def test_a_config_survives_json() -> None:
    shape = config(PARTS, "transformer")
    assert NetworkConfig.from_json(shape.to_json()) == shape
    assert NetworkConfig.from_json(shape.to_json()[:-1] + ', "layers": 1}') == shape  # as bundles said before
    with pytest.raises(TypeError, match="layers"):
        NetworkConfig.from_json(shape.to_json()[:-1] + ', "layers": 2}')


def test_gaps_fall_into_powers_of_two() -> None:
    seconds = np.array([-5, 0, 1, 2, 3, 4, 1023, 1024, 2**62])
    assert gap_bucket(seconds).tolist() == [1, 1, 2, 3, 3, 4, 11, 12, 39]
