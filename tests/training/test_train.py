"""Training of the network: the loss, the optimisers, stopping, going on after a kill."""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from torch.nn.functional import cross_entropy

from shelfwise.errors import NotEnoughData
from shelfwise.metrics import Relevant, ranking
from shelfwise.models.recommender import Items, recommend
from shelfwise.models.sequences import Sequences, sequences_of
from shelfwise.schema import EventType
from shelfwise.serve.web.console.training import fits_of
from shelfwise.settings import Settings
from shelfwise.training import network as train
from shelfwise.training import softmax
from shelfwise.training.adam import AdamW
from shelfwise.training.checkpoint import Checkpoint
from shelfwise.training.network import NetworkRecommender, Plan, config_of
from shelfwise.training.softmax import softmax_loss

N = 12
VIEW, BUY = EventType.VIEW_ITEM.code, EventType.PURCHASE.code
ITEMS = Items(n=N, price=np.linspace(1, 9, N, dtype=np.float32))
LEARNED = Plan(epochs=20, weight=0.0, keep=0.6)  # nothing remembered counts


def settings(**more: Any) -> Settings:
    return Settings(**({"width": 16, "epochs": 6, "threads": 1, "learning_rate": 0.02, "dropout": 0.1} | more))


def board(customers: int = 120, seed: int = 0, length: int = 9) -> Sequences:
    """After a look comes an even product, after a purchase an odd one: which product it was tells nothing, so that
    counting pairs cannot know it."""
    random = np.random.default_rng(seed)
    kinds = random.choice([VIEW, BUY], (customers, length))
    items = 2 * random.integers(N // 2, size=(customers, length))
    items[:, 1:] += kinds[:, :-1] == BUY
    return sequences_of(items.tolist(), kinds=kinds.tolist())


def split(sequences: Sequences) -> tuple[Sequences, Sequences]:
    """All but each customer's last event, and that one."""
    last = np.zeros(sequences.rows, np.bool_)
    last[sequences.offsets[1:] - 1] = True
    return sequences.take(~last), sequences.take(last)


def merit(model: NetworkRecommender, histories: Sequences, after: Sequences) -> float:
    ids, _ = recommend(model, histories, 10)
    return float(np.nanmean(ranking(ids, Relevant.distinct(after), (10,))["ndcg@10"]))


@pytest.mark.parametrize("tower", ["lstm", "gru", "transformer"])
def test_learns_what_counting_cannot_know(tower: str) -> None:
    model = NetworkRecommender(settings(network=tower, learning_rate=0.05), plan=LEARNED).fit(board(), ITEMS)
    losses = [line.loss for line in model.curve[1:]]
    assert [line.epoch for line in model.curve] == list(range(21))
    assert math.isnan(model.curve[0].loss)
    assert losses[-1] < losses[0] - 0.2
    assert losses[-1] < math.log(N)  # better than knowing nothing
    new = board(60, seed=9)
    ids, _ = recommend(model, new, 3)
    odd = new.kind[new.offsets[1:] - 1] == BUY
    assert (ids % 2 == odd[:, None]).mean() > 0.95


def pairs(customers: int = 300, n: int = 200, seed: int = 0) -> Sequences:
    """A product's follower is always the same one, and few customers know it: what counting is best at."""
    random = np.random.default_rng(seed)
    follower = np.random.default_rng(7).permutation(n)
    rows = []
    for _ in range(customers):
        first = random.integers(n, size=2).tolist()
        rows.append([first[0], int(follower[first[0]]), first[1], int(follower[first[1]])])
    return sequences_of(rows)


def test_validation_says_which_part_counts() -> None:
    shops = {"learned": board(), "remembered": pairs()}
    weights = {}
    for best, shop in shops.items():
        past, after = split(shop)
        model = NetworkRecommender(settings(epochs=8)).fit(past, Items(n=200), validation=after)
        assert model.plan is not None
        kept = model.curve[model.plan.epochs]
        assert kept.ndcg == max(line.ndcg for line in model.curve)
        alone = {"learned": kept.learned, "remembered": model.curve[0].ndcg}
        assert kept.ndcg >= max(value for value in alone.values() if not math.isnan(value))
        weights[best] = model.plan.weight
        # What a whole catalogue's scores say is what the candidates of both parts said.
        asked = past.time[past.offsets[1:] - 1] + 1
        ids, _ = recommend(model, past, 10, now=asked, exclude_seen=best == "remembered")
        merit = float(np.nanmean(ranking(ids, Relevant.distinct(after), (10,))["ndcg@10"]))
        assert merit == pytest.approx(kept.ndcg, abs=1e-3)
    assert weights["learned"] < weights["remembered"]


def test_a_fit_lowers_the_loss() -> None:
    model = NetworkRecommender(settings(learning_rate=0.01, weight_decay=0.001, epochs=20)).fit(board(), ITEMS)
    losses = [line.loss for line in model.curve[1:]]
    assert len(losses) == 20
    assert losses[-1] < losses[0]
    assert np.isfinite(model.scores(board(5))).all()


def test_the_optimiser_is_torchs_adamw() -> None:
    torch.manual_seed(0)
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    other.load_state_dict(one.state_dict())
    ours = AdamW(one.parameters(), 0.1, decay=0.01, betas=(0.8, 0.95))
    theirs = torch.optim.AdamW(other.parameters(), 0.1, betas=(0.8, 0.95), weight_decay=0.01)
    for step in range(5):
        batch = torch.randn(4, 3)
        for layer, optimizer in ((one, ours), (other, theirs)):
            optimizer.forget() if isinstance(optimizer, AdamW) else optimizer.zero_grad()
            layer(batch).square().sum().backward()
            optimizer.step()
        if step == 2:  # as after a restart
            again = AdamW(one.parameters(), 0.1, decay=0.01, betas=(0.8, 0.95))
            again.restore({name: value.clone() for name, value in ours.state().items()})
            ours = again
    for layer_part, other_part in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(layer_part, other_part)


def test_the_best_epoch_is_kept_and_training_stops() -> None:
    # A rate that is far too high: after its first epochs the network gets worse.
    past, after = split(board())
    told: list[str] = []
    model = NetworkRecommender(settings(learning_rate=0.5, epochs=60))
    model.fit(past, ITEMS, validation=after, progress=lambda _done, _total, status: told.append(status))
    seen = [line.ndcg for line in model.curve]
    assert model.plan is not None
    assert model.plan.epochs == int(np.argmax(seen))
    assert model.plan.epochs < len(seen) - 1 < 60
    assert f"best {max(seen):.4f}" in told[-1]
    # The kept network answers as it did in its best epoch (asked as validation asks: a moment after the last event).
    histories = past
    ids, _ = recommend(model, histories, 10, now=past.time[past.offsets[1:] - 1] + 1)
    best = float(np.nanmean(ranking(ids, Relevant.distinct(after), (10,))["ndcg@10"]))
    assert best == pytest.approx(max(seen), abs=1e-6)


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_plan_is_followed_without_validation(epochs: int) -> None:
    plan = Plan(epochs=epochs, weight=2.0, keep=0.4)
    model = NetworkRecommender(settings(), plan=plan).fit(board(), ITEMS)
    assert [line.epoch for line in model.curve] == list(range(epochs + 1))
    assert all(math.isnan(line.ndcg) for line in model.curve)
    assert model.plan == plan
    assert model.network is not None
    assert (model.network.learned, model.network.remembered) == ((1.0, 2.0) if epochs else (0.0, 8.0))
    assert model.network.tensors()["keep"] == pytest.approx(0.4)
    assert np.isfinite(model.scores(board(5))).all()


def test_minutes_end_training_before_its_epochs() -> None:
    model = NetworkRecommender(settings(epochs=10_000, minutes=0.01)).fit(board(), ITEMS)
    assert len(model.curve) - 1 < 10_000
    assert np.isfinite(model.scores(board(5))).all()


def test_data_from_which_nothing_follows_is_refused() -> None:
    for nothing in (sequences_of([]), sequences_of([[], []]), sequences_of([[1], [2]])):
        with pytest.raises(NotEnoughData, match="two events"):
            NetworkRecommender(settings()).fit(nothing, ITEMS)


def test_two_events_are_enough() -> None:
    model = NetworkRecommender(settings(epochs=1)).fit(sequences_of([[3, 4]]), Items(n=N))
    assert np.isfinite(model.scores(sequences_of([[3], []]))).all()


def test_long_histories_are_cut_and_every_event_is_a_target() -> None:
    past = sequences_of([[(c + step) % N for step in range(length)] for c, length in enumerate([2, 1, 7, 23, 0, 40])])
    training = train._Training(NetworkRecommender(settings(history=7)), past, ITEMS, None, None)
    wanted = np.setdiff1d(np.arange(past.rows), past.offsets[:-1])
    cuts = set()
    for seed in range(5):
        targets: list[int] = []
        for starts, lengths in training._batches(np.random.default_rng(seed)):
            assert lengths.max() <= 7
            window, follows = train._windows(past, starts, lengths)
            assert window.lengths().tolist() == lengths.tolist()
            np.testing.assert_array_equal(past.item[follows], (window.item + 1) % N)
            targets += follows.tolist()
            cuts.add(tuple(sorted(starts.tolist())))
        assert sorted(targets) == wanted.tolist()
    assert len(cuts) > 1  # the cuts move from epoch to epoch


def test_products_without_history_stand_by_their_content() -> None:
    # Two kinds of products, two kinds of customers; product 11 and 10 were never bought.
    category = (np.arange(N) % 2).astype(np.int32)
    random = np.random.default_rng(0)
    past = sequences_of([(2 * random.integers(5, size=6) + c % 2).tolist() for c in range(120)])
    items = Items(n=N, category=category, category_names=("Bath", "Tea"))
    model = NetworkRecommender(settings(epochs=4)).fit(past, items)
    assert model.network is not None
    scores = model.scores(sequences_of([[0, 2, 4], [1, 3, 5]]))
    assert scores[0, 10] > scores[0, 11]
    assert scores[1, 11] > scores[1, 10]
    vectors = model.network.item_vectors()
    np.testing.assert_allclose(model.network.item_vector_of(category=category[10:]), vectors[10:], atol=1e-6)


# The kill

CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_train as here

def progress(done, total, status):
    if status.startswith("epoch 3/") and "done" in status:  # the checkpoint of epoch 2 is written, that of 3 not
        os.kill(os.getpid(), signal.SIGKILL)

model = here.NetworkRecommender(here.settings(), None, Path(sys.argv[2]))
past, after = here.split(here.board())
model.fit(past, here.ITEMS, validation=after, progress=progress)
"""


def killed(folder: Path) -> None:
    """A fit that is killed at the end of its third epoch."""
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(folder)]
    # pytest's own variables stay out: the child is a plain Python.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", "epoch-2.safetensors"]


def resumed(folder: Path | None) -> tuple[NetworkRecommender, list[str]]:
    told: list[str] = []
    past, after = split(board())
    model = NetworkRecommender(settings(), None, folder)
    model.fit(past, ITEMS, validation=after, progress=lambda _done, _total, status: told.append(status))
    return model, told


def test_a_killed_fit_goes_on_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    killed(tmp_path)
    model, told = resumed(tmp_path)
    begun = {status.split(",")[0].removesuffix(" done") for status in told if status.startswith("epoch")}
    assert not begun & {"epoch 0/6", "epoch 1/6", "epoch 2/6"}
    assert "epoch 3/6" in begun
    assert not list(tmp_path.iterdir())  # it is through: nothing to go on from
    whole, _ = resumed(None)
    assert [line.epoch for line in model.curve] == [line.epoch for line in whole.curve]
    assert model.plan == whole.plan
    for one, other in zip(model.curve[1:], whole.curve[1:], strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-4)
        assert one.ndcg == pytest.approx(other.ndcg, abs=1e-3)
    past, _ = split(board())
    np.testing.assert_allclose(model.scores(past), whole.scores(past), rtol=1e-2, atol=1e-3)


def test_a_checkpoint_that_is_torn_or_of_other_data_is_not_gone_on_from(tmp_path: Path) -> None:
    killed(tmp_path)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for torn in ("epoch-2.safetensors", "checkpoint.json"):
        for name, whole in kept.items():
            (tmp_path / name).write_bytes(whole[: len(whole) // 2] if name == torn else whole)
        model, told = resumed(tmp_path)
        assert any(status.startswith("epoch 1/6") for status in told)
        assert model.curve[-1].epoch == len(model.curve) - 1
    for name, whole in kept.items():
        (tmp_path / name).write_bytes(whole)
    other = NetworkRecommender(settings(epochs=2), None, tmp_path).fit(board(seed=1), ITEMS)
    assert [line.epoch for line in other.curve] == [0, 1, 2]


# The loss


def made(rows: int = 50, products: int = 37, width: int = 8, scale: float = 1.0, seed: int = 0) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    query = torch.randn(rows, width, generator=random) * scale
    vectors = torch.randn(products, width, generator=random)
    return [query, vectors, torch.randint(products, (rows,), generator=random)]


def graded(loss: Any, query: torch.Tensor, vectors: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    """Value and both gradients."""
    query, vectors = query.clone().requires_grad_(), vectors.clone().requires_grad_()
    value = loss(query, vectors, target)
    (3 * value).backward()
    assert query.grad is not None
    assert vectors.grad is not None
    return [value.detach(), query.grad, vectors.grad]


def whole(query: torch.Tensor, vectors: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return cross_entropy(query @ vectors.T, target)


@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0, 8.0, 50.0])  # within one shift, with one, and each row with its own
@pytest.mark.parametrize("chunk", [1, 37 * 7, 64_000_000])
def test_chunks_are_the_cross_entropy_of_torch(scale: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "CHUNK", chunk)
    for ours, theirs in zip(graded(softmax_loss, *made(scale=scale)), graded(whole, *made(scale=scale)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("height", [5.0, 40.0, 65.0, 90.0, 119.0, 300.0])
@pytest.mark.parametrize("share", [False, True])
def test_a_customer_far_from_all_products_has_a_finite_loss(height: float, share: bool) -> None:
    query = torch.tensor([[-height, 0.0], [height, 0.0]])
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.99, 0.0]])
    ones = torch.ones(3) if share else None

    def ours(*given: torch.Tensor) -> torch.Tensor:
        return softmax_loss(*given, share=ones)

    target = torch.tensor([0, 2])
    for found, exact in zip(graded(ours, query, vectors, target), graded(whole, query, vectors, target), strict=True):
        torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-4)


def test_bfloat16_is_close() -> None:
    exact = graded(whole, *made(rows=400, products=200, width=32, scale=0.5))
    half = graded(lambda *given: softmax_loss(*given, half=True), *made(rows=400, products=200, width=32, scale=0.5))
    assert float(half[0]) == pytest.approx(float(exact[0]), rel=5e-3)
    for ours, theirs in zip(half[1:], exact[1:], strict=True):
        assert ours.dtype == torch.float32
        assert float(torch.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)) > 0.999
        assert float(ours.norm()) == pytest.approx(float(theirs.norm()), rel=0.01)


@pytest.mark.parametrize("size", [10, 37 * 50, 5_000])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_room_for_logits_changes_nothing(size: int, scale: float) -> None:
    room = torch.full((size,), math.nan)
    roomy = graded(lambda *given: softmax_loss(*given, room=room), *made(scale=scale))
    for ours, theirs in zip(roomy, graded(softmax_loss, *made(scale=scale)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert bool(room.isnan().all()) == (size < 37 * 50)


def test_a_sample_of_everything_is_the_whole() -> None:
    ones = torch.ones(37)
    for ours, theirs in zip(
        graded(lambda *given: softmax_loss(*given, share=ones), *made()), graded(whole, *made()), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_corrected_sample_expects_the_whole_sum() -> None:
    """exp(loss + logit of the target) is the sum over the catalogue; over many draws its mean is the true one."""
    query, vectors, target = made(rows=1, products=30, seed=3)
    chance = torch.linspace(0.1, 0.9, 30)
    random = torch.Generator().manual_seed(0)
    logit = (query @ vectors[target].T).squeeze()
    sums = []
    for _ in range(4_000):
        drawn = torch.rand(30, generator=random) < chance
        drawn[target] = True  # the target is always there, and counts once
        place = drawn.nonzero().squeeze(1)
        at = torch.searchsorted(place, target)
        sums.append(float((softmax_loss(query, vectors[place], at, share=1 / chance[place]) + logit).exp()))
    exact = float((query @ vectors.T).exp().sum())
    error = float(np.std(sums)) / math.sqrt(len(sums))
    assert abs(float(np.mean(sums)) - exact) < 4 * error
    assert error < 0.02 * exact


def test_a_fit_by_sampling_learns_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    n, past = 200, board()
    items = Items(n=n)  # most of them never bought: only by the correction do they weigh little enough
    full = NetworkRecommender(settings(learning_rate=0.05), plan=LEARNED).fit(past, items)
    monkeypatch.setattr(train, "_WHOLE", 0)
    monkeypatch.setattr(train, "_DRAWN", 60)
    sampled = NetworkRecommender(settings(learning_rate=0.05), plan=LEARNED).fit(past, items)
    for model in (full, sampled):
        ids, _ = recommend(model, past, 3)
        odd = past.kind[past.offsets[1:] - 1] == BUY
        assert (ids < N).all()
        assert (ids % 2 == odd[:, None]).mean() > 0.95
    assert sampled.curve[-1].loss == pytest.approx(full.curve[-1].loss, rel=0.1)


def test_a_fit_in_bfloat16_is_close_to_one_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = []
    for half in (False, True):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda half=half: {"avx512_bf16": half})
        curves.append(NetworkRecommender(settings()).fit(board(), ITEMS).curve[1:])
    for one, other in zip(*curves, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=0.02)


# The shape


def test_the_shape_comes_from_settings_and_data() -> None:
    items = Items(
        n=3,
        text=np.zeros((3, 7), np.float32),
        category=np.array([-1, 4, 2], np.int32),
        brand=np.full(3, -1, np.int32),
        price=np.array([np.nan, math.e - 1, math.e - 1], np.float32),
    )
    shape = config_of(settings(width=21, network="transformer", history=5), items)
    assert asdict(shape) | {"price_mean": round(shape.price_mean, 5)} == asdict(shape) | {
        "items": 3, "width": 24, "hidden": 24, "tower": "transformer", "history": 5, "text": 7, "image": 0,
        "categories": 5, "brands": 0, "prices": True, "price_mean": 1.0, "price_spread": 0.1,
    }  # fmt: skip
    assert not config_of(settings(), Items(n=3, price=np.full(3, np.nan, np.float32))).content


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: training on a GPU is not tested here")
def test_a_gpu_learns_what_a_cpu_learns(tmp_path: Path) -> None:
    past, after = split(board())
    model = NetworkRecommender(settings(epochs=20), None, tmp_path).fit(past, ITEMS, validation=after)
    assert model.network is not None
    assert merit(model, past, after) > model.curve[0].ndcg
    killed(tmp_path)
    assert resumed(tmp_path)[0].curve[-1].epoch > 2


def test_before_the_first_epoch_no_loss_is_told() -> None:
    """What a newcomer reads first is what the start is worth, not `loss nan`."""
    told: list[str] = []
    before, after = split(board())
    model = NetworkRecommender(settings(epochs=2))
    model.fit(before, ITEMS, validation=after, progress=lambda _done, _total, status: told.append(status))
    assert not [status for status in told if "nan" in status]
    starts = [status for status in told if "start measured" in status]
    assert starts
    assert all("validation NDCG@10" in status for status in starts)
    (fit,) = fits_of([{"what": status, "done": 1, "total": 2} for status in told])
    assert 0.0 in fit.ndcg


def test_a_full_disk_under_a_checkpoint_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an error of safetensors, whose writer tells it as one of its own."""

    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("shelfwise.training.checkpoint.save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        Checkpoint.open(tmp_path / "work", "mark").write({"epoch": 1}, {"now": {"weight": torch.zeros(2)}})
    assert caught.value.errno == errno.ENOSPC
    assert not list((tmp_path / "work").glob("*.safetensors"))
