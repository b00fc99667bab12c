"""One history in NumPy against the same history in torch."""

import numpy as np
import pytest
import torch

from shelfwise.models.network import Network, NetworkConfig
from shelfwise.models.sequences import Sequences

N, WIDTH, HISTORY = 40, 24 + 32, 12


def network(*, trained: bool) -> Network:
    torch.manual_seed(1)
    made = Network(NetworkConfig(items=N, width=32, hidden=24, history=HISTORY))
    with torch.no_grad():
        made.ahead.normal_(std=0.3)
        made.share.copy_(torch.tensor([0.7 if trained else 0.0, 1.3]))
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    made.thaw()
    return made


def histories(random: np.random.Generator, lengths: list[int], n: int = N) -> Sequences:
    rows = sum(lengths)
    gaps = np.exp(random.uniform(0, 16, rows)).astype(np.int64) * (random.random(rows) > 0.2)
    return Sequences(
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        item=random.integers(n, size=rows).astype(np.int32),
        kind=random.integers(5, size=rows).astype(np.int8),
        time=1_600_000_000 + np.cumsum(gaps),
        price=np.where(random.random(rows) < 0.3, np.nan, random.exponential(10, rows)).astype(np.float32),
        quantity=np.ones(rows, np.float32),
    )


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_one_history_gives_what_torch_gives(trained: bool, asked: bool) -> None:
    made, random = network(trained=trained), np.random.default_rng(2)
    many = histories(random, [1, 2, 5, HISTORY, 3 * HISTORY, 7, 0])
    now = np.full(len(many), many.time.max() + 90_000) if asked else None
    together = made.encode(many, now)
    for place in range(len(many)):
        alone = made.encode(many.select(slice(place, place + 1)), None if now is None else now[:1])
        assert alone.shape == (1, WIDTH)
        assert alone.dtype == np.float32
        np.testing.assert_allclose(alone[0], together[place], atol=1e-4, rtol=1e-4)
    assert not together[-1].any()
    assert np.abs(together[:-1, 24:]).max() > 0.1
    assert (np.abs(together[:-1, :24]).max() > 0.1) == trained


def test_products_that_came_later_are_read_by_their_vectors() -> None:
    made, random = network(trained=True), np.random.default_rng(3)
    many = histories(random, [6, 9], n=N + 5)
    assert (many.item >= N).any()
    vectors = np.vstack((made.item_vectors(), random.standard_normal((5, WIDTH)).astype(np.float32)))
    together = made.encode(many, vectors=vectors)
    for place in range(2):
        alone = made.encode(many.select(slice(place, place + 1)), vectors=vectors)
        np.testing.assert_allclose(alone[0], together[place], atol=1e-4, rtol=1e-4)


def test_weights_that_change_are_read_again() -> None:
    made, random = network(trained=True), np.random.default_rng(4)
    one = histories(random, [HISTORY])
    before = made.encode(one)
    with torch.no_grad():
        made.tower.leave.bias.add_(1.0)
    made.thaw()
    before[:, :24] += 0.7
    np.testing.assert_allclose(made.encode(one), before, atol=1e-4, rtol=1e-4)
