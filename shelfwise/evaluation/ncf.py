"""Neural collaborative filtering (He et al. 2017, arXiv:1708.05031): NeuMF, the baseline the description cites.

As in the paper: a generalised matrix factorisation and a multi-layer perceptron with tables of their own, joined in
one output layer; binary cross-entropy over observed pairs and four sampled negatives each; Adam.
Unlike the paper: a customer has no embedding. Both customer vectors are the mean of embeddings of the products in
the customer's last events (as in FISM, Kabbur et al. 2013), taken from tables apart from those of the candidates.
So it answers for customers it was not fitted on, and for the next event without training, as the Recommender
contract asks. In training the history is what came before the positive event.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.early_stopping import EarlyStopping
from shelfwise.metrics import Relevant
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import Floats, Longs, Sequences

_CELLS = 4_000_000  # hidden cells of one slice of the catalogue while scoring: 16 MB
_NEGATIVES = 4  # a positive; the paper finds 3 to 6 best
_CHECKS = 10  # how often the validation is looked at


class Ncf:
    """NeuMF as a Recommender.

    width: of the GMF vectors and, doubled, of the perceptron's input. steps: at most so many batches, a bound on
    time that keeps the result the same on every machine: 2,000 take about a minute on one core. seconds: a limit by
    the clock as well, for who cannot wait. history: newest events that make a customer.

    stopped_after: seconds, where `seconds` ended the last fit early; else None.
    """

    name = "ncf"

    def __init__(
        self,
        *,
        width: int = 32,
        steps: int = 2_000,
        batch: int = 1_024,
        learning_rate: float = 0.003,
        history: int = 50,
        seed: int = 0,
        seconds: float | None = None,
    ) -> None:
        self.width, self.steps, self.batch = width, steps, batch
        self.learning_rate, self.history, self.seed = learning_rate, history, seed
        self.seconds = seconds
        self.stopped_after: float | None = None
        self._network: _NeuMF | None = None

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn; with validation the best of ten checks of NDCG@10 is kept. Raises NotEnoughData without events."""
        if not train.rows or items.n < 2:
            raise NotEnoughData("ncf needs events and at least two products; load events first")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._learn(train, items.n, validation, progress)
        return self

    def _learn(self, train: Sequences, n: int, validation: Sequences | None, progress: Progress | None) -> None:
        random = np.random.default_rng(self.seed)
        network = self._network = _NeuMF(n, self.width)
        optimiser = torch.optim.SparseAdam(network.tables(), lr=self.learning_rate)
        dense = torch.optim.Adam(network.layers(), lr=self.learning_rate)
        validation_set = asked_customers(train, validation, 1_000, random)
        starts = np.repeat(train.offsets[:-1], train.lengths())
        # An epoch of a small shop is a few steps: no more than thirty of them.
        steps = min(self.steps, max(30 * train.rows // self.batch, 30))
        stopping = EarlyStopping(
            self, network, validation_set, steps=steps, times=_CHECKS, seconds=self.seconds, progress=progress
        )
        for step in range(steps):
            rows = random.integers(train.rows, size=self.batch)
            lows = np.maximum(starts[rows], rows - self.history)
            history, offsets = _slices(train.item, lows, rows)
            negatives = random.integers(n, size=(self.batch, _NEGATIVES))
            candidates = np.concatenate((train.item[rows][:, None], negatives), axis=1)
            customer = network.customers(history, offsets)
            logits = network.pairs(customer, torch.from_numpy(candidates.astype(np.int64)))
            wanted = torch.zeros_like(logits)
            wanted[:, 0] = 1.0
            loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted)
            optimiser.zero_grad()
            dense.zero_grad()
            loss.backward()
            optimiser.step()
            dense.step()
            if stopping.stop(step + 1, loss.item()):
                break
        stopping.keep_best()
        self.stopped_after = stopping.stopped_after

    @torch.inference_mode()
    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:  # noqa: ARG002 - it knows no time
        """float32 [len(histories), n]: the logit that the customer turns to the product."""
        if self._network is None:
            raise NotEnoughData("ncf has not been fitted; call fit first")
        recent = histories.last(self.history)
        customer = self._network.customers(recent.item.astype(np.int64), recent.offsets[:-1])
        return self._network.all_items(customer)


class _NeuMF(nn.Module):
    def __init__(self, n: int, width: int) -> None:
        super().__init__()
        d = width
        self.n = n
        self.gmf_customer, self.mlp_customer = (nn.EmbeddingBag(n, d, mode="mean", sparse=True) for _ in range(2))
        self.gmf_item, self.mlp_item = (nn.Embedding(n, d, sparse=True) for _ in range(2))
        for table in (self.gmf_customer, self.mlp_customer, self.gmf_item, self.mlp_item):
            nn.init.normal_(table.weight, std=0.05)
        # A tower, each layer half the one below. The first is split by its inputs, customer and item, so that the
        # item's share is computed once for all customers.
        self.first_customer, self.first_item = nn.Linear(d, d), nn.Linear(d, d, bias=False)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(d, d // 2), nn.ReLU(), nn.Linear(d // 2, d // 4), nn.ReLU())
        self.gmf_out, self.mlp_out = nn.Linear(d, 1), nn.Linear(d // 4, 1, bias=False)

    def tables(self) -> list[torch.Tensor]:
        return [t.weight for t in (self.gmf_customer, self.mlp_customer, self.gmf_item, self.mlp_item)]

    def layers(self) -> list[nn.Parameter]:
        tables = {id(weight) for weight in self.tables()}
        return [weight for weight in self.parameters() if id(weight) not in tables]

    def customers(self, item: npt.NDArray[np.int64], offsets: Longs) -> tuple[torch.Tensor, torch.Tensor]:
        """(gmf [b, d], mlp [b, d]); zeros for an empty history."""
        ids, starts = torch.from_numpy(item), torch.from_numpy(offsets)
        return self.gmf_customer(ids, starts), self.mlp_customer(ids, starts)

    def pairs(self, customer: tuple[torch.Tensor, torch.Tensor], item: torch.Tensor) -> torch.Tensor:
        """Logits [b, c] of candidates [b, c]."""
        gmf = self.gmf_out(customer[0].unsqueeze(1) * self.gmf_item(item))
        mlp = self.mlp_out(
            self.rest(self.first_customer(customer[1]).unsqueeze(1) + self.first_item(self.mlp_item(item)))
        )
        logits: torch.Tensor = (gmf + mlp).squeeze(-1)
        return logits

    def all_items(self, customer: tuple[torch.Tensor, torch.Tensor]) -> Floats:
        gmf = (customer[0] * self.gmf_out.weight) @ self.gmf_item.weight.T + self.gmf_out.bias
        logits: Floats = gmf.numpy()
        left, right = self.first_customer(customer[1]).unsqueeze(1), self.first_item(self.mlp_item.weight)
        width = max(_CELLS // max(left.numel(), 1), 1)
        for start in range(0, self.n, width):
            hidden = self.rest(left + right[start : start + width])
            logits[:, start : start + width] += self.mlp_out(hidden).squeeze(-1).numpy()
        return logits


def _slices(item: npt.NDArray[np.int32], lows: Longs, highs: Longs) -> tuple[npt.NDArray[np.int64], Longs]:
    """item[low:high] of every pair, one after the other, and where each begins."""
    lengths = highs - lows
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    rows = np.arange(offsets[-1]) + np.repeat(lows - offsets[:-1], lengths)
    return item[rows].astype(np.int64), offsets[:-1]


def asked_customers(
    train: Sequences, validation: Sequences | None, most: int, random: np.random.Generator
) -> tuple[Sequences, Relevant] | None:
    """Histories and what follows them, of at most `most` customers that have both; None without any."""
    if validation is None:
        return None
    chosen = np.flatnonzero((train.lengths() > 0) & (validation.lengths() > 0))
    if not len(chosen):
        return None
    chosen = np.sort(random.permutation(chosen)[:most])
    return train.select(chosen), Relevant.distinct(validation.select(chosen))
