"""What a trained sequence tower answers, in NumPy: serving reads it a few hundred times a second, and without torch.

Histories lie one after the other without padding. Only the vector after each one's newest event is wanted, so of a
transformer block only that event looks back: the others give a key and a value each. `training/network_module.py`
defines and trains the same towers in torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import erf, expit

from shelfwise.models.sequences import Floats, Longs

_EPSILON = np.float32(1e-5)  # of torch's LayerNorm
Weights = Mapping[str, Floats]
Linear = tuple[Floats, Floats]  # matrix [in, out], bias [out]


class Steps(Protocol):
    """The part of a tower that knows order."""

    def last(self, states: Floats, offsets: Longs) -> Floats:
        """float32 [b, hidden], the state after the newest event of b histories of at least one event each.

        states: float32 [rows, hidden], of all events. offsets: int64 [b + 1], as in `Sequences`.
        """
        ...


class Tower:
    """Learned customer vectors from weights named as in `training.network_module._Tower`. Thread-safe."""

    def __init__(self, kind: str, weights: Weights, heads: int, scale: float) -> None:
        """kind: lstm, gru or transformer. scale: by how much the learned part of a customer counts."""
        hidden = len(weights["norm.weight"])
        self._root = np.float32(hidden**0.5)
        self._kind, self._gap, self._elapsed = weights["kind.weight"], weights["gap.weight"], weights["elapsed.weight"]
        self._position = weights["position"] if kind == "transformer" else None
        self._input_norm = weights["input_norm.weight"], weights["input_norm.bias"]
        self._steps: Steps = _Transformer(weights, heads) if kind == "transformer" else _Recurrent(kind, weights)
        self._norm = weights["norm.weight"], weights["norm.bias"]
        output = {part: np.asarray(weights[f"output_proj.{part}"] * scale, np.float32) for part in ("weight", "bias")}
        self._output = output["weight"].T.copy(), output["bias"]

    def last(self, vectors: Floats, kind: npt.NDArray[np.int8], gap: Longs, elapsed: Longs, offsets: Longs) -> Floats:
        """float32 [b, hidden], the learned part of the customers' vectors.

        vectors: float32 [rows, hidden], learned, of each event's item. kind, gap: [rows]. elapsed: int64 [b], bucket of
        the time from the newest event to the question. offsets: int64 [b + 1], as in `Sequences`.
        """
        states = vectors * self._root
        states += self._kind[kind]
        states += self._gap[gap]
        if self._position is not None:
            states += self._position[: len(states)] if len(elapsed) == 1 else self._position[_places(offsets)]
        newest = self._steps.last(_normal(states) * self._input_norm[0] + self._input_norm[1], offsets)
        return _linear(_normal(newest) * self._norm[0] + self._norm[1] + self._elapsed[elapsed], self._output)


class _Transformer:
    """One block, normalised before each part (Xiong et al. 2020)."""

    def __init__(self, weights: Weights, heads: int) -> None:
        block = {name[8:]: value for name, value in weights.items() if name.startswith("steps.0.")}
        qkv, bias = _after_norm(block, "norm1", "qkv_proj")
        hidden = len(block["out_proj.bias"])
        # The scale of attention is in the query's weights.
        scale = np.float32((hidden // heads) ** -0.5)
        self._query: Linear = qkv[:, :hidden] * scale, bias[:hidden] * scale
        self._keys: Linear = np.ascontiguousarray(qkv[:, hidden:]), bias[hidden:]
        self._out: Linear = block["out_proj.weight"].T.copy(), block["out_proj.bias"]
        self._fc1 = _after_norm(block, "norm2", "fc1")
        self._fc2: Linear = block["fc2.weight"].T.copy(), block["fc2.bias"]
        self._heads = heads

    def last(self, states: Floats, offsets: Longs) -> Floats:
        newest, normal = offsets[1:] - 1, _normal(states)
        now: Floats = states[newest]
        query = _linear(normal[newest], self._query)
        keys = _linear(normal, self._keys)
        seen = self._attend(query, keys) if len(query) == 1 else self._attend_each(query, keys, offsets)
        now += _linear(seen, self._out)
        inner = _linear(_normal(now), self._fc1)
        inner *= np.float32(0.5) * (1 + erf(inner * np.float32(0.5**0.5)))
        now += _linear(inner, self._fc2)
        return now

    def _attend(self, query: Floats, keys: Floats) -> Floats:
        """One history as two products of matrices. query: [1, hidden]. keys: [t, 2 · hidden], with the values."""
        both = keys.reshape(len(keys), 2, self._heads, -1).transpose(1, 2, 0, 3)
        weight = (both[0] @ query.reshape(self._heads, -1, 1))[:, :, 0]  # [heads, t]
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        seen: Floats = weight[:, None, :] @ both[1]
        return seen.reshape(1, -1)

    def _attend_each(self, query: Floats, keys: Floats, offsets: Longs) -> Floats:
        """Many, each in its own rows. query: [b, hidden]. keys: [rows, 2 · hidden], with the values."""
        starts, owner = offsets[:-1], np.repeat(np.arange(len(query)), np.diff(offsets))
        both = keys.reshape(len(keys), 2, self._heads, -1)
        weight = np.einsum("rhd,rhd->rh", both[:, 0], query.reshape(len(query), self._heads, -1)[owner])
        weight = np.exp(weight - np.maximum.reduceat(weight, starts, axis=0)[owner])
        weight /= np.add.reduceat(weight, starts, axis=0)[owner]
        seen: Floats = np.add.reduceat(both[:, 1] * weight[:, :, None], starts, axis=0)
        return seen.reshape(len(query), -1)


class _Recurrent:
    """An LSTM or GRU of one layer, its gates in torch's order."""

    def __init__(self, kind: str, weights: Weights) -> None:
        self._step = self._lstm if kind == "lstm" else self._gru
        self._inward: Linear = weights["steps.weight_ih_l0"].T.copy(), weights["steps.bias_ih_l0"]
        self._across: Linear = weights["steps.weight_hh_l0"].T.copy(), weights["steps.bias_hh_l0"]

    def last(self, states: Floats, offsets: Longs) -> Floats:
        lengths = np.diff(offsets)
        order = np.argsort(-lengths, kind="stable")  # the longest first: those still going on are the first rows
        first, lengths = offsets[order], lengths[order]
        inward = _linear(states, self._inward)
        hidden, cell = (np.zeros((len(lengths), states.shape[1]), np.float32) for _ in range(2))
        for step in range(int(lengths[0])):
            on = int(np.searchsorted(-lengths, -step))  # histories longer than `step`
            old = hidden[:on]
            hidden[:on] = self._step(inward[first[:on] + step], _linear(old, self._across), old, cell[:on])
        states_after = np.empty_like(hidden)
        states_after[order] = hidden
        return states_after

    @staticmethod
    def _lstm(inward: Floats, across: Floats, _: Floats, cell: Floats) -> Floats:
        into, forget, new, out = np.split(inward + across, 4, axis=1)
        cell *= expit(forget)
        cell += expit(into) * np.tanh(new)
        return np.asarray(expit(out) * np.tanh(cell), np.float32)

    @staticmethod
    def _gru(inward: Floats, across: Floats, hidden: Floats, _: Floats) -> Floats:
        (reset, update, new), (again, keep, old) = np.split(inward, 3, axis=1), np.split(across, 3, axis=1)
        new = np.tanh(new + expit(reset + again) * old)
        return np.asarray(new + expit(update + keep) * (hidden - new), np.float32)


def _places(offsets: Longs) -> Longs:
    """int64 [rows], each row's place in its own history."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def _linear(values: Floats, layer: Linear) -> Floats:
    result: Floats = values @ layer[0]
    result += layer[1]
    return result


def _normal(values: Floats) -> Floats:
    """torch's LayerNorm, before its weights."""
    n = values.shape[-1]
    values = values - values.sum(axis=-1, keepdims=True) / np.float32(n)
    values /= np.sqrt(np.einsum("...i,...i->...", values, values)[..., None] / np.float32(n) + _EPSILON)
    return values


def _after_norm(block: Weights, norm: str, then: str) -> Linear:
    """The linear map `then` of a block with the weights of the norm before it in its own."""
    weight, bias = block[f"{then}.weight"], block[f"{then}.bias"]
    return (weight * block[f"{norm}.weight"]).T.copy(), bias + weight @ block[f"{norm}.bias"]
