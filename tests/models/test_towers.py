"""What NumPy answers against what torch trains."""

import numpy as np
import pytest
import torch

from shelfwise.models.network import Network, NetworkConfig
from shelfwise.models.sequences import Sequences
from shelfwise.training.network_module import NetworkModule

N, HIDDEN, WIDTH, HISTORY = 40, 24, 24 + 32, 12
TOWERS = ("lstm", "gru", "transformer")


def module(tower: str, *, trained: bool = True) -> NetworkModule:
    torch.manual_seed(1)
    made = NetworkModule(NetworkConfig(items=N, width=32, hidden=HIDDEN, history=HISTORY, tower=tower))
    with torch.no_grad():
        made.ahead.normal_(std=0.3)
        made.share.copy_(torch.tensor([0.7 if trained else 0.0, 1.3]))
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return made.eval()


def told_by_torch(made: NetworkModule, many: Sequences, now: np.ndarray | None, vectors: np.ndarray) -> np.ndarray:
    """The customers' vectors as training reckons them."""
    learned, remembered = made.share.tolist()
    with torch.inference_mode():
        states = made.learned(many, now, torch.from_numpy(vectors[:, :HIDDEN].copy())) * learned
        recalled = made.recalled(many, float(made.keep)) * remembered
    return torch.cat((states, recalled), dim=1).numpy()


def histories(random: np.random.Generator, lengths: list[int], n: int = N) -> Sequences:
    rows = sum(lengths)
    gaps = np.exp(random.uniform(0, 16, rows)).astype(np.int64) * (random.random(rows) > 0.2)
    return Sequences(
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        item=random.integers(n, size=rows).astype(np.int32),
        kind=random.integers(5, size=rows).astype(np.int8),
        time=1_600_000_000 + np.cumsum(gaps),
        price=np.where(random.random(rows) < 0.3, np.nan, random.exponential(10, rows)).astype(np.float32),
    )


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("asked", [True, False])
def test_one_and_many_histories_give_what_torch_gives(tower: str, asked: bool) -> None:
    made = module(tower)
    served, random = made.frozen(), np.random.default_rng(2)
    many = histories(random, [1, 2, 5, HISTORY, 3 * HISTORY, 7, 300])
    now = np.full(len(many), many.time.max() + 90_000) if asked else None
    expected = told_by_torch(made, many.last(served.reads), now, served.item_vectors())
    assert np.abs(expected).max(axis=0).min() > 0.01  # every dimension is at work
    found = served.encode(many, now)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)
    for place in range(len(many)):
        alone = served.encode(many.select(slice(place, place + 1)), None if now is None else now[:1])
        assert alone.shape == (1, WIDTH)
        assert alone.dtype == np.float32
        np.testing.assert_allclose(alone[0], expected[place], atol=1e-4, rtol=1e-4)


def test_what_was_never_learned_counts_nothing() -> None:
    served, random = module("transformer", trained=False).frozen(), np.random.default_rng(2)
    many = histories(random, [4, 0, 6])
    found = served.encode(many)
    assert not found[:, :HIDDEN].any()
    assert found[:, HIDDEN:].any(axis=1).tolist() == [True, False, True]


@pytest.mark.parametrize("tower", TOWERS)
def test_products_that_came_later_are_read_by_their_vectors(tower: str) -> None:
    made, random = module(tower), np.random.default_rng(3)
    served, many = made.frozen(), histories(random, [6, 9], n=N + 5)
    assert (many.item >= N).any()
    vectors = np.vstack((served.item_vectors(), random.standard_normal((5, WIDTH)).astype(np.float32)))
    expected = told_by_torch(made, many, None, vectors)
    np.testing.assert_allclose(served.encode(many, vectors=vectors), expected, atol=1e-4, rtol=1e-4)
    for place in range(2):
        alone = served.encode(many.select(slice(place, place + 1)), vectors=vectors)
        np.testing.assert_allclose(alone[0], expected[place], atol=1e-4, rtol=1e-4)


def test_what_is_served_is_what_a_bundle_keeps() -> None:
    served, many = module("transformer").frozen(), histories(np.random.default_rng(4), [HISTORY, 3])
    again = Network.from_tensors(served.tensors())
    np.testing.assert_array_equal(again.encode(many), served.encode(many))
