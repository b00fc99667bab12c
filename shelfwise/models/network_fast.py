"""The network's answer for one history in NumPy: what serving asks a few hundred times a second.

Only the vector after the newest event is wanted, so of a transformer block only that event looks back: the others give
a key and a value each. These few calls cost NumPy a third of what they cost torch.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from shelfwise.models.sequences import Floats, Longs

_EPSILON = np.float32(1e-5)  # of torch's LayerNorm


class Config(Protocol):
    @property
    def tower(self) -> str: ...
    @property
    def layers(self) -> int: ...


class Single:
    """The weights of a network with a transformer of one block, as one history needs them. Thread-safe.

    ahead: float32 [n, width]. kept: float32 [reach + 1], the weight of an event by its steps back. learned,
    remembered: how much each part of a customer's vector counts.
    """

    def __init__(self, network: Any) -> None:  # a `Network`, which imports this module
        weights = {name: value.detach().float().cpu().numpy() for name, value in network.tower.state_dict().items()}
        self.ahead: Floats = network.ahead.cpu().numpy()
        self.kept = (float(network.keep) ** np.arange(network.reads + 1)).astype(np.float32)
        self.learned, self.remembered = map(np.float32, network.share.tolist())
        hidden, self._heads = len(weights["norm.weight"]), network.config.heads
        self._root = np.float32(hidden**0.5)
        self._kind, self._gap, self._asked = weights["kind.weight"], weights["gap.weight"], weights["asked.weight"]
        self._place, self._enter = weights["place"], (weights["enter.weight"], weights["enter.bias"])
        block = {name[8:]: value for name, value in weights.items() if name.startswith("steps.0.")}
        look, bias = _after_norm(block, "before", "look")
        # The scale of attention is in the query's weights.
        scale = np.float32((hidden // self._heads) ** -0.5)
        self._query = look[:, :hidden] * scale, bias[:hidden] * scale
        self._keys, self._keys_bias = np.ascontiguousarray(look[:, hidden:]), bias[hidden:]
        self._gather = block["gather.weight"].T.copy(), block["gather.bias"]
        self._think = _after_norm(block, "between", "think")
        self._say = block["say.weight"].T.copy(), block["say.bias"]
        self._norm = weights["norm.weight"], weights["norm.bias"]
        self._leave = weights["leave.weight"].T * self.learned, weights["leave.bias"] * self.learned

    @staticmethod
    def reads(config: Config) -> bool:
        """Can a network of this shape be read?"""
        return config.tower == "transformer" and config.layers == 1

    def last(self, vectors: Floats, kind: npt.NDArray[np.int8], gap: Longs, asked: int) -> Floats:
        """float32 [hidden], the learned part of the customer's vector after t ≥ 1 events.

        vectors: float32 [t, hidden], learned, of each event's item. kind, gap: [t]. asked: bucket of the time from the
        newest event to the question.
        """
        t, hidden = vectors.shape
        states = vectors * self._root
        states += self._kind[kind]
        states += self._gap[gap]
        states += self._place[:t]
        states = _normal(states) * self._enter[0] + self._enter[1]
        normal, now = _normal(states), states[-1]
        query = (normal[-1] @ self._query[0] + self._query[1]).reshape(self._heads, -1, 1)
        keys = (normal @ self._keys + self._keys_bias).reshape(t, 2, self._heads, -1).transpose(1, 2, 0, 3)
        weight = (keys[0] @ query)[:, :, 0]  # [heads, t]
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        seen = (weight[:, None, :] @ keys[1]).reshape(hidden)
        now = now + seen @ self._gather[0] + self._gather[1]
        thought = _normal(now) @ self._think[0] + self._think[1]
        thought *= np.float32(0.5) * (1 + erf(thought * np.float32(0.5**0.5)))
        now = now + thought @ self._say[0] + self._say[1]
        left: Floats = (_normal(now) * self._norm[0] + self._norm[1] + self._asked[asked]) @ self._leave[0]
        left += self._leave[1]
        return left


def _normal(values: Floats) -> Floats:
    """torch's LayerNorm, before its weights."""
    n = values.shape[-1]
    values = values - values.sum(axis=-1, keepdims=True) / np.float32(n)
    values /= np.sqrt(np.einsum("...i,...i->...", values, values)[..., None] / np.float32(n) + _EPSILON)
    return values


def _after_norm(block: dict[str, Floats], norm: str, then: str) -> tuple[Floats, Floats]:
    """The linear map `then` of a block with the weights of the norm before it in its own: (matrix [in, out], bias)."""
    weight, bias = block[f"{then}.weight"], block[f"{then}.bias"]
    return (weight * block[f"{norm}.weight"]).T.copy(), bias + weight @ block[f"{norm}.bias"]
