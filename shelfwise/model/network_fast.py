"""The network's answer for one history in NumPy: what serving asks a few hundred times a second.

Only the vector after the newest event is wanted, so only the steps of the GRU run in a loop. A step is twelve small
calls, which cost NumPy half of what they cost torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from shelfwise.model.sequences import Floats, Longs

if TYPE_CHECKING:
    from shelfwise.model.network import Network

_EPSILON = 1e-5  # of torch's LayerNorm


class Config(Protocol):
    @property
    def tower(self) -> str: ...
    @property
    def layers(self) -> int: ...


class Gru:
    """The weights of a network with a GRU of one layer, as one history needs them. Thread-safe.

    ahead: float32 [n, width]. kept: float32 [reach + 1], the weight of an event by its steps back. learned,
    remembered: how much each part of a customer's vector counts.

    The sigmoid is taken as (1 + tanh(x / 2)) / 2; the halves are in the weights. The state carries a 1 behind it, so
    that the biases are a column of the matrix.
    """

    def __init__(self, network: Network) -> None:
        weights = {name: value.detach().float().cpu().numpy() for name, value in network.tower.state_dict().items()}
        self.ahead: Floats = network.ahead.cpu().numpy()
        self.kept = (float(network.keep) ** np.arange(network.reads + 1)).astype(np.float32)
        self.learned, self.remembered = map(np.float32, network.share.tolist())
        self._kind, self._gap, self._asked = weights["kind.weight"], weights["gap.weight"], weights["asked.weight"]
        self._price = weights["price.weight"].T.copy()
        self._enter = weights["enter.weight"], weights["enter.bias"]
        self._norm = weights["norm.weight"], weights["norm.bias"]
        self._leave, self._leave_bias = weights["leave.weight"] * self.learned, weights["leave.bias"] * self.learned
        hidden = self._leave.shape[1]
        half = np.concatenate((np.full(2 * hidden, 0.5), np.ones(hidden))).astype(np.float32)
        self._read = (weights["steps.weight_ih_l0"] * half[:, None]).T.copy()
        self._read_bias = weights["steps.bias_ih_l0"] * half
        # r · (W h + b) = (1 + tanh) · (W h + b) / 2: all three parts of the recurrent matrix are halved.
        keep = np.hstack((weights["steps.weight_hh_l0"], weights["steps.bias_hh_l0"][:, None])) * np.float32(0.5)
        self._keep = np.ascontiguousarray(keep, np.float32)
        self._hidden = hidden

    @staticmethod
    def reads(config: Config) -> bool:
        """Can a network of this shape be read?"""
        return config.tower == "gru" and config.layers == 1

    def last(self, vectors: Floats, kind: npt.NDArray[np.int8], gap: Longs, price: Floats, asked: int) -> Floats:
        """float32 [hidden], the learned part of the customer's vector after t ≥ 1 events.

        vectors: float32 [t, hidden], learned, of each event's item. kind, gap: [t]. price: [t, 2], scaled. asked:
        bucket of the time from the newest event to the question.
        """
        hidden = self._hidden
        told = vectors * np.float32(hidden**0.5)
        told += self._kind[kind]
        told += self._gap[gap]
        told += price @ self._price
        told = _normalised(told, *self._enter) @ self._read + self._read_bias

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
        left: Floats = self._leave @ (_normalised(now, *self._norm) + self._asked[asked]) + self._leave_bias
        return left


def _normalised(told: Floats, weight: Floats, bias: Floats) -> Floats:
    """torch's LayerNorm."""
    told = told - told.mean(axis=-1, keepdims=True)
    told /= np.sqrt((told * told).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
    return told * weight + bias
