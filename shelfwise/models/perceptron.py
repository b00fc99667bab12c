"""A small network as a ranker's head: features of candidates → one score.

Two hidden layers of SiLU units over standardised features. Where features are logs of counts and rates, sums of them
are products of powers, which is the form of most good scores of a pair; trees need many steps for that.
`training/perceptron.py` fits it.
"""

from __future__ import annotations

import itertools
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from shelfwise.models.sequences import Floats

#: Standardised features are cut here: what training never saw should not decide.
REACH = 5.0
_FLOOR = -60.0  # where a unit is nothing, before exp overflows


class Perceptron:
    """A `Head`. mean, spread: float32 [f]. layers: (weights float32 [in, out], bias float32 [out]) of each, the last to
    one number."""

    def __init__(self, mean: Floats, spread: Floats, layers: list[tuple[Floats, Floats]]) -> None:
        self.mean, self.spread, self.layers = mean, spread, layers

    def score(self, features: Floats) -> Floats:
        values = self.standardised(features)
        for weights, bias in self.layers[:-1]:
            values = values @ weights
            values += bias
            values /= 1 + np.exp(-np.maximum(values, _FLOOR))
        weights, bias = self.layers[-1]
        return np.asarray(values @ weights[:, 0] + bias[0], np.float32)

    def standardised(self, features: Floats) -> Floats:
        """float32 [c, f], what the first layer reads."""
        return np.asarray(np.clip((features - self.mean) / self.spread, -REACH, REACH), np.float32)

    @property
    def width(self) -> int:
        return len(self.mean)

    def tensor(self) -> npt.NDArray[Any]:
        """The number of layers and their widths, then everything in a row."""
        widths = [len(self.mean), *(len(bias) for _, bias in self.layers)]
        parts = [np.array([len(self.layers), *widths], np.float32), self.mean, self.spread]
        for weights, bias in self.layers:
            parts += [weights.ravel(), bias]
        return np.concatenate(parts).astype(np.float32)

    @classmethod
    def of(cls, tensor: npt.NDArray[Any]) -> Self:
        number = int(tensor[0])
        widths = tensor[1 : number + 2].astype(int).tolist()
        sizes = [widths[0], widths[0]]
        for inward, outward in itertools.pairwise(widths):
            sizes += [inward * outward, outward]
        parts = np.split(tensor[number + 2 :].astype(np.float32), np.cumsum(sizes)[:-1])
        layers = [
            (weights.reshape(inward, outward), bias)
            for weights, bias, inward, outward in zip(parts[2::2], parts[3::2], widths[:-1], widths[1:], strict=True)
        ]
        return cls(parts[0], parts[1], layers)
