"""The network's answer for one history in NumPy: what serving asks a few hundred times a second.

Only the vector after the newest event is wanted, so the leaky sum is one weighted sum, and of the tower only the steps
run in a loop. A step of the GRU is twelve small calls, which cost NumPy half of what they cost torch. A tower that
learned nothing (its correction is zero) is not run at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfwise.model.sequences import Floats, Longs

_EPSILON = 1e-5  # of torch's LayerNorm


class Config(Protocol):
    @property
    def tower(self) -> str: ...
    @property
    def layers(self) -> int: ...


class Single:
    """Encodes one history. Thread-safe.

    weights: the network's parameters by name. history: most events of a history.
    follow: float32 [d, d], the map from an item's vector to what it adds.
    """

    def __init__(self, weights: Mapping[str, Floats], history: int) -> None:
        self.follow = weights["follow.weight"]
        self._weigh = weights["weigh"]
        width, rates = len(self.follow), weights["rates"].astype(np.float64)
        back = np.arange(history - 1, -1, -1)[:, None]
        kept = np.exp(-np.logaddexp(0, -rates) * back)
        self._kept = np.repeat(kept, width // len(rates), axis=1).astype(np.float32)
        self._tower = None
        if weights["tower.leave.weight"].any() or weights["tower.leave.bias"].any():
            self._tower = _Gru({name[6:]: value for name, value in weights.items() if name.startswith("tower.")})

    @staticmethod
    def reads(config: Config) -> bool:
        """Can a network of this shape be read?"""
        return config.tower == "gru" and config.layers == 1

    def encode(self, following: Floats, kind: npt.NDArray[np.int8], gap: Longs, price: Floats, asked: int) -> Floats:
        """float32 [d], the customer's vector after t ≥ 1 events, t no more than `history`.

        following: float32 [t, d], what each event's item adds. kind, gap: [t]. price: [t, 2], scaled. asked: bucket of
        the time from the newest event to the question.
        """
        told = self.leaky(following, kind)
        if self._tower is not None:
            told += self._tower.last(following, kind, gap, price, asked)
        return told

    def leaky(self, following: Floats, kind: npt.NDArray[np.int8]) -> Floats:
        """float32 [d], the leaky sum: all of the vector where the tower learned nothing."""
        faded = self._kept[len(self._kept) - len(following) :] * self._weigh[kind][:, None]
        told: Floats = (following * faded).sum(axis=0)
        return told

    @property
    def reads_prices(self) -> bool:
        """Does it look at more than the items and kinds?"""
        return self._tower is not None


class _Gru:
    """The sequence tower with a GRU of one layer. weights: the tower's parameters by name.

    The sigmoid is taken as (1 + tanh(x / 2)) / 2; the halves are in the weights. The state carries a 1 behind it, so
    that the biases are a column of the matrix.
    """

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self._enter, self._enter_bias = weights["enter.weight"].T.copy(), weights["enter.bias"]
        self._kind, self._gap, self._asked = weights["kind.weight"], weights["gap.weight"], weights["asked.weight"]
        self._price = weights["price.weight"].T.copy()
        self._norm, self._norm_bias = weights["norm.weight"], weights["norm.bias"]
        self._leave, self._leave_bias = weights["leave.weight"], weights["leave.bias"]
        hidden = self._leave.shape[1]
        half = np.concatenate((np.full(2 * hidden, 0.5), np.ones(hidden))).astype(np.float32)
        self._read = (weights["steps.weight_ih_l0"] * half[:, None]).T.copy()
        self._read_bias = weights["steps.bias_ih_l0"] * half
        # r · (W h + b) = (1 + tanh) · (W h + b) / 2: all three parts of the recurrent matrix are halved.
        keep = np.hstack((weights["steps.weight_hh_l0"], weights["steps.bias_hh_l0"][:, None])) * np.float32(0.5)
        self._keep = np.ascontiguousarray(keep, np.float32)
        self._hidden = hidden

    def last(self, following: Floats, kind: npt.NDArray[np.int8], gap: Longs, price: Floats, asked: int) -> Floats:
        """float32 [d], the correction after the newest event."""
        width, hidden = following.shape[1], self._hidden
        length = np.maximum(np.sqrt((following * following).sum(axis=1, keepdims=True)), 1e-12)
        told = (following * (width**0.5 / length)) @ self._enter
        told += self._enter_bias
        told += self._kind[kind]
        told += self._gap[gap]
        told += price @ self._price
        told -= told.mean(axis=1, keepdims=True)
        told /= np.sqrt((told * told).mean(axis=1, keepdims=True) + _EPSILON)
        told = (told * self._norm + self._norm_bias) @ self._read + self._read_bias

        state = np.zeros(hidden + 1, np.float32)
        state[-1] = 1
        now, recalled = state[:-1], np.empty(3 * hidden, np.float32)
        gates, new_recalled = recalled[: 2 * hidden], recalled[2 * hidden :]
        reset, update = gates[:hidden], gates[hidden:]
        new = np.empty(hidden, np.float32)
        one, half = np.float32(1), np.float32(0.5)
        for gates_read, new_read in zip(told[:, : 2 * hidden], told[:, 2 * hidden :], strict=True):
            np.dot(self._keep, state, out=recalled)
            np.add(gates, gates_read, out=gates)
            np.tanh(gates, out=gates)
            np.add(gates, one, out=gates)
            np.multiply(reset, new_recalled, out=new)
            np.add(new, new_read, out=new)
            np.tanh(new, out=new)
            np.subtract(now, new, out=now)
            np.multiply(update, half, out=update)
            np.multiply(now, update, out=now)
            np.add(now, new, out=now)
        left: Floats = self._leave @ (now + self._asked[asked]) + self._leave_bias
        return left
