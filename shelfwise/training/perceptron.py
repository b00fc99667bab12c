"""Fits a `Perceptron` to questions: listwise softmax (Cao et al. 2007), each question's right candidates against all
of its candidates."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from shelfwise.models.perceptron import REACH, Perceptron
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Floats
from shelfwise.training.adam import AdamW
from shelfwise.training.fit_ranker import Questions

HIDDEN = 64
_EPOCHS = 6
_BATCH = 64  # questions
_RATE, _DECAY = 0.01, 0.03


def fit_perceptron(
    questions: Questions,
    *,
    hidden: int = HIDDEN,
    epochs: int = _EPOCHS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Perceptron | None:
    """None where no question has a right candidate. A question with many right ones counts as the root of their
    number, so that large baskets teach more, and do not decide alone."""
    offsets = questions.offsets
    right = np.add.reduceat(np.append(questions.relevance, False).astype(np.int64), offsets[:-1]) * (
        np.diff(offsets) > 0
    )
    useful = np.flatnonzero(right > 0)
    if not len(useful):
        return None
    mean = questions.features.mean(axis=0)
    spread = questions.features.std(axis=0) + np.float32(1e-6)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    width = questions.features.shape[1]
    network = nn.Sequential(
        nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1)
    )
    optimizer = AdamW(network.parameters(), _RATE, decay=_DECAY)
    batches = -(-len(useful) // _BATCH)
    for epoch in range(epochs):
        order = random.permutation(useful)
        for place in range(batches):
            optimizer.rate = _RATE * (1 - (epoch * batches + place) / (epochs * batches))
            chosen = order[place * _BATCH : (place + 1) * _BATCH]
            optimizer.forget()
            _loss(network, questions, chosen, mean, spread).backward()
            optimizer.step()
        if progress:
            progress(epoch + 1, epochs, "learning what goes with what")
    layers = [
        (
            np.ascontiguousarray(layer.weight.detach().numpy().T, np.float32),
            layer.bias.detach().numpy().astype(np.float32),
        )
        for layer in network
        if isinstance(layer, nn.Linear)
    ]
    return Perceptron(mean.astype(np.float32), spread.astype(np.float32), layers)


def _loss(
    network: nn.Module,
    questions: Questions,
    chosen: np.ndarray[tuple[int], np.dtype[np.int64]],
    mean: Floats,
    spread: Floats,
) -> torch.Tensor:
    sizes = np.diff(questions.offsets)[chosen]
    starts = questions.offsets[chosen]
    rows = np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    owner = torch.from_numpy(np.repeat(np.arange(len(chosen)), sizes))
    values = np.clip((questions.features[rows] - mean) / spread, -REACH, REACH)
    scores = network(torch.from_numpy(values)).squeeze(1)
    relevance = torch.from_numpy(questions.relevance[rows].astype(np.float32))
    highest = torch.full((len(chosen),), -torch.inf).scatter_reduce(0, owner, scores.detach(), "amax")
    whole = torch.zeros(len(chosen)).index_add(0, owner, torch.exp(scores - highest[owner])).log() + highest
    right = torch.zeros(len(chosen)).index_add(0, owner, relevance)
    weight = right.clamp(min=1) ** -0.5
    loss: torch.Tensor = -((scores - whole[owner]) * relevance * weight[owner]).sum() / len(chosen)
    return loss
