"""Trains the network: `NetworkRecommender` keeps the Recommender contract around it.

What it remembers is counted (`training/factorisation.py`), what it learns is trained, on its own, by softmax over the
whole catalogue, or a corrected sample of it where that is too much work. (Trained on top of what is remembered it
learns nothing useful: the counts hold the very targets it trains on.) Every event is a target once an epoch; batches
are of histories alike in length, so that next to nothing is padding. The learning rate falls to nothing over the
planned epochs or minutes, whichever comes first. After each epoch both parts are joined as validation likes best
(`training/fusion.py`); its NDCG@10 says when to stop and which epoch to keep, what is remembered alone being epoch 0.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from shelfwise.errors import NotEnoughData
from shelfwise.metrics import Relevant
from shelfwise.models.network import Network, NetworkConfig
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import Floats, Longs, Sequences, distinct
from shelfwise.settings import Settings
from shelfwise.training.adam import AdamW
from shelfwise.training.checkpoint import Checkpoint, fingerprint
from shelfwise.training.factorisation import remember
from shelfwise.training.fusion import ScoreFusion, share_of
from shelfwise.training.memory import reused_memory
from shelfwise.training.network_module import NetworkModule, batch_of
from shelfwise.training.softmax import CHUNK, softmax_loss

_WHOLE = 200_000  # products up to which the softmax is over the whole catalogue, if the work allows
_WORK = 6e13  # multiply-adds of one epoch's softmax up to which it does: about two minutes of two cores in bfloat16
_DRAWN = 4_096  # products drawn a step where it does not
_STEPS = 150  # steps an epoch should have, if the batch may be as small as that
_SMALLEST, _LARGEST = 512, 4_096  # targets of a batch
_WATCHED = 5_000  # customers on whom an epoch is validated
_PATIENCE = 3  # epochs in which neither both parts nor the learned one alone got better before stopping
_WARM = 0.03  # share of training in which the learning rate rises
_TICKS = 64  # the clock is read so coarsely that it changes nothing where the epochs end first
_LAYERS = "2026-12"  # since when the layers have their names: a checkpoint with others is no way on
_FORGET = 0.1  # share of positions at which the time to the answer is hidden
_BETAS = (0.9, 0.98)
_HIDDEN = 128  # dimensions of what is learned, unless the remembered has fewer
_MEASURED = 1_000  # customers whose vectors say how large such vectors are
_UNWATCHED = 4.0  # weight of the remembered part without validation
_REPEATS = 0.01  # share of events on products the customer had before, from which on answers may repeat
_COUNTED = ("ahead", "memory", "recall.")  # what training does not change


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What validation chose; given to a new recommender it fits in the same way without validation (--refit)."""

    epochs: int
    weight: float  # of the remembered part, see `training/fusion.py`
    keep: float


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One line of a learning curve. ndcg: NDCG@10 on validation, NaN without; learned: that of the learned part alone;
    items_per_second: targets learned."""

    epoch: int
    loss: float
    ndcg: float
    items_per_second: float
    seconds: float
    learned: float = math.nan


class NetworkRecommender:
    """The network as a Recommender. After `fit`: `network`, `curve` (a list of Epoch), `plan`.

    config: the shape; None derives it from settings and products. checkpoint_folder: an epoch's end is kept there, and
    a fit interrupted before goes on from it; None keeps nothing. keep: leave the last epoch there when the fit is over,
    so that the same fit, asked for again, is answered with it. plan: train as an earlier fit ended up doing.
    """

    name = "network"

    def __init__(
        self,
        settings: Settings,
        config: NetworkConfig | None = None,
        checkpoint_folder: Path | None = None,
        *,
        keep: bool = False,
        plan: Plan | None = None,
    ) -> None:
        self.settings = settings
        self.config = config
        self.plan = plan
        self.curve: list[Epoch] = []
        self.network: Network | None = None
        self.earlier = 0.0  # seconds of the fit that an interrupted process spent
        self._folder = checkpoint_folder
        self._keep = keep
        self._given = plan
        self._until = 0

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn. Raises NotEnoughData where no customer has two events."""
        if not len(train) or int(train.lengths().max(initial=0)) < 2:
            raise NotEnoughData("no customer has two events, and from one alone nothing follows; load more events")
        threads = torch.get_num_threads()
        torch.set_num_threads(self.settings.threads or os.cpu_count() or 1)
        try:
            with torch.random.fork_rng():
                _Training(self, train, items, validation, progress).run()
        finally:
            torch.set_num_threads(threads)
        self._until = int(train.time.max())
        return self

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:
        """float32 [len(histories), n_items]."""
        assert self.network is not None, "fit first"
        if now is None:
            now = np.full(len(histories), self._until, np.int64)
        scores: Floats = self.network.encode(histories, now) @ self.network.item_vectors().T
        return scores


def config_of(settings: Settings, items: Items) -> NetworkConfig:
    """The shape that settings and data give."""
    prices = None if items.price is None else items.price[np.isfinite(items.price)]
    logs = np.log1p(prices) if prices is not None and len(prices) else np.zeros(1)
    width = math.ceil(settings.width / 8) * 8  # so that it divides by heads and by rates
    return NetworkConfig(
        items=items.n,
        width=width,
        hidden=min(width, _HIDDEN),
        tower=settings.network,
        history=settings.history,
        dropout=settings.dropout,
        text=0 if items.text is None else items.text.shape[1],
        image=0 if items.image is None else items.image.shape[1],
        categories=0 if items.category is None else int(max(items.category.max(initial=-1) + 1, 0)),
        brands=0 if items.brand is None else int(max(items.brand.max(initial=-1) + 1, 0)),
        prices=prices is not None and len(prices) > 0,
        price_mean=float(logs.mean()),
        price_spread=float(max(logs.std(), 0.1)),
    )


class _Training:
    """One fit, from start to the best epoch."""

    def __init__(
        self,
        model: NetworkRecommender,
        train: Sequences,
        items: Items,
        validation: Sequences | None,
        progress: Progress | None,
    ) -> None:
        self.model, self.settings = model, model.settings
        self.train, self.items, self.validation, self.progress = train, items, validation, progress
        self.config = model.config or config_of(model.settings, items)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.half = self.device.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
        self.watched = _watched(train, validation, self.settings.seed)
        self.epochs = self.settings.epochs if model._given is None else model._given.epochs
        self.targets = int(np.maximum(train.lengths() - 1, 0).sum())
        self.batch = int(np.clip(self.targets / _STEPS, _SMALLEST, _LARGEST))
        self.count = np.bincount(train.item, minlength=items.n)
        work = 6.0 * self.targets * items.n * self.config.hidden
        # Content stands in for products that were never chosen. As negatives they would teach it that products like
        # them are never chosen, so they are left out of the softmax.
        self.offered = self.count > 0 if self.config.content else np.ones(items.n, np.bool_)
        self.drawn = 0 if items.n <= _WHOLE and work <= _WORK else min(_DRAWN, items.n)
        self.shown_again = _repeats(train)
        logits = min(CHUNK, 2 * self.batch * (2 * (self.batch + self.drawn) if self.drawn else items.n))
        self.room = torch.empty(logits, dtype=torch.bfloat16 if self.half else torch.float32, device=self.device)
        self.done = 0.0  # seconds of earlier runs of this fit

    def run(self) -> None:
        model = self.model
        description = self.config.to_json(), self.settings.model_dump_json(), repr(model._given), _LAYERS
        mark = fingerprint(self.train, self.items, self.validation, *description)
        kept = None if model._folder is None else Checkpoint.open(model._folder, mark)
        resumed = None if kept is None else kept.read()
        network = self._begin(None if resumed is None else resumed[1]["counted"])
        optimizer = AdamW(
            network.parameters(), self.settings.learning_rate, decay=self.settings.weight_decay, betas=_BETAS
        )

        def keep() -> None:
            if kept is not None:
                facts = {
                    "epoch": model.curve[-1].epoch,
                    "best": best_epoch,
                    "seconds": self.done + time.perf_counter() - started,
                    "curve": [asdict(one) for one in model.curve],
                }
                states = {"now": _learned(network), "best": best, "optimizer": optimizer.state()}
                kept.write(facts, states | {"counted": _counted(network)})

        if resumed is not None:
            first, best_epoch, best = self._resume(network, optimizer, resumed)
        else:
            first, best_epoch, best = 1, 0, _learned(network)
            ndcg = math.nan if self.watched is None else self.fusion.remembered
            self._note(Epoch(epoch=0, loss=math.nan, ndcg=ndcg, items_per_second=0.0, seconds=0.0))
        # The clock starts here: a limit that is not reached changes nothing, however long counting took.
        started = time.perf_counter()
        if resumed is None:
            keep()
        for number in range(first, self.epochs + 1):
            if self._stale(number - 1) or self._share(started, number - 1.0) >= 1:
                break
            before = [line.ndcg for line in model.curve]
            line = self._epoch(network, optimizer, number, started)
            self._note(line)
            if self.watched is None or line.ndcg > max(before):
                best_epoch, best = number, _learned(network)
            keep()
        network.load_state_dict(best, strict=False)
        network.to("cpu").attach(self.items)
        there = np.flatnonzero(self.train.lengths())
        model.network = network.frozen().measured(self.train.select(there[:: max(1, len(there) // _MEASURED)]))
        if self.watched is not None:
            model.plan = Plan(epochs=best_epoch, weight=_weight(network.share), keep=float(network.keep))
        model.earlier = self.done
        if kept is not None and not model._keep:
            kept.clear()

    def _begin(self, counted: dict[str, Tensor] | None) -> NetworkModule:
        """A network that remembers (what an earlier run counted, if given) and has learned nothing yet."""
        model, given = self.model, self.model._given
        torch.manual_seed(self.settings.seed)
        network = NetworkModule(self.config, self.items)
        with torch.no_grad():
            if counted is None:
                self._tell(0, 1, "factorising co-occurrence")
                remember(network, self.train, self.settings.seed)
            else:
                network.load_state_dict(counted, strict=False)
            network.begin(torch.from_numpy(self.count))
            if given is not None:
                network.keep.fill_(given.keep)
            weight = math.inf if self.epochs == 0 or self.watched is not None else _UNWATCHED
            network.share.copy_(torch.tensor(share_of(given.weight if given is not None and given.epochs else weight)))
        network = network.to(self.device)
        network.attach(self.items)
        self.network, model.config, model.curve = network, self.config, []
        return network

    @cached_property
    def fusion(self) -> ScoreFusion:
        """Made when first asked: a fit that is over needs none."""
        assert self.watched is not None
        histories, relevant = self.watched
        return ScoreFusion(self.network, histories, relevant, _next(histories), repeats=self.shown_again)

    def _epoch(self, network: NetworkModule, optimizer: AdamW, number: int, started: float) -> Epoch:
        network.train()
        torch.manual_seed(self.settings.seed * 100_003 + number)
        random = np.random.default_rng((self.settings.seed, number))
        begun = time.perf_counter()
        learned, summed = 0, 0.0
        batches = list(self._batches(random))
        with reused_memory():
            for place, rows in enumerate(batches):
                share = self._share(started, number - 1 + place / len(batches))
                if share >= 1:
                    break
                optimizer.rate = self.settings.learning_rate * min(1.0, (share + 1e-4) / _WARM) * max(1 - share, 0.02)
                loss, size = self._step(network, rows, random)
                optimizer.forget()
                loss.backward()
                optimizer.step()
                learned += size
                summed += float(loss.detach()) * size
                if place % 10 == 0:
                    speed = learned / max(time.perf_counter() - begun, 1e-9)
                    status = (
                        f"epoch {number}/{self.epochs}, loss {summed / learned:.3f}, {speed:,.0f} items/s{self._best()}"
                    )
                    self._tell((number - 1) * len(batches) + place, self.epochs * len(batches), status)
        seconds = time.perf_counter() - begun
        line = Epoch(
            epoch=number,
            loss=summed / max(learned, 1),
            ndcg=math.nan,
            items_per_second=learned / max(seconds, 1e-9),
            seconds=seconds,
        )
        if self.watched is None:
            return line
        choice = self.fusion.choose(network)
        network.share.copy_(torch.tensor(share_of(choice.weight)))
        return replace(line, ndcg=choice.ndcg, learned=choice.learned)

    def _step(
        self, network: NetworkModule, rows: tuple[Longs, Longs], random: np.random.Generator
    ) -> tuple[Tensor, int]:
        starts, lengths = rows
        window, follows = _windows(self.train, starts, lengths)
        batch = batch_of(window, self.train.time[starts + lengths])
        hidden = torch.from_numpy(random.random(batch.elapsed.shape) < _FORGET)
        batch = replace(batch, elapsed=batch.elapsed.masked_fill(hidden, 0))
        batch = batch.to(self.device)
        target = torch.from_numpy(self.train.item[follows].astype(np.int64)).to(self.device)
        if self.drawn:
            chance = (self.count + 1.0) * self.offered
            chance /= chance.sum()
            drawn = torch.from_numpy(random.choice(len(chance), self.drawn, p=chance))
            seen = torch.unique(torch.cat((target.cpu(), drawn)))
            kept = chance[seen.numpy()]
            missed = np.exp(self.drawn * np.log1p(-kept) + len(target) * np.log1p(-kept))
            stands = torch.from_numpy((1 / np.maximum(1 - missed, 1e-6)).astype(np.float32)).to(self.device)
            need = torch.unique(torch.cat((seen, batch.item.cpu().flatten())))
            table = network.vectors_of(need.to(self.device))
            place = torch.searchsorted(need, batch.item.cpu()).to(self.device)
            rest = torch.searchsorted(need, seen).to(self.device)
            query = network(batch, embedding(place, table))
            target = torch.searchsorted(seen, target.cpu()).to(self.device)
            loss = softmax_loss(query, embedding(rest, table), target, share=stands, half=self.half, room=self.room)
        else:
            table = network.vectors_of()
            query = network(batch, embedding(batch.item, table))
            offered = None if self.offered.all() else torch.from_numpy(self.offered.astype(np.float32)).to(self.device)
            loss = softmax_loss(query, table, target, share=offered, half=self.half, room=self.room)
        return loss, len(target)

    def _batches(self, random: np.random.Generator) -> Iterator[tuple[Longs, Longs]]:
        """(first rows, lengths) of histories, every event but each customer's first a target exactly once.

        Longer sequences than `history` are cut at places that differ from epoch to epoch.
        """
        most = self.config.history
        starts: list[Longs] = []
        lengths: list[Longs] = []
        inputs = self.train.lengths() - 1
        short = (inputs > 0) & (inputs <= most)
        starts.append(self.train.offsets[:-1][short])
        lengths.append(inputs[short])
        for customer in np.flatnonzero(inputs > most):
            first = int(random.integers(1, most + 1))
            cuts = np.concatenate(([0], np.arange(first, inputs[customer], most), [inputs[customer]]))
            starts.append(self.train.offsets[customer] + cuts[:-1])
            lengths.append(np.diff(cuts))
        begin, size = np.concatenate(starts), np.concatenate(lengths)
        order = np.argsort(size + random.random(len(size)), kind="stable")
        ends = np.cumsum(size[order])
        groups = np.split(order, np.flatnonzero(np.diff(ends // self.batch)) + 1)
        for group in random.permutation(len(groups)):
            yield begin[groups[group]], size[groups[group]]

    def _resume(
        self,
        network: NetworkModule,
        optimizer: AdamW,
        resumed: tuple[dict[str, Any], dict[str, dict[str, Tensor]]],
    ) -> tuple[int, int, dict[str, Tensor]]:
        facts, tensors = resumed
        network.load_state_dict(tensors["now"], strict=False)
        optimizer.restore(tensors.get("optimizer", {}))  # empty before the first epoch
        self.model.curve = [Epoch(**line) for line in facts["curve"]]
        self.done = facts["seconds"]
        return facts["epoch"] + 1, facts["best"], tensors["best"]

    def _share(self, started: float, epochs: float) -> float:
        """How much of the training is over, 0 to 1, in epochs or in minutes."""
        share = epochs / self.epochs
        if self.settings.minutes:
            passed = (self.done + time.perf_counter() - started) / (60 * self.settings.minutes)
            share = max(share, math.floor(passed * _TICKS) / _TICKS)
        return share

    def _stale(self, epoch: int) -> bool:
        """Has nothing got better for long?"""
        if self.watched is None or epoch <= _PATIENCE:
            return False
        earlier, newest = self.model.curve[:-_PATIENCE], self.model.curve[-_PATIENCE:]
        return all(
            max(getattr(line, merit) for line in newest) <= max(getattr(line, merit) for line in earlier[start:])
            for merit, start in (("ndcg", 0), ("learned", 1))
        )

    def _note(self, line: Epoch) -> None:
        self.model.curve.append(line)
        if math.isnan(line.loss):  # nothing was learned yet: what co-occurrence alone is worth
            status = f"epoch {line.epoch}/{self.epochs}, start measured{self._best()}"
        else:
            status = f"epoch {line.epoch}/{self.epochs} done, loss {line.loss:.3f}{self._best()}"
        self._tell(line.epoch, self.epochs, status)

    def _best(self) -> str:
        seen = [line.ndcg for line in self.model.curve if not math.isnan(line.ndcg)]
        return f", validation NDCG@10 {seen[-1]:.4f}, best {max(seen):.4f}" if seen else ""

    def _tell(self, done: int, total: int, status: str) -> None:
        if self.progress is not None:
            self.progress(done, total, status)


def _watched(train: Sequences, validation: Sequences | None, seed: int) -> tuple[Sequences, Relevant] | None:
    """Histories and what followed, of customers with both; a random part where there are many."""
    if validation is None or not validation.rows:
        return None
    both = np.flatnonzero((train.lengths() > 0) & (validation.lengths() > 0))
    if not len(both):
        return None
    if len(both) > _WATCHED:
        both = np.sort(np.random.default_rng(seed).choice(both, _WATCHED, replace=False))
    return train.select(both), Relevant.distinct(validation.select(both))


def _repeats(train: Sequences) -> bool:
    """Do customers come back to the same product?"""
    owner = np.repeat(np.arange(len(train)), train.lengths())
    pairs = len(distinct(owner * (int(train.item.max(initial=0)) + 1) + train.item))
    return train.rows - pairs > _REPEATS * train.rows


def _windows(train: Sequences, starts: Longs, lengths: Longs) -> tuple[Sequences, Longs]:
    """The histories that begin at these rows, and for each of their events the row of the one that follows."""
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    window = Sequences(
        offsets=offsets,
        item=train.item[rows],
        kind=train.kind[rows],
        time=train.time[rows],
        price=train.price[rows],
    )
    return window, rows + 1


def _next(histories: Sequences) -> Longs:
    """A second after each history's last event: validation tells no better when the next one was due."""
    last = histories.offsets[1:] - 1
    return histories.time[last] + 1


def _weight(share: Tensor) -> float:
    """The weight that gave this share."""
    learned, remembered = share.tolist()
    return float(remembered / learned) if learned else math.inf


def _learned(network: NetworkModule) -> dict[str, Tensor]:
    """A copy of what training changes."""
    return {
        name: value.detach().clone() for name, value in network.state_dict().items() if not name.startswith(_COUNTED)
    }


def _counted(network: NetworkModule) -> dict[str, Tensor]:
    """The rest."""
    return {name: value for name, value in network.state_dict().items() if name.startswith(_COUNTED)}
