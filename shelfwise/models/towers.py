"""What a trained sequence tower answers, without torch: serving reads it a few hundred times a second.

Histories lie one after the other without padding. Only the vector after each one's newest event is wanted, so of a
transformer block only that event looks back, and what is asked of the others is put through the block's matrices
instead of them: q · (K x) is (Kᵀ q) · x, and the sum of V x is V of their sum. `training/network_module.py` defines and
trains the same towers in torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from shelfwise.models.sequences import Floats, Ints, Longs, Sequences

GAPS = 40  # buckets of time gaps: 0 unknown, 1 none, then powers of two of a second (2^37 s are 4,000 years)
UNKNOWN = 0
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
        self._kind, self._gap, self._elapsed = weights["kind.weight"], weights["gap.weight"], weights["elapsed.weight"]
        self._position = weights.get("position", np.zeros((1, hidden), np.float32))
        self._input_norm = weights["input_norm.weight"], weights["input_norm.bias"]
        self._steps: Steps = _Transformer(weights, heads) if kind == "transformer" else _Recurrent(kind, weights)
        self._norm = weights["norm.weight"], weights["norm.bias"]
        output = {part: np.asarray(weights[f"output_proj.{part}"] * scale, np.float32) for part in ("weight", "bias")}
        self._output = output["weight"].T.copy(), output["bias"]

    def last(self, vectors: Floats, recent: Sequences, elapsed: Longs) -> Floats:
        """float32 [b, hidden], the learned part of the customers' vectors.

        vectors: float32 [m, ≥ hidden], of the items, learned part first. recent: b histories of at least one event
        each, none longer than training read. elapsed: int64 [b], bucket of the time from the newest event to the
        question.
        """
        states = _entered(
            vectors, recent.item, recent.kind, recent.time, recent.offsets, self._kind, self._gap, self._position
        )
        newest = self._steps.last(_normal(states) * self._input_norm[0] + self._input_norm[1], recent.offsets)
        return _linear(_normal(newest) * self._norm[0] + self._norm[1] + self._elapsed[elapsed], self._output)


class _Transformer:
    """One block, normalised before each part (Xiong et al. 2020)."""

    def __init__(self, weights: Weights, heads: int) -> None:
        block = {name[8:]: value for name, value in weights.items() if name.startswith("steps.0.")}
        qkv, bias = _after_norm(block, "norm1", "qkv_proj")
        hidden = len(block["out_proj.bias"])
        # The scale of attention is in the query's weights. What the keys' bias adds is the same for every event.
        scale = np.float32((hidden // heads) ** -0.5)
        self._query: Linear = qkv[:, :hidden] * scale, bias[:hidden] * scale
        key, value = (qkv[:, at : at + hidden].reshape(hidden, heads, -1) for at in (hidden, 2 * hidden))
        self._key = np.ascontiguousarray(key.transpose(1, 2, 0))  # [heads, hidden / heads, hidden]
        self._value = np.ascontiguousarray(value.transpose(1, 0, 2))  # [heads, hidden, hidden / heads]
        out = block["out_proj.weight"].T.copy()
        self._out: Linear = out, block["out_proj.bias"] + bias[2 * hidden :] @ out
        self._fc1 = _after_norm(block, "norm2", "fc1")
        self._fc2: Linear = block["fc2.weight"].T.copy(), block["fc2.bias"]

    def last(self, states: Floats, offsets: Longs) -> Floats:
        newest, normal = offsets[1:] - 1, _normal(states)
        now: Floats = states[newest]
        b, heads = len(now), len(self._key)
        query = _linear(normal[newest], self._query).reshape(b, heads, -1).transpose(1, 0, 2) @ self._key
        seen = _attended(normal, query, offsets) @ self._value
        now += _linear(seen.transpose(1, 0, 2).reshape(b, -1), self._out)
        now += _linear(_gelu(_linear(_normal(now), self._fc1)), self._fc2)
        return now


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
        cell *= _logistic(forget)
        cell += _logistic(into) * np.tanh(new)
        return np.asarray(_logistic(out) * np.tanh(cell), np.float32)

    @staticmethod
    def _gru(inward: Floats, across: Floats, hidden: Floats, _: Floats) -> Floats:
        (reset, update, new), (again, keep, old) = np.split(inward, 3, axis=1), np.split(across, 3, axis=1)
        new = np.tanh(new + _logistic(reset + again) * old)
        return np.asarray(new + _logistic(update + keep) * (hidden - new), np.float32)


def gap_bucket(seconds: Longs) -> Longs:
    """1 for no time, then 2 + ⌊log2(seconds)⌋."""
    size = (np.maximum(seconds, 1).astype(np.float64).view(np.int64) >> 52) - 1023  # the exponent of a float64
    return np.where(seconds <= 0, 1, np.minimum(2 + size, GAPS - 1))


def _linear(values: Floats, layer: Linear) -> Floats:
    result: Floats = values @ layer[0]
    result += layer[1]
    return result


def _logistic(values: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), np.float32)


@njit(cache=True, nogil=True)
def _entered(
    vectors: Floats,
    items: Ints,
    kinds: npt.NDArray[np.int8],
    times: Longs,
    offsets: Longs,
    kind: Floats,
    gap: Floats,
    position: Floats,
) -> Floats:
    """float32 [rows, hidden], what each event enters a tower with: its item, type, time since the one before, place."""
    hidden = kind.shape[1]
    root = np.float32(math.sqrt(hidden))
    states = np.empty((len(items), hidden), np.float32)
    for history in range(len(offsets) - 1):
        for row in range(offsets[history], offsets[history + 1]):
            bucket, place = UNKNOWN, row - offsets[history]
            if place:
                seconds, bucket = times[row] - times[row - 1], 1
                while seconds > 0 and bucket < GAPS - 1:
                    seconds >>= 1
                    bucket += 1
            place = min(place, len(position) - 1)
            for at in range(hidden):
                entered = vectors[items[row], at] * root + kind[kinds[row], at]
                states[row, at] = entered + gap[bucket, at] + position[place, at]
    return states


@njit(cache=True, nogil=True, fastmath=True)
def _normal(values: Floats) -> Floats:
    """torch's LayerNorm of each row, before its weights."""
    n = values.shape[1]
    normal = np.empty_like(values)
    for row in range(len(values)):
        mean = np.float32(0)
        for at in range(n):
            mean += values[row, at]
        mean /= np.float32(n)
        square = np.float32(0)
        for at in range(n):
            square += (values[row, at] - mean) ** 2
        scale = np.float32(1) / np.sqrt(square / np.float32(n) + _EPSILON)
        for at in range(n):
            normal[row, at] = (values[row, at] - mean) * scale
    return normal


@njit(cache=True, nogil=True, fastmath=True)
def _attended(states: Floats, queries: Floats, offsets: Longs) -> Floats:
    """float32 [heads, b, hidden], of each history the mean of its states, weighed by the softmax of their products with
    a head's query float32 [heads, b, hidden]."""
    heads, b, hidden = queries.shape
    seen = np.zeros((heads, b, hidden), np.float32)
    for history in range(b):
        start, stop = offsets[history], offsets[history + 1]
        weights = np.empty(stop - start, np.float32)
        for head in range(heads):
            highest = np.float32(-np.inf)
            for row in range(start, stop):
                product = np.float32(0)
                for at in range(hidden):
                    product += states[row, at] * queries[head, history, at]
                weights[row - start] = product
                highest = max(highest, product)
            total = np.float32(0)
            for place in range(stop - start):
                weights[place] = np.exp(weights[place] - highest)
                total += weights[place]
            for row in range(start, stop):
                weight = weights[row - start] / total
                for at in range(hidden):
                    seen[head, history, at] += weight * states[row, at]
    return seen


@njit(cache=True, nogil=True)
def _gelu(values: Floats) -> Floats:
    """In place: x Φ(x)."""
    for row in range(len(values)):
        for at in range(values.shape[1]):
            value = values[row, at]
            values[row, at] = value * np.float32(0.5) * np.float32(1 + math.erf(value * np.float32(0.5**0.5)))
    return values


def _after_norm(block: Weights, norm: str, then: str) -> Linear:
    """The linear map `then` of a block with the weights of the norm before it in its own."""
    weight, bias = block[f"{then}.weight"], block[f"{then}.bias"]
    return (weight * block[f"{norm}.weight"]).T.copy(), bias + weight @ block[f"{norm}.bias"]
