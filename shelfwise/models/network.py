"""The network: what it remembers, what it learned, and how much each counts; as it answers, in NumPy.

A product's vector is two vectors side by side, and so is a customer's; their product is the score.

Remembered: the factorised co-occurrence of the products (`training/factorisation.py`). A customer is the sum of what
usually follows (`ahead`) each of their events, one step back counting `keep` of the one after it; what was bought at
the same moment is one step. Nothing of it is trained.
Learned: an item tower (id embedding + text + photo + category + brand + price → one vector) and a sequence tower
(`models/towers.py`: LSTM, GRU or transformer over the newest events: the items' own vectors, event type, time since
the event before).

Counting knows rare pairs that no gradient finds in hours; training knows order, time and type. Which of them tells more
depends on the shop, so validation says how much each counts (`training/fusion.py`): on Amazon Beauty nearly all is
remembered, on dense behaviour nearly all learned, and together they are better than either.
No customer has an embedding: a customer is their events. `training/network_module.py` is what training changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy

from shelfwise.models.kernels import weighted_sum
from shelfwise.models.sequences import Floats, Ints, Longs, Sequences, moments_back, steps_back
from shelfwise.models.towers import UNKNOWN, Tower, gap_bucket

_REACH = 200  # newest events that the remembered part reads
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

    @property
    def reads(self) -> int:
        """Newest events of a history that matter."""
        return max(self.history, _REACH)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises TypeError for another shape; bundles written before 2026-12 say how many `layers` the tower has."""
        told = json.loads(text)
        if told.pop("layers", 1) != 1:
            raise TypeError("a tower of several layers")
        return cls(**told)


#: What layers of the tower were called in bundles written before 2026-12.
_NAMES = {
    "asked": "elapsed",
    "enter": "input_norm",
    "leave": "output_proj",
    "place": "position",
    "before": "norm1",
    "look": "qkv_proj",
    "gather": "out_proj",
    "between": "norm2",
    "think": "fc1",
    "say": "fc2",
}


class Network:
    """A trained network, answering. Immutable, thread-safe.

    weights: float32, by their names in `NetworkModule.state_dict()`; without those of `made`, which `vectors` holds.
    vectors: float32 [n, hidden + width], of the products. spread: float32 [hidden + width], root mean square of
    customers' vectors.
    """

    def __init__(self, config: NetworkConfig, weights: Mapping[str, Floats], vectors: Floats) -> None:
        """Raises KeyError or ValueError where the weights are not of this shape."""
        self.config, self._weights, self._vectors = config, dict(weights), vectors
        self.ahead, self.spread = weights["ahead"], weights["spread"]
        if vectors.shape != (config.items, config.dimensions) or self.ahead.shape != (config.items, config.width):
            raise ValueError("tables of another size")
        self.learned, self.remembered = map(float, weights["share"])
        keep = weights["keep"].item()
        self._kept = (keep ** np.arange(self.reads + 1)).astype(np.float32)  # of an event by its steps back
        tower = {name[6:]: value for name, value in weights.items() if name.startswith("tower.")}
        self._tower = Tower(config.tower, tower, config.heads, self.learned)

    @property
    def reads(self) -> int:
        return self.config.reads

    def item_vectors(self) -> Floats:
        """float32 [n, hidden + width], every product's vector."""
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
        total = np.zeros((size, self.config.dimensions), np.float32)
        for name, value in facts_of(self.config, {key: one for key, one in given.items() if one is not None}).items():
            # What is learned of a part, and what is remembered by it.
            weight = [self._weights[f"{half}.{name}.weight"] for half in ("content", "recall")]
            if name in ("category", "brand"):
                total += np.concatenate([table[value] for table in weight], axis=1)
            else:
                total += np.concatenate([value @ matrix.T for matrix in weight], axis=1)
        return total

    def encode(self, sequences: Sequences, now: Longs | None = None, *, vectors: Floats | None = None) -> Floats:
        """float32 [b, hidden + width], one customer vector a sequence; zeros for an empty one.

        now: int64 [b], seconds, when the answer is asked for; None where it is not known.
        vectors: float32 [m, hidden + width], m ≥ n, item vectors with those of products that came after training
        behind; needed only where a sequence holds such products.
        """
        recent, known = sequences.last(self.reads), self._vectors if vectors is None else vectors
        encoded = np.zeros((len(recent), self.config.dimensions), np.float32)
        if len(recent) == 1:
            if recent.rows:
                encoded[:] = self._encoded(recent, now, known)
            return encoded
        there = np.flatnonzero(recent.lengths())
        for start in range(0, len(there), _BATCH):
            some = there[start : start + _BATCH]
            encoded[some] = self._encoded(recent.select(some), None if now is None else now[some], known)
        return encoded

    def _encoded(self, recent: Sequences, now: Longs | None, vectors: Floats) -> Floats:
        """Of histories of at least one event each."""
        hidden = self.config.hidden
        encoded = np.zeros((len(recent), self.config.dimensions), np.float32)
        encoded[:, hidden:] = self._recalled(recent)
        if self.learned:
            newest = recent.last(self.config.history)
            waited = None if now is None else now - newest.time[newest.offsets[1:] - 1]
            elapsed = np.full(len(newest), UNKNOWN) if waited is None else gap_bucket(waited)
            encoded[:, :hidden] = self._tower.last(vectors, newest, elapsed)
        return encoded

    def _recalled(self, recent: Sequences) -> Floats:
        """float32 [b, width], what usually follows their events; of products that came later nothing is remembered."""
        one = len(recent) == 1
        weight = self._kept[moments_back(recent.time) if one else steps_back(recent)] * np.float32(self.remembered)
        item, n = recent.item, len(self.ahead)
        if int(item.max()) >= n:
            known = item < n
            weight, item = weight * known, item * known
        if one:
            return weighted_sum(self.ahead, item, weight)[None]
        pooled: Any = scipy.sparse.csr_array((weight, item, recent.offsets), shape=(len(recent), n)) @ self.ahead
        return np.asarray(pooled, np.float32)

    def measured(self, histories: Sequences) -> Self:
        """The same, told by these customers how large their vectors are."""
        spread = np.square(self.encode(histories)).mean(axis=0) ** 0.5
        return type(self)(self.config, self._weights | {"spread": spread}, self._vectors)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything needed to answer, as arrays for a bundle."""
        config = np.frombuffer(self.config.to_json().encode(), np.uint8)
        return {**self._weights, "vectors": self._vectors, "config": config}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The network `tensors` gave. Raises ValueError where it is none."""
        try:
            config = NetworkConfig.from_json(tensors["config"].tobytes().decode())
            weights = {_renamed(name): value for name, value in tensors.items() if name not in ("config", "vectors")}
            return cls(config, weights, tensors["vectors"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a network ({error})") from None


def _renamed(name: str) -> str:
    parts = name.split(".")
    return ".".join(_NAMES.get(part, part) for part in parts) if parts[0] == "tower" else name


def facts_of(config: NetworkConfig, given: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """What of `given` a network of this shape reads, as it reads it: codes from 1 (0 is unknown), scaled prices."""
    reads = {
        "text": config.text,
        "image": config.image,
        "category": config.categories,
        "brand": config.brands,
        "price": config.prices,
    }
    facts: dict[str, npt.NDArray[Any]] = {}
    for name, value in given.items():
        if not reads[name]:
            continue
        if name in ("category", "brand"):
            facts[name] = np.asarray(value, np.int64) + 1
        elif name == "price":
            facts[name] = _scaled_price(np.asarray(value, np.float32), config)
        else:
            facts[name] = np.ascontiguousarray(value, np.float32)
    return facts


def _scaled_price(price: Floats, config: NetworkConfig) -> Floats:
    """[…, 2]: (log(1 + price) on the common scale, 1), or zeros where the price is unknown."""
    known = np.isfinite(price)
    scaled = (np.log1p(np.where(known, price, 0)) - config.price_mean) / config.price_spread
    return np.stack((np.where(known, scaled, 0), known), axis=-1).astype(np.float32)
