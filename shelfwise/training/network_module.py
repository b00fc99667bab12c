"""The network as training changes it, in torch; `models/network.py` says what it is, and answers with its weights.

The item tower's id is dropped at random in training, so that the rest learns to stand for a product without history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shelfwise.models.network import PARTS, Network, NetworkConfig, facts_of
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Longs, Sequences, steps_back
from shelfwise.models.towers import GAPS, UNKNOWN, gap_bucket
from shelfwise.schema import LEARNED_KINDS

_KEEP = 0.6  # of each step back, where no validation says
_NORMAL = 0.02  # standard deviation of embeddings at the start
_AT_ONCE = 65_536  # products whose vectors are computed together


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Histories padded on the right to the longest. item, kind, gap: int64 [b, t]; elapsed: int64 [b, t], bucket of the
    time to the next event; real: bool [b, t]."""

    item: Tensor
    kind: Tensor
    gap: Tensor
    elapsed: Tensor
    real: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(**{name: getattr(self, name).to(device) for name in self.__slots__})


class NetworkModule(nn.Module):
    """Both parts."""

    ahead: Tensor  # [n, width], what follows an item
    memory: Tensor  # [n, width], what an item is to those before it
    keep: Tensor
    share: Tensor  # [2], by how much the learned and the remembered part of a customer count
    spread: Tensor  # [hidden + width], root mean square of customers' vectors

    def __init__(self, config: NetworkConfig, items: Items | None = None) -> None:
        super().__init__()
        self.config = config
        self.id = nn.Parameter(torch.randn(config.items, config.hidden) * _NORMAL)
        self.content = Content(config, config.hidden)
        self.tower = _Tower(config)
        self.recall = Content(config, config.width).requires_grad_(False)
        self.register_buffer("ahead", torch.zeros(config.items, config.width))
        self.register_buffer("memory", torch.zeros(config.items, config.width))
        self.register_buffer("keep", torch.tensor(_KEEP))
        self.register_buffer("share", torch.tensor([1.0, 1.0]))
        self.register_buffer("spread", torch.ones(config.dimensions))
        self._facts: dict[str, Tensor] = {}
        if items is not None:
            self.attach(items)

    def attach(self, items: Items) -> None:
        """Give the item tower what is known of the products; rows are inside ids."""
        given = {name: getattr(items, name) for name in PARTS if getattr(items, name) is not None}
        facts = facts_of(self.config, given)
        self._facts = {name: torch.from_numpy(value).to(self.id.device) for name, value in facts.items()}

    def facts(self) -> Mapping[str, Tensor]:
        """What `attach` gave, as `Content` reads it, by the name of the part that reads it."""
        return self._facts

    def vectors_of(self, rows: Tensor | None = None) -> Tensor:
        """[m, hidden] learned vectors of these items (None: all), with the id dropped at random in training."""
        vectors = self.id if rows is None else functional.embedding(rows, self.id)
        if not self._facts:
            return vectors
        if self.training and self.config.id_dropout:
            keep = torch.rand(len(vectors), 1, device=vectors.device) >= self.config.id_dropout
            vectors = vectors * keep
        facts = self._facts if rows is None else {name: value[rows] for name, value in self._facts.items()}
        vectors_with_content: Tensor = vectors + self.content(facts)
        return vectors_with_content

    def forward(self, batch: Batch, vectors: Tensor) -> Tensor:
        """[positions, hidden] learned customer vectors after each real event, customers one after the other.

        vectors: [b, t, hidden], of the items of the batch.
        """
        states: Tensor = self.tower(vectors, batch)[batch.real]
        return states

    def recalled(self, histories: Sequences, keep: float) -> Tensor:
        """[b, width], the remembered customer vectors; zeros for an empty history."""
        known = histories.item < self.config.items
        weight = np.where(known, keep ** steps_back(histories), 0).astype(np.float32)
        item, device = np.where(known, histories.item, 0).astype(np.int64), self.ahead.device
        pooled: Tensor = functional.embedding_bag(
            torch.from_numpy(item).to(device),
            self.ahead,
            torch.from_numpy(histories.offsets[:-1]).to(device),
            mode="sum",
            per_sample_weights=torch.from_numpy(weight).to(device),
        )
        return pooled

    def learned(self, histories: Sequences, now: Longs | None, vectors: Tensor) -> Tensor:
        """[b, hidden], the learned customer vectors of histories of at least one event. vectors: [m, hidden], of all
        items they hold."""
        recent = histories.last(self.config.history)
        batch = batch_of(recent, now).to(self.id.device)
        states = self.tower(functional.embedding(batch.item, vectors), batch)
        last = torch.from_numpy(recent.lengths() - 1).to(states.device)
        newest: Tensor = states[torch.arange(len(last), device=states.device), last]
        return newest

    def begin(self, count: Tensor) -> None:
        """Let training start from how often each product was chosen (int64 [n]) instead of from chance: popularity is
        the first thing it would learn, for many steps at nothing else.

        The first dimension holds log counts, on the scale of the others, and every customer asks for them alike."""
        log = count.double().log1p().float()
        spread = max(float(log.std(correction=0)), 1e-3)
        self.id[:, 0] = (log - log.mean()) * (_NORMAL / spread)
        self.tower.output_proj.weight[0] = 0
        self.tower.output_proj.bias[0] = spread / _NORMAL
        if self.config.content:
            # A product without history is its content and nothing else: the id stays at nothing, in training too.
            self.id[count == 0] = 0

    def frozen(self) -> Network:
        """The network as it answers: every item's vector computed once, the weights shared."""
        self.eval()
        hidden, n = self.config.hidden, self.config.items
        vectors = np.empty((n, hidden + self.memory.shape[1]), np.float32)
        vectors[:, hidden:] = self.memory.float().cpu().numpy()
        with torch.inference_mode():
            for rows in torch.arange(n, device=self.id.device).split(_AT_ONCE):
                vectors[rows[0] : rows[-1] + 1, :hidden] = self.vectors_of(rows).float().cpu().numpy()
        made = ("id", "memory")  # of the item vectors
        weights = {
            name: value.detach().float().cpu().numpy() for name, value in self.state_dict().items() if name not in made
        }
        return Network(self.config, weights, vectors)


class Content(nn.Module):
    """What is known of products → one vector each: the sum of a linear map of every part. A part may be absent."""

    def __init__(self, config: NetworkConfig, width: int) -> None:
        super().__init__()
        self.text = nn.Linear(config.text, width, bias=False) if config.text else None
        self.image = nn.Linear(config.image, width, bias=False) if config.image else None
        self.category = nn.Embedding(config.categories + 1, width, padding_idx=0) if config.categories else None
        self.brand = nn.Embedding(config.brands + 1, width, padding_idx=0) if config.brands else None
        self.price = nn.Linear(2, width, bias=False) if config.prices else None
        with torch.no_grad():
            for part in (self.text, self.image, self.category, self.brand, self.price):
                if part is not None:
                    nn.init.normal_(part.weight, std=_NORMAL)
                    if isinstance(part, nn.Embedding):
                        part.weight[0] = 0

    def forward(self, facts: Mapping[str, Tensor]) -> Tensor:
        """[m, width] of facts of m products, at least one of them."""
        parts = (getattr(self, name)(value) for name, value in facts.items())
        total: Tensor = next(parts)
        for part in parts:
            total += part  # in place, one at a time: each is as large as the catalogue
        return total


class _Tower(nn.Module):
    """What order, type and time of the events tell of what comes next."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        hidden = config.hidden
        self.kind = nn.Embedding(LEARNED_KINDS, hidden)
        self.gap = nn.Embedding(GAPS, hidden, padding_idx=UNKNOWN)
        self.elapsed = nn.Embedding(GAPS, hidden, padding_idx=UNKNOWN)
        for part in (self.kind, self.gap, self.elapsed):
            nn.init.normal_(part.weight, std=_NORMAL)
        with torch.no_grad():
            self.gap.weight[UNKNOWN] = 0
            self.elapsed.weight[UNKNOWN] = 0
        self.input_norm = nn.LayerNorm(hidden)
        self.steps: nn.Module
        if config.tower == "lstm":
            self.steps = nn.LSTM(hidden, hidden, batch_first=True)
        elif config.tower == "gru":
            self.steps = nn.GRU(hidden, hidden, batch_first=True)
        else:
            self.steps = nn.ModuleList([_Block(hidden, config.heads, config.dropout)])
            self.position = nn.Parameter(torch.randn(config.history, hidden) * _NORMAL)
        self.norm = nn.LayerNorm(hidden)
        self.output_proj = nn.Linear(hidden, hidden)

    def forward(self, vectors: Tensor, batch: Batch) -> Tensor:
        states = vectors * vectors.shape[-1] ** 0.5 + self.kind(batch.kind) + self.gap(batch.gap)
        if isinstance(self.steps, nn.ModuleList):
            states = states + self.position[: states.shape[1]]
        states = functional.dropout(self.input_norm(states), self.dropout, self.training)
        if isinstance(self.steps, nn.ModuleList):
            for block in self.steps:
                states = block(states)
        else:
            states = self.steps(states)[0]
        states = self.norm(states) + self.elapsed(batch.elapsed)
        output: Tensor = self.output_proj(functional.dropout(states, self.dropout, self.training))
        return output


class _Block(nn.Module):
    """A transformer block, normalised before each part (Xiong et al. 2020), each position seeing itself and earlier."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.norm1 = nn.LayerNorm(hidden)
        self.qkv_proj = nn.Linear(hidden, 3 * hidden)
        self.out_proj = nn.Linear(hidden, hidden)
        self.norm2 = nn.LayerNorm(hidden)
        self.fc1 = nn.Linear(hidden, 4 * hidden)
        self.fc2 = nn.Linear(4 * hidden, hidden)

    def forward(self, states: Tensor) -> Tensor:
        b, t, h = states.shape
        query, key, value = (
            self.qkv_proj(self.norm1(states)).view(b, t, 3, self.heads, h // self.heads).permute(2, 0, 3, 1, 4)
        )
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        attended = self.out_proj(seen.transpose(1, 2).reshape(b, t, h))
        states = states + functional.dropout(attended, self.dropout, self.training)
        outer = self.fc2(functional.gelu(self.fc1(self.norm2(states))))
        return states + functional.dropout(outer, self.dropout, self.training)


def batch_of(sequences: Sequences, now: Longs | None = None) -> Batch:
    """Pad sequences. now: int64 [b], when the last answer is asked for."""
    b, lengths = len(sequences), sequences.lengths()
    t = int(lengths.max(initial=0))
    real = np.arange(t) < lengths[:, None]
    item, kind, time = (np.zeros((b, t), np.int64) for _ in range(3))
    item[real], kind[real], time[real] = sequences.item, sequences.kind, sequences.time
    gap, elapsed = np.zeros((b, t), np.int64), np.zeros((b, t), np.int64)
    if t:
        elapsed[:, :-1] = np.where(real[:, 1:], gap_bucket(np.diff(time, axis=1)), UNKNOWN)
        gap[:, 1:] = elapsed[:, :-1]
        if now is not None:
            some = np.flatnonzero(lengths)
            last = lengths[some] - 1
            elapsed[some, last] = gap_bucket(now[some] - time[some, last])
    return Batch(
        item=torch.from_numpy(item),
        kind=torch.from_numpy(kind),
        gap=torch.from_numpy(gap),
        elapsed=torch.from_numpy(elapsed),
        real=torch.from_numpy(real),
    )
