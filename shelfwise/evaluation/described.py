"""The network Shelfwise was first described with, as a baseline.

A long short-term memory over behaviour (event type, product, price), a convolutional network over product
photos, both joined, dense layers with dropout and L1 and L2 penalties, softmax over the products; trained by
cross-entropy or by mean squared error, with SGD, Adam or RMSProp.

What the description leaves open, and how it is read here:
- The convolutional network learns from pixels, with the rest and from the same loss: three layers over thumbnails
  (`Items.pixels`) of the customer's newest products, whose means over places and photos go through a dense layer. What
  the photos' vectors (`Items.image`, EfficientNet-Lite0) tell is not read. A shop without photos has no photo branch.
- The softmax has one output a product, so that a product never bought in training cannot be recommended well. That is
  the description's limit, and why the network of `models/network.py` scores by item vectors.
- MSE compares the softmax with the one-hot target, summed over the products (a mean over them would vanish).
- Ratings it names are events of type `rate`; sequences keep no stars.
- Training is bounded by steps, not by epochs, and the softmax is whole: a large catalogue makes fewer, dearer steps,
  and so do many photos.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.early_stopping import EarlyStopping
from shelfwise.evaluation.ncf import asked_customers
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import Floats, Longs, Sequences
from shelfwise.schema import LEARNED_KINDS

_BATCH = 256
_CHECKS = 6  # how often the validation is looked at
_ASKED = 500  # customers of the validation, at most
_PHOTOS = 10  # newest products whose photos are looked at
_CHANNELS = (16, 32, 64)  # of the convolutions, each of which halves height and width
_WORK = 6e9  # softmax cells of a whole training (steps · batch · products): about a minute on one core
_PHOTO = 4_500  # softmax cells that take as long as a photo: 45 µs with the way back


class Described:
    """The described network as a Recommender.

    loss and optimizer: the ones the description names. l1, l2: penalties on the dense layers' weights.
    steps: at most; fewer for a large catalogue (a bound on work, so that the result is the same on every machine).
    seconds: a limit by the clock as well, for who cannot wait. history: newest events the LSTM reads.

    stopped_after: seconds, where `seconds` ended the last fit early; else None.
    """

    name = "described"

    def __init__(
        self,
        *,
        loss: Literal["cross_entropy", "mse"] = "cross_entropy",
        optimizer: Literal["adam", "rmsprop", "sgd"] = "adam",
        width: int = 64,
        dropout: float = 0.2,
        l1: float = 1e-7,
        l2: float = 1e-6,
        steps: int = 2_000,
        learning_rate: float | None = None,
        history: int = 20,
        seed: int = 0,
        seconds: float | None = None,
    ) -> None:
        self.loss, self.optimizer, self.width, self.dropout = loss, optimizer, width, dropout
        self.l1, self.l2, self.steps, self.history, self.seed = l1, l2, steps, history, seed
        self.learning_rate = learning_rate if learning_rate is not None else (0.5 if optimizer == "sgd" else 0.003)
        self.seconds = seconds
        self.stopped_after: float | None = None
        self._network: _LstmCnn | None = None

    @property
    def sees_photos(self) -> bool:
        """Whether the fitted network has its photo branch."""
        return self._network is not None and self._network.photos is not None

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn; with validation the best of six checks of NDCG@10 is kept. Raises NotEnoughData without events."""
        targets = _targets(train)
        if not len(targets) or items.n < 2:
            raise NotEnoughData("the described network needs customers with two events or more; load events first")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._learn(train, targets, items, validation, progress)
        return self

    def _learn(
        self, train: Sequences, targets: Longs, items: Items, validation: Sequences | None, progress: Progress | None
    ) -> None:
        random = np.random.default_rng(self.seed)
        network = self._network = _LstmCnn(items, self.width, self.dropout, price_scale=_price_scale(train))
        optimiser = self._optimiser(network)
        validation_set = asked_customers(train, validation, _ASKED, random)
        first = np.repeat(train.offsets[:-1], train.lengths())
        photos = 0 if network.photos is None else min(int(network.seen.sum()), _BATCH * _PHOTOS)
        bound = min(self.steps, int(_WORK / (_BATCH * items.n + _PHOTO * photos)) + 1)
        steps = min(bound, max(30 * len(targets) // _BATCH, 30))
        stopping = EarlyStopping(
            self, network, validation_set, steps=steps, times=_CHECKS, seconds=self.seconds, progress=progress
        )
        network.train()
        for step in range(steps):
            rows = targets[random.integers(len(targets), size=_BATCH)]
            logits = network(*_padded(train, np.maximum(first[rows], rows - self.history), rows))
            loss = self._loss(logits, torch.from_numpy(train.item[rows].astype(np.int64))) + self._penalty(network)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if stopping.stop(step + 1, loss.item()):
                break
        stopping.keep_best()
        self.stopped_after = stopping.stopped_after

    @torch.inference_mode()
    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:  # noqa: ARG002 - it knows no time
        """float32 [len(histories), n]: the logarithm of the softmax, up to a constant a row."""
        if self._network is None:
            raise NotEnoughData("the described network has not been fitted; call fit first")
        highs = histories.offsets[1:]
        lows = np.maximum(histories.offsets[:-1], highs - self.history)
        self._network.eval()
        logits: Floats = self._network(*_padded(histories, lows, highs)).numpy()
        return logits

    def _optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD(network.parameters(), lr=self.learning_rate, momentum=0.9)
        if self.optimizer == "rmsprop":
            return torch.optim.RMSprop(network.parameters(), lr=self.learning_rate)
        return torch.optim.Adam(network.parameters(), lr=self.learning_rate)

    def _loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self.loss == "cross_entropy":
            return nn.functional.cross_entropy(logits, target)
        # sum over products of (p - onehot)^2 = sum p^2 - 2 p[target] + 1, without the one-hot matrix.
        p = logits.softmax(1)
        return (p.square().sum(1) - 2 * p.gather(1, target[:, None]).squeeze(1) + 1).mean()

    def _penalty(self, network: _LstmCnn) -> torch.Tensor:
        weights = [layer.weight for layer in network.dense if isinstance(layer, nn.Linear)]
        return sum(
            (self.l1 * weight.abs().sum() + self.l2 * weight.square().sum() for weight in weights), torch.zeros(())
        )


class _LstmCnn(nn.Module):
    photos: torch.Tensor | None

    def __init__(self, items: Items, width: int, dropout: float, *, price_scale: tuple[float, float]) -> None:
        super().__init__()
        # The photos are no parameter and no part of the state: 92,000 products would be 280 MB in every copy.
        self.photos = None if items.pixels is None or not items.pixels.any() else torch.from_numpy(items.pixels)
        self.price_scale = price_scale
        self.item = nn.Embedding(items.n + 1, width, padding_idx=0)
        self.kind = nn.Embedding(LEARNED_KINDS + 1, 8, padding_idx=0)
        nn.init.normal_(self.item.weight, std=0.1)
        self.lstm = nn.LSTM(width + 8 + 1, width, batch_first=True)
        joined = width
        if self.photos is not None:
            self.seen = self.photos.flatten(1).any(1)
            self.convolution = _convolution()
            self.photo = nn.Sequential(nn.Linear(_CHANNELS[-1], width), nn.ReLU())
            joined += width
        self.dense = nn.Sequential(
            nn.Linear(joined, 2 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.out = nn.Linear(width, items.n)

    def forward(
        self, item: torch.Tensor, kind: torch.Tensor, price: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Logits [b, n] of histories [b, t], padded behind with 0 (ids and kinds are shifted by one)."""
        centre, scale = self.price_scale
        money = torch.where(price.isnan(), 0.0, (price.clamp(min=0).log1p() - centre) / scale)
        events = torch.cat((self.item(item), self.kind(kind), money.unsqueeze(2)), 2)
        states, _ = self.lstm(events)
        # The state after the last real event; nothing for an empty history.
        last = states[torch.arange(len(states)), (lengths - 1).clamp(min=0)] * (lengths > 0).unsqueeze(1)
        parts = [last]
        if self.photos is not None:
            parts.append(self.photo(self._shown(self.photos, item, lengths)))
        logits: torch.Tensor = self.out(self.dense(torch.cat(parts, 1)))
        return logits

    def _shown(self, photos: torch.Tensor, item: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[b, channels]: the mean of what the convolutions see on the photos of the newest events' products; zeros
        where none has a photo. A photo that many histories share is looked at once."""
        position = torch.arange(item.shape[1])
        newest = (position < lengths[:, None]) & (position >= lengths[:, None] - _PHOTOS)
        row, at = torch.nonzero(newest & self.seen[(item - 1).clamp(min=0)], as_tuple=True)
        distinct, place = torch.unique(item[row, at] - 1, return_inverse=True)
        pixels = photos[distinct].permute(0, 3, 1, 2).float() / 127.5 - 1
        maps = self.convolution(pixels).mean((2, 3))
        # As a product of matrices, so that the same seed gives the same weights on any number of threads.
        cells = torch.bincount(row * len(distinct) + place, minlength=len(item) * len(distinct))
        share = cells.view(len(item), len(distinct)).float()
        mean: torch.Tensor = share / share.sum(1, keepdim=True).clamp(min=1) @ maps
        return mean


def _convolution() -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels_in, channels_out in pairwise((3, *_CHANNELS)):
        layers += [nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def _targets(train: Sequences) -> Longs:
    """Rows that have an event of the same customer before them: what the network learns to foretell."""
    first = np.zeros(train.rows + 1, np.bool_)
    first[train.offsets[:-1]] = True
    return np.flatnonzero(~first[: train.rows]).astype(np.int64)


def _padded(
    sequences: Sequences, lows: Longs, highs: Longs
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows low:high of each pair as (item, kind, price: [b, t]; lengths [b])."""
    lengths = highs - lows
    rows = lows[:, None] + np.arange(lengths.max(initial=1))
    real = rows < highs[:, None]
    rows = np.where(real, rows, 0)
    if not sequences.rows:
        blank = torch.zeros(rows.shape, dtype=torch.int64)
        return blank, blank, torch.full(rows.shape, float("nan")), torch.from_numpy(lengths)
    item = np.where(real, sequences.item[rows].astype(np.int64) + 1, 0)
    kind = np.where(real, sequences.kind[rows].astype(np.int64) + 1, 0)
    price = np.where(real, sequences.price[rows], np.float32(np.nan))
    return torch.from_numpy(item), torch.from_numpy(kind), torch.from_numpy(price), torch.from_numpy(lengths)


def _price_scale(train: Sequences) -> tuple[float, float]:
    """Mean and spread of log(1 + price); (0, 1) where no price is known."""
    known: npt.NDArray[np.float64] = np.log1p(train.price[~np.isnan(train.price)].clip(min=0).astype(np.float64))
    return (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)
