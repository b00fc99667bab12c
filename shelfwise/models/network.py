"""The network: what it remembers, what it learned, and how much each counts. One file.

A product's vector is two vectors side by side, and so is a customer's; their product is the score.

Remembered: the factorised co-occurrence of the products (`training/factorisation.py`). A customer is the sum of what
usually follows (`ahead`) each of their events, one step back counting `keep` of the one after it; what was bought at
the same moment is one step. Nothing of it is trained.
Learned: an item tower (id embedding + text + photo + category + brand + price → one vector) and a sequence tower
(LSTM, GRU or transformer over the newest events: the items' own vectors, event type, time since the event before). The
id is dropped at random in training, so that the rest learns to stand for a product without history.

Counting knows rare pairs that no gradient finds in hours; training knows order, time and type. Which of them tells more
depends on the shop, so validation says how much each counts (`training/fusion.py`): on Amazon Beauty nearly all is
remembered, on dense behaviour nearly all learned, and together they are better than either.
No customer has an embedding: a customer is their events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from shelfwise.models.network_fast import Single
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Floats, Ints, Longs, Sequences, moments_back, steps_back
from shelfwise.schema import LEARNED_KINDS

_GAPS = 40  # buckets of time gaps: 0 unknown, 1 none, then powers of two of a second (2^37 s are 4,000 years)
_UNKNOWN = 0
_KEEP = 0.6  # of each step back, where no validation says
_REACH = 200  # newest events that the remembered part reads
_NORMAL = 0.02  # standard deviation of embeddings at the start
_BATCH = 256  # histories encoded at a time
PARTS = ("text", "image", "category", "brand", "price")  # what may be known of a product


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """The shape of a network; JSON beside its weights.

    width: dimensions of what is remembered. hidden: of what is learned, and of the sequence tower. history: newest
    events that the tower reads.
    text, image: dimensions of those vectors, 0 without. categories, brands: how many, 0 without.
    price_mean, price_spread: of log(1 + price), by which prices are brought to a common scale.
    """

    items: int
    width: int = 128
    hidden: int = 128
    tower: Literal["lstm", "gru", "transformer"] = "transformer"
    layers: int = 1
    heads: int = 4
    history: int = 30
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

    @property
    def dimensions(self) -> int:
        """Of an item's and of a customer's vector."""
        return self.hidden + self.width

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Histories padded on the right to the longest. item, kind, gap: int64 [b, t]; asked: int64 [b, t], bucket of the
    time to the next event; real: bool [b, t]."""

    item: Tensor
    kind: Tensor
    gap: Tensor
    asked: Tensor
    real: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(**{name: getattr(self, name).to(device) for name in self.__slots__})


class Network(nn.Module):
    """Both parts. `vectors_of` and `forward` are for training; `item_vectors`, `item_vector_of` and `encode`
    speak NumPy and are for answering (in evaluation mode, without gradients)."""

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
        self._vectors: Floats | None = None
        self._single: Single | None = None
        if items is not None:
            self.attach(items)

    @property
    def reads(self) -> int:
        """Newest events of a history that matter."""
        return max(self.config.history, _REACH)

    def attach(self, items: Items) -> None:
        """Give the item tower what is known of the products; rows are inside ids."""
        given = {name: getattr(items, name) for name in PARTS if getattr(items, name) is not None}
        self._facts = {name: value.to(self.id.device) for name, value in self._facts_of(given).items()}
        self.thaw()

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
        self.tower.leave.weight[0] = 0
        self.tower.leave.bias[0] = spread / _NORMAL
        if self.config.content:
            # A product without history is its content and nothing else: the id stays at nothing, in training too.
            self.id[count == 0] = 0

    def freeze(self) -> None:
        """Compute every item's vector once, for answering."""
        self.eval()
        with torch.inference_mode():
            self._vectors = torch.cat((self.vectors_of(), self.memory), dim=1).float().cpu().numpy()
            self._single = None

    def measure(self, histories: Sequences) -> None:
        """Learn from these customers how large their vectors are."""
        rms = np.square(self.encode(histories)).mean(axis=0) ** 0.5
        self.spread.copy_(torch.from_numpy(rms))

    def thaw(self) -> None:
        """Forget computed vectors: weights are about to change."""
        self._vectors = self._single = None

    def item_vectors(self) -> Floats:
        """float32 [n, hidden + width], every product's vector."""
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
        """float32 [m, hidden + width]: vectors of products without an id, from what is known of them ([m, …] each; all
        may be None, then one zero row). Codes unknown to the network must be -1."""
        given = {"text": text, "image": image, "category": category, "brand": brand, "price": price}
        size = next((len(value) for value in given.values() if value is not None), 1)
        facts = self._facts_of({name: value for name, value in given.items() if value is not None})
        if not facts:
            return np.zeros((size, self.config.dimensions), np.float32)
        with torch.inference_mode():
            vectors = torch.cat((self.content(facts), self.recall(facts)), dim=1)
        return np.asarray(vectors.float().cpu().numpy(), np.float32)

    def encode(self, sequences: Sequences, now: Longs | None = None, *, vectors: Floats | None = None) -> Floats:
        """float32 [b, hidden + width], one customer vector a sequence; zeros for an empty one.

        now: int64 [b], seconds, when the answer is asked for; None where it is not known.
        vectors: float32 [m, hidden + width], m ≥ n, item vectors with those of products that came after training
        behind; needed only where a sequence holds such products.
        """
        recent = sequences.last(self.reads)
        known = self.item_vectors() if vectors is None else vectors
        if len(sequences) == 1 and Single.reads(self.config):
            return self._alone(recent, None if now is None else int(now[0]), known)
        self.eval()
        hidden, lengths = self.config.hidden, recent.lengths()
        learned, remembered = self.share.tolist()
        encoded = np.zeros((len(recent), self.config.dimensions), np.float32)
        order = np.argsort(np.minimum(lengths, self.config.history), kind="stable")
        order = order[lengths[order] > 0]
        with torch.inference_mode():
            table = torch.from_numpy(known).to(self.id.device)[:, :hidden]
            for start in range(0, len(order), _BATCH):
                some = order[start : start + _BATCH]
                part = recent.select(some)
                encoded[some, hidden:] = (self.recalled(part, float(self.keep)) * remembered).cpu().numpy()
                if learned:
                    states = self.learned(part, None if now is None else now[some], table)
                    encoded[some, :hidden] = (states * learned).float().cpu().numpy()
        return encoded

    def _alone(self, recent: Sequences, now: int | None, vectors: Floats) -> Floats:
        """One history, as serving asks: the same numbers without torch's cost of each small call."""
        hidden = self.config.hidden
        encoded = np.zeros((1, self.config.dimensions), np.float32)
        if not recent.rows:
            return encoded
        if self._single is None:
            self._single = Single(self)
        single, item = self._single, recent.item
        weight = single.kept[moments_back(recent.time)] * single.remembered
        if int(item.max()) < len(single.ahead):
            encoded[0, hidden:] = weight @ single.ahead[item]
        else:
            known = item < len(single.ahead)
            encoded[0, hidden:] = weight[known] @ single.ahead[item[known]]
        if single.learned:
            newest = recent.last(self.config.history)
            gap, asked = np.zeros(newest.rows, np.int64), _UNKNOWN
            gap[1:] = gap_bucket(np.diff(newest.time))
            if now is not None:
                asked = int(gap_bucket(now - newest.time[-1:])[0])
            encoded[0, :hidden] = single.last(vectors[newest.item, :hidden], newest.kind, gap, asked)
        return encoded

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything needed to answer, as arrays for a bundle: weights, and item vectors in place of the features."""
        made = ("id", "memory")  # of the item vectors
        kept = {
            key: value.detach().float().cpu().numpy() for key, value in self.state_dict().items() if key not in made
        }
        kept["vectors"] = self.item_vectors()
        kept["config"] = np.frombuffer(self.config.to_json().encode(), np.uint8)
        return kept

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The network `tensors` gave, ready to answer. Raises ValueError where it is none."""
        try:
            config = NetworkConfig.from_json(tensors["config"].tobytes().decode())
            weights = {name: torch.from_numpy(value.copy()) for name, value in tensors.items() if name != "config"}
            vectors, ahead = weights.pop("vectors"), weights.pop("ahead")
            network = cls(replace(config, items=0))  # its tables are taken as they are, not filled first
            left = network.load_state_dict(weights, strict=False, assign=True)
            if left.unexpected_keys or set(left.missing_keys) != {"id", "memory", "ahead"}:
                raise KeyError(left)
            if vectors.shape != (config.items, config.dimensions) or ahead.shape != (config.items, config.width):
                raise TypeError("tables of another size")
            network.config, network.ahead = config, ahead
            network.id, network.memory = nn.Parameter(vectors[:, : config.hidden]), vectors[:, config.hidden :]
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"not a network ({error})") from None
        network.requires_grad_(False).eval()
        network._vectors = vectors.numpy()
        return network

    def _facts_of(self, given: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
        """What of `given` this network can read, as it reads it."""
        facts: dict[str, Tensor] = {}
        for name, value in given.items():
            if getattr(self.content, name) is None:
                continue
            if name in ("category", "brand"):
                facts[name] = torch.from_numpy(np.asarray(value, np.int64) + 1)
            elif name == "price":
                facts[name] = torch.from_numpy(_scaled_price(np.asarray(value, np.float32), self.config))
            else:
                facts[name] = torch.from_numpy(np.ascontiguousarray(value, np.float32))
        return facts


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
        self.gap = nn.Embedding(_GAPS, hidden, padding_idx=_UNKNOWN)
        self.asked = nn.Embedding(_GAPS, hidden, padding_idx=_UNKNOWN)
        for part in (self.kind, self.gap, self.asked):
            nn.init.normal_(part.weight, std=_NORMAL)
        with torch.no_grad():
            self.gap.weight[_UNKNOWN] = 0
            self.asked.weight[_UNKNOWN] = 0
        self.enter = nn.LayerNorm(hidden)
        self.steps: nn.Module
        if config.tower == "lstm":
            self.steps = nn.LSTM(hidden, hidden, config.layers, batch_first=True)
        elif config.tower == "gru":
            self.steps = nn.GRU(hidden, hidden, config.layers, batch_first=True)
        else:
            self.steps = nn.ModuleList(_Block(hidden, config.heads, config.dropout) for _ in range(config.layers))
            self.place = nn.Parameter(torch.randn(config.history, hidden) * _NORMAL)
        self.norm = nn.LayerNorm(hidden)
        self.leave = nn.Linear(hidden, hidden)

    def forward(self, vectors: Tensor, batch: Batch) -> Tensor:
        states = vectors * vectors.shape[-1] ** 0.5 + self.kind(batch.kind) + self.gap(batch.gap)
        if isinstance(self.steps, nn.ModuleList):
            states = states + self.place[: states.shape[1]]
        states = functional.dropout(self.enter(states), self.dropout, self.training)
        if isinstance(self.steps, nn.ModuleList):
            for block in self.steps:
                states = block(states)
        else:
            states = self.steps(states)[0]
        states = self.norm(states) + self.asked(batch.asked)
        left: Tensor = self.leave(functional.dropout(states, self.dropout, self.training))
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
        self.think = nn.Linear(hidden, 4 * hidden)
        self.say = nn.Linear(4 * hidden, hidden)

    def forward(self, states: Tensor) -> Tensor:
        b, t, h = states.shape
        query, key, value = (
            self.look(self.before(states)).view(b, t, 3, self.heads, h // self.heads).permute(2, 0, 3, 1, 4)
        )
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        gathered = self.gather(seen.transpose(1, 2).reshape(b, t, h))
        states = states + functional.dropout(gathered, self.dropout, self.training)
        said = self.say(functional.gelu(self.think(self.between(states))))
        return states + functional.dropout(said, self.dropout, self.training)


def batch_of(sequences: Sequences, now: Longs | None = None) -> Batch:
    """Pad sequences. now: int64 [b], when the last answer is asked for."""
    b, lengths = len(sequences), sequences.lengths()
    t = int(lengths.max(initial=0))
    real = np.arange(t) < lengths[:, None]
    item, kind, time = (np.zeros((b, t), np.int64) for _ in range(3))
    item[real], kind[real], time[real] = sequences.item, sequences.kind, sequences.time
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
        asked=torch.from_numpy(asked),
        real=torch.from_numpy(real),
    )


def gap_bucket(seconds: Longs) -> Longs:
    """1 for no time, then 2 + ⌊log2(seconds)⌋."""
    size = (np.maximum(seconds, 1).astype(np.float64).view(np.int64) >> 52) - 1023  # the exponent of a float64
    return np.where(seconds <= 0, 1, np.minimum(2 + size, _GAPS - 1))


def _scaled_price(price: Floats, config: NetworkConfig) -> Floats:
    """[…, 2]: (log(1 + price) on the common scale, 1), or zeros where the price is unknown."""
    known = np.isfinite(price)
    scaled = (np.log1p(np.where(known, price, 0)) - config.price_mean) / config.price_spread
    return np.stack((np.where(known, scaled, 0), known), axis=-1).astype(np.float32)
