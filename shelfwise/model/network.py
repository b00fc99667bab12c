"""The network: an item tower and a sequence tower; item vector · customer vector is the score. One file.

Item tower: id embedding + text + photo + category + brand + price → one vector. The id is dropped at random in
training, so that the rest learns to stand for a product without history.
Sequence tower: each event enters as a linear map of its item's vector (the vectors are tied) plus what usually
follows that item (`ahead`, by id), its type, the time since the event before, and its price. The customer vector is
a leaky sum of these inputs, which forgets at learned rates, plus a correction by an LSTM, GRU or transformer that
starts at nothing: so before the first step of training the network is already the factorised co-occurrence it was
started from (`learn/start.py`), and training only has to improve it.
No customer has an embedding: a customer is their events.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from shelfwise.model.network_fast import Single
from shelfwise.model.recommender import Items
from shelfwise.model.sequences import Floats, Ints, Longs, Sequences
from shelfwise.schema import EVENT_TYPES

_GAPS = 40  # buckets of time gaps: 0 unknown, 1 none, then powers of two of a second (2^37 s are 4,000 years)
_UNKNOWN = 0
_FORGETTING = 4  # rates of the leaky sum; each holds a fourth of the dimensions
_KEEP = 0.4  # of each step back, at the start: 0.4 beat 0.5 and 0.6 on the validation items of Amazon Beauty
_NORMAL = 0.02  # standard deviation of embeddings at the start
_BATCH = 256  # histories encoded at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """The shape of a network; JSON beside its weights.

    width: dimensions of item and customer vectors. hidden: of the sequence tower. history: newest events read.
    text, image: dimensions of those vectors, 0 without. categories, brands: how many, 0 without.
    price_mean, price_spread: of log(1 + price), by which prices are brought to a common scale.
    """

    items: int
    width: int = 128
    hidden: int = 128
    tower: Literal["lstm", "gru", "transformer"] = "gru"
    layers: int = 1
    heads: int = 4
    history: int = 50
    dropout: float = 0.3
    id_dropout: float = 0.1
    text: int = 0
    image: int = 0
    categories: int = 0
    brands: int = 0
    prices: bool = False
    price_mean: float = 0.0
    price_spread: float = 1.0

    @property
    def content(self) -> bool:
        """Is anything known of a product beside its id?"""
        return bool(self.text or self.image or self.categories or self.brands or self.prices)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Histories padded on the right to the longest. item, kind, gap: int64 [b, t]; price: float32 [b, t, 2] (scaled
    price or 0, known or not); asked: int64 [b, t], bucket of the time to the next event; real: bool [b, t]."""

    item: Tensor
    kind: Tensor
    gap: Tensor
    price: Tensor
    asked: Tensor
    real: Tensor


class Network(nn.Module):
    """Both towers. `vectors_of` and `forward` are for training; `item_vectors`, `item_vector_of` and `encode`
    speak NumPy and are for answering (in evaluation mode, without gradients)."""

    def __init__(self, config: NetworkConfig, items: Items | None = None) -> None:
        super().__init__()
        self.config = config
        n, d = config.items, config.width
        self.id = nn.Parameter(torch.randn(n, d) * _NORMAL)
        self.ahead = nn.Parameter(torch.zeros(n, d))
        self.text = nn.Linear(config.text, d, bias=False) if config.text else None
        self.image = nn.Linear(config.image, d, bias=False) if config.image else None
        self.category = nn.Embedding(config.categories + 1, d, padding_idx=0) if config.categories else None
        self.brand = nn.Embedding(config.brands + 1, d, padding_idx=0) if config.brands else None
        self.price = nn.Linear(2, d, bias=False) if config.prices else None
        for part in (self.text, self.image, self.category, self.brand, self.price):
            if part is not None:
                nn.init.normal_(part.weight, std=_NORMAL)
        self.follow = nn.Linear(d, d, bias=False)
        nn.init.eye_(self.follow.weight)
        self.rates = nn.Parameter(torch.full((_FORGETTING,), math.log(_KEEP / (1 - _KEEP))))
        self.weigh = nn.Parameter(torch.ones(len(EVENT_TYPES)))  # of each event type in the leaky sum
        self.tower = _Tower(config)
        self._facts: dict[str, Tensor] = {}
        self._vectors: Floats | None = None
        self._inputs: Tensor | None = None
        self._single: Single | None = None
        if items is not None:
            self.attach(items)

    def attach(self, items: Items) -> None:
        """Give the item tower what is known of the products; rows are inside ids."""
        facts = {
            "text": items.text if self.text is not None else None,
            "image": items.image if self.image is not None else None,
            "category": items.category if self.category is not None else None,
            "brand": items.brand if self.brand is not None else None,
            "price": items.price if self.price is not None else None,
        }
        given = self._facts_of({name: value for name, value in facts.items() if value is not None})
        self._facts = {name: value.to(self.id.device) for name, value in given.items()}
        self.thaw()

    def facts(self) -> Mapping[str, Tensor]:
        """What `attach` gave, as the item tower reads it, by the name of the part that reads it."""
        return self._facts

    def vectors_of(self, rows: Tensor | None = None) -> Tensor:
        """[m, d] vectors of these items (None: all), with the id dropped at random in training."""
        vectors = self.id if rows is None else functional.embedding(rows, self.id)
        if not self._facts:
            return vectors
        if self.training and self.config.id_dropout:
            keep = torch.rand(len(vectors), 1, device=vectors.device) >= self.config.id_dropout
            vectors = vectors * keep
        facts = self._facts if rows is None else {name: value[rows] for name, value in self._facts.items()}
        return vectors + self._content(facts)

    def forward(self, batch: Batch, vectors: Tensor, ahead: Tensor) -> Tensor:
        """[positions, d] customer vectors after each real event, customers one after the other.

        vectors, ahead: [b, t, d], of the items of the batch.
        """
        following = functional.dropout(self.follow(vectors) + ahead, self.config.dropout, self.training)
        leaky = self._leaky(following * self.weigh[batch.kind].unsqueeze(-1))
        told = leaky + self.tower(following, batch)
        return functional.dropout(told[batch.real], self.config.dropout, self.training)

    def freeze(self) -> None:
        """Compute every item's vector once, for answering."""
        self.eval()
        with torch.inference_mode():
            vectors = self.vectors_of()
            self._inputs = (self.follow(vectors) + self.ahead).cpu()
            self._single = None
            self._vectors = np.ascontiguousarray(vectors.float().cpu().numpy())

    def thaw(self) -> None:
        """Forget computed vectors: weights are about to change."""
        self._vectors = self._inputs = self._single = None

    def item_vectors(self) -> Floats:
        """float32 [n, d], every product's vector."""
        if self._vectors is None:
            self.freeze()
        assert self._vectors is not None
        return self._vectors

    def item_vector_of(
        self,
        *,
        text: Floats | None = None,
        image: Floats | None = None,
        category: Ints | None = None,
        brand: Ints | None = None,
        price: Floats | None = None,
    ) -> Floats:
        """float32 [m, d]: vectors of products without an id, from what is known of them ([m, …] each; all may be
        None, then one zero row). Codes unknown to the network must be -1."""
        given = {"text": text, "image": image, "category": category, "brand": brand, "price": price}
        size = next((len(value) for value in given.values() if value is not None), 1)
        facts = self._facts_of(
            {name: value for name, value in given.items() if value is not None and getattr(self, name) is not None}
        )
        with torch.inference_mode():
            found = self._content(facts) if facts else torch.zeros(size, self.config.width)
        return np.asarray(found.float().cpu().numpy(), np.float32)

    def encode(self, sequences: Sequences, now: Longs | None = None, *, vectors: Floats | None = None) -> Floats:
        """float32 [b, d], one customer vector a sequence; zeros for an empty one.

        now: int64 [b], seconds, when the answer is asked for; None where it is not known.
        vectors: float32 [m, d], m ≥ n, item vectors with those of products that came after training behind; needed
        only where a sequence holds such products.
        """
        if self._inputs is None:
            self.freeze()
        assert self._inputs is not None
        if len(sequences) == 1 and Single.reads(self.config):
            return self._alone(sequences.last(self.config.history), None if now is None else int(now[0]), vectors)
        self.eval()
        found = np.zeros((len(sequences), self.config.width), np.float32)
        recent = sequences.last(self.config.history)
        lengths = recent.lengths()
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        with torch.inference_mode():
            for start in range(0, len(order), _BATCH):
                some = order[start : start + _BATCH]
                batch = batch_of(recent.select(some), self.config, None if now is None else now[some])
                following = self._following(batch.item, vectors)
                leaky = self._leaky(following * self.weigh[batch.kind].unsqueeze(-1))
                told = leaky + self.tower(following, batch)
                last = torch.from_numpy(lengths[some] - 1)
                found[some] = told[torch.arange(len(some)), last].float().numpy()
        return found

    def _alone(self, recent: Sequences, now: int | None, vectors: Floats | None) -> Floats:
        """One history, as serving asks: the same numbers without torch's cost of each small call."""
        if not recent.rows:
            return np.zeros((1, self.config.width), np.float32)
        assert self._inputs is not None
        single = self._alone_weights()
        inputs = self._inputs.numpy()
        item = recent.item
        if vectors is None:
            following = inputs[item]
        else:
            late = item >= len(inputs)
            following = inputs[np.where(late, 0, item)]
            following[late] = vectors[item[late]] @ single.follow.T
        if not single.reads_prices:
            return single.leaky(following, recent.kind)[None]
        gap, asked = np.zeros(recent.rows, np.int64), _UNKNOWN
        gap[1:] = gap_bucket(np.diff(recent.time))
        if now is not None:
            asked = int(gap_bucket(now - recent.time[-1:])[0])
        price = _scaled_price(recent.price, self.config)
        return single.encode(following, recent.kind, gap, price, asked)[None]

    def _alone_weights(self) -> Single:
        if self._single is None:
            weights = {name: value.detach().float().cpu().numpy() for name, value in self.named_parameters()}
            self._single = Single(weights, self.config.history)
        return self._single

    @property
    def reads_prices(self) -> bool:
        """Do prices and times of a history change its vector? Not where the tower learned nothing."""
        return not Single.reads(self.config) or self._alone_weights().reads_prices

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything needed to answer, as arrays for a bundle: weights, and item vectors in place of the features."""
        kept = {name: value.detach().float().cpu().numpy() for name, value in self.state_dict().items() if name != "id"}
        kept["vectors"] = self.item_vectors()
        kept["config"] = np.frombuffer(self.config.to_json().encode(), np.uint8)
        return kept

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The network `tensors` gave, ready to answer. Raises ValueError where it is none."""
        try:
            config = NetworkConfig.from_json(tensors["config"].tobytes().decode())
            weights = {name: torch.from_numpy(value.copy()) for name, value in tensors.items() if name != "config"}
            vectors = weights.pop("vectors")
            with torch.device("meta"):
                network = cls(config)
            network.load_state_dict({**weights, "id": vectors}, assign=True)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"not a network ({error})") from None
        network.requires_grad_(False).eval()
        with torch.inference_mode():
            network._inputs = network.follow(vectors) + network.ahead
        network._vectors = vectors.numpy()
        return network

    def _following(self, item: Tensor, vectors: Floats | None) -> Tensor:
        assert self._inputs is not None
        if vectors is None:
            return self._inputs[item]
        known = item < len(self._inputs)
        if bool(known.all()):
            return self._inputs[item]
        late = self.follow(torch.from_numpy(vectors[item.numpy()]))
        return torch.where(known.unsqueeze(-1), self._inputs[torch.where(known, item, 0)], late)

    def _leaky(self, following: Tensor) -> Tensor:
        """Σ over earlier steps s ≤ t of rate^(t - s) · following_s, each group of dimensions at its own rate."""
        b, t, d = following.shape
        step = torch.arange(t, device=following.device)
        back = step[:, None] - step[None, :]
        rate = functional.logsigmoid(self.rates)[:, None, None] * back.clamp(min=0)
        kernel = torch.where(back >= 0, rate.exp(), 0.0)
        parts = following.view(b, t, _FORGETTING, d // _FORGETTING).permute(2, 1, 0, 3).reshape(_FORGETTING, t, -1)
        summed = torch.bmm(kernel, parts).view(_FORGETTING, t, b, d // _FORGETTING)
        return summed.permute(2, 1, 0, 3).reshape(b, t, d)

    def _content(self, facts: Mapping[str, Tensor]) -> Tensor:
        parts = [getattr(self, name)(value) for name, value in facts.items()]
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def _facts_of(self, given: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
        facts: dict[str, Tensor] = {}
        for name, value in given.items():
            if name in ("category", "brand"):
                facts[name] = torch.from_numpy(np.asarray(value, np.int64) + 1)
            elif name == "price":
                facts[name] = torch.from_numpy(_scaled_price(np.asarray(value, np.float32), self.config))
            else:
                facts[name] = torch.from_numpy(np.ascontiguousarray(value, np.float32))
        return facts


class _Tower(nn.Module):
    """The correction by what order, type, time and price of the events tell. Starts at nothing."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.enter = nn.Linear(config.width, hidden)
        self.kind = nn.Embedding(len(EVENT_TYPES), hidden)
        self.gap = nn.Embedding(_GAPS, hidden, padding_idx=_UNKNOWN)
        self.price = nn.Linear(2, hidden, bias=False)
        self.asked = nn.Embedding(_GAPS, hidden, padding_idx=_UNKNOWN)
        for part in (self.kind, self.gap, self.price, self.asked):
            nn.init.normal_(part.weight, std=_NORMAL)
        with torch.no_grad():
            self.gap.weight[_UNKNOWN] = 0
            self.asked.weight[_UNKNOWN] = 0
        self.norm = nn.LayerNorm(hidden)
        self.steps: nn.Module
        if config.tower == "lstm":
            self.steps = nn.LSTM(hidden, hidden, config.layers, batch_first=True)
        elif config.tower == "gru":
            self.steps = nn.GRU(hidden, hidden, config.layers, batch_first=True)
        else:
            self.steps = nn.ModuleList(_Block(hidden, config.heads, config.dropout) for _ in range(config.layers))
            self.place = nn.Parameter(torch.randn(config.history, hidden) * _NORMAL)
        self.leave = nn.Linear(hidden, config.width)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, following: Tensor, batch: Batch) -> Tensor:
        # Inputs of unit size whatever the scale of the item vectors: √d times a vector of norm one.
        entered = functional.normalize(following, dim=-1) * self.config.width**0.5
        told = self.enter(entered) + self.kind(batch.kind) + self.gap(batch.gap) + self.price(batch.price)
        told = functional.dropout(self.norm(told), self.config.dropout, self.training)
        if isinstance(self.steps, nn.ModuleList):
            told = told + self.place[: told.shape[1]]
            for block in self.steps:
                told = block(told)
        else:
            told = self.steps(told)[0]
        told = told + self.asked(batch.asked)
        left: Tensor = self.leave(functional.dropout(told, self.config.dropout, self.training))
        return left


class _Block(nn.Module):
    """A transformer block, normalised before each part (Xiong et al. 2020), each position seeing itself and earlier."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.before = nn.LayerNorm(hidden)
        self.look = nn.Linear(hidden, 3 * hidden)
        self.gather = nn.Linear(hidden, hidden)
        self.between = nn.LayerNorm(hidden)
        self.think = nn.Linear(hidden, 2 * hidden)
        self.say = nn.Linear(2 * hidden, hidden)

    def forward(self, told: Tensor) -> Tensor:
        b, t, h = told.shape
        query, key, value = (
            self.look(self.before(told)).view(b, t, 3, self.heads, h // self.heads).permute(2, 0, 3, 1, 4)
        )
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        gathered = self.gather(seen.transpose(1, 2).reshape(b, t, h))
        told = told + functional.dropout(gathered, self.dropout, self.training)
        said = self.say(functional.gelu(self.think(self.between(told))))
        return told + functional.dropout(said, self.dropout, self.training)


def batch_of(sequences: Sequences, config: NetworkConfig, now: Longs | None = None) -> Batch:
    """Pad sequences, none of them longer than config.history. now: int64 [b], when the last answer is asked for."""
    b, lengths = len(sequences), sequences.lengths()
    t = int(lengths.max(initial=0))
    real = np.arange(t) < lengths[:, None]
    item, kind, time = (np.zeros((b, t), np.int64) for _ in range(3))
    price = np.full((b, t), np.nan, np.float32)
    item[real], kind[real], time[real] = sequences.item, sequences.kind, sequences.time
    price[real] = sequences.price
    gap, asked = np.zeros((b, t), np.int64), np.zeros((b, t), np.int64)
    if t:
        asked[:, :-1] = np.where(real[:, 1:], gap_bucket(np.diff(time, axis=1)), _UNKNOWN)
        gap[:, 1:] = asked[:, :-1]
        if now is not None:
            some = np.flatnonzero(lengths)
            last = lengths[some] - 1
            asked[some, last] = gap_bucket(now[some] - time[some, last])
    return Batch(
        item=torch.from_numpy(item),
        kind=torch.from_numpy(kind),
        gap=torch.from_numpy(gap),
        price=torch.from_numpy(_scaled_price(price, config)),
        asked=torch.from_numpy(asked),
        real=torch.from_numpy(real),
    )


def gap_bucket(seconds: Longs) -> Longs:
    """1 for no time, then 2 + ⌊log2(seconds)⌋."""
    size = np.log2(np.maximum(seconds, 1).astype(np.float64)).astype(np.int64)
    return np.where(seconds <= 0, 1, np.minimum(2 + size, _GAPS - 1))


def _scaled_price(price: Floats, config: NetworkConfig) -> Floats:
    """[…, 2]: (log(1 + price) on the common scale, 1), or zeros where the price is unknown."""
    known = np.isfinite(price)
    scaled = (np.log1p(np.where(known, price, 0)) - config.price_mean) / config.price_spread
    return np.stack((np.where(known, scaled, 0), known), axis=-1).astype(np.float32)
