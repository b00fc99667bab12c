"""How much what the network learned counts, and how much what it remembers: chosen on validation.

Scores of both parts add up, so the choice is one weight. It is tried on each question's candidates, the best of either
part; a product that is among the best of the sum is among the best of a part, but for rare exceptions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shelfwise.metrics import Relevant, ranking
from shelfwise.models.sequences import Longs, Sequences
from shelfwise.training.network_module import NetworkModule

_KEEPS = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
#: Of the remembered part, the learned one counting 1; without end: nothing learned counts.
_WEIGHTS = (0.0, *(2.0**power for power in range(-3, 13)), math.inf)
_MOST = 8.0  # by which the remembered part counts: its scores are then about as far apart as log-odds
_CANDIDATES = 100  # of each part
_FIRST = 500  # questions on which `keep` is chosen
_BATCH = 128
_K = 10


@dataclass(frozen=True, kw_only=True)
class Joined:
    """ndcg: NDCG@10 of both parts with the best weight. learned: of the learned part alone. weight: that weight."""

    ndcg: float
    learned: float
    weight: float


class ScoreFusion:
    """Questions of the validation, and what the remembered part says to them.

    histories: of at least one event each; relevant: what followed; now: int64 [b], when asked. open_to: may answers
    hold what a history holds? The network's `keep` is chosen and set.
    """

    def __init__(
        self, network: NetworkModule, histories: Sequences, relevant: Relevant, now: Longs, *, repeats: bool
    ) -> None:
        self._histories, self._relevant, self._now, self._repeats = histories, relevant, now, repeats
        first = np.arange(min(_FIRST, len(histories)))
        some, wanted = histories.select(first), relevant.select(first)
        merits = [self._merit(self._remembered(network, some, keep)[0][:, :_K], wanted) for keep in _KEEPS]
        self.keep = _KEEPS[int(np.argmax(merits))]
        network.keep.fill_(self.keep)
        self._ids, self._scores, self._query = self._remembered(network, histories, self.keep)
        self.remembered = self._merit(self._ids[:, :_K], relevant)

    @torch.inference_mode()
    def choose(self, network: NetworkModule) -> Joined:
        """How good the network is now, and with which weight."""
        network.eval()
        vectors = network.vectors_of()
        ids: list[Tensor] = []
        learned: list[Tensor] = []
        remembered: list[Tensor] = []
        for part in self._parts(len(self._histories)):
            query = network.learned(self._histories.select(part), self._now[part], vectors)
            scores = self._closed(query @ vectors.T, part)
            best, top = torch.topk(scores, min(_CANDIDATES, scores.shape[1]), dim=1)
            other = self._ids[part].to(top.device)
            best[(top[:, :, None] == other[:, None, :]).any(-1)] = -torch.inf  # it is among the others already
            recalled = torch.bmm(network.memory[top], self._query[part].to(top.device)[:, :, None]).squeeze(2)
            ids.append(torch.cat((other, top), dim=1).cpu())
            learned.append(torch.cat((scores.gather(1, other), best), dim=1).cpu())
            remembered.append(torch.cat((self._scores[part], recalled.cpu()), dim=1))
        all_ids, all_learned, all_remembered = torch.cat(ids), torch.cat(learned), torch.cat(remembered)
        there = torch.isfinite(all_learned) & torch.isfinite(all_remembered)
        merits = []
        for weight in _WEIGHTS:
            total = all_remembered if math.isinf(weight) else all_learned + weight * all_remembered.nan_to_num(neginf=0)
            best, place = torch.topk(torch.where(there, total, -torch.inf), min(_K, total.shape[1]), dim=1)
            chosen = torch.where(torch.isfinite(best), all_ids.gather(1, place), -1)
            merits.append(self._merit(chosen, self._relevant))
        place_of_best = int(np.argmax(merits))
        return Joined(ndcg=merits[place_of_best], learned=merits[0], weight=_WEIGHTS[place_of_best])

    @torch.inference_mode()
    def _remembered(self, network: NetworkModule, histories: Sequences, keep: float) -> tuple[Tensor, Tensor, Tensor]:
        """(ids int64 [b, c], scores [b, c], customer vectors [b, width]) of the remembered part's best candidates."""
        ids: list[Tensor] = []
        best: list[Tensor] = []
        queries: list[Tensor] = []
        for part in self._parts(len(histories)):
            query = network.recalled(histories.select(part).last(network.config.reads), keep)
            scores = self._closed(query @ network.memory.T, part)
            top = torch.topk(scores, min(_CANDIDATES, scores.shape[1]), dim=1)
            ids.append(top.indices.cpu())
            best.append(top.values.cpu())
            queries.append(query.cpu())
        return torch.cat(ids), torch.cat(best), torch.cat(queries)

    def _closed(self, scores: Tensor, part: slice) -> Tensor:
        """-inf for what may not be answered: what the history holds, where nothing is bought twice."""
        if not self._repeats:
            had = self._histories.select(part)
            owner = torch.from_numpy(np.repeat(np.arange(len(had)), had.lengths()))
            scores[owner.to(scores.device), torch.from_numpy(had.item.astype(np.int64)).to(scores.device)] = -torch.inf
        return scores

    def _merit(self, ids: Tensor, relevant: Relevant) -> float:
        return float(np.nanmean(ranking(ids.numpy().astype(np.int32), relevant, (_K,))["ndcg@10"]))

    def _parts(self, size: int) -> list[slice]:
        return [slice(start, min(start + _BATCH, size)) for start in range(0, size, _BATCH)]


def share_of(weight: float) -> tuple[float, float]:
    """(learned, remembered), as the network keeps it: in this proportion, on the scale of log-odds."""
    return (0.0, _MOST) if math.isinf(weight) else (_MOST / max(weight, _MOST), min(weight, _MOST))
