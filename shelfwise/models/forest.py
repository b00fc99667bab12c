"""Small boosted trees over many rows at once, compiled by numba.

Every split of a tree is asked of every row, after the idea of QuickScorer (Lucchese et al. 2015): the answers of one
tree are the bits of a number, and the number finds the leaf in a table. Nothing branches, so the processor asks many
rows at a time. The scores are LightGBM's, to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from numba import njit

from shelfwise.models.sequences import Floats, Ints

_MOST_SPLITS = 8  # of one tree: bits of a byte
_ROWS = 1_024  # scored at once: what a tree reads of them stays in the nearest cache
_ZERO = np.float32(1e-35)  # LightGBM takes what lies within for nothing
_OTHERWISE = 0b1101  # bits of a split by category, or one that treats zeros or NaN as missing
_WHOLE = ("split_feature", "decision_type", "left_child", "right_child")


class Forest:
    """t trees of up to s splits. feature: int32 [t, s], column of each split; a row whose value is at most
    threshold: float32 [t, s] goes left, which sets the split's bit. leaves: float64 [t, 2^s], value by the bits."""

    def __init__(self, feature: Ints, threshold: Floats, leaves: npt.NDArray[np.float64]) -> None:
        self._feature, self._threshold, self._leaves = feature, threshold, leaves

    @classmethod
    def of(cls, text: str) -> Self | None:
        """A model as LightGBM writes it; None where its trees are too large or ask more than `value <= threshold`.
        Raises ValueError for a text that is no model."""
        trees = _parsed(text)
        splits = max((len(tree["threshold"]) for tree in trees), default=0)
        if not 0 < splits <= _MOST_SPLITS or any(kind & _OTHERWISE for tree in trees for kind in tree["decision_type"]):
            return None
        feature = np.zeros((len(trees), splits), np.int32)
        threshold = np.full((len(trees), splits), np.inf, np.float32)
        leaves = np.zeros((len(trees), 1 << splits))
        numbers = np.arange(1 << splits)
        for place, tree in enumerate(trees):
            for split, value in enumerate(tree["threshold"]):
                feature[place, split] = tree["split_feature"][split]
                threshold[place, split] = _below(value)
            # A node is a split's number, or of a leaf what comes before -1: -1 - leaf.
            waiting = [(0 if tree["threshold"] else -1, np.ones(len(numbers), np.bool_))]
            while waiting:
                node, reached = waiting.pop()
                if node < 0:
                    leaves[place, reached] = tree["leaf_value"][-1 - node]
                    continue
                left = (numbers >> node & 1).astype(np.bool_)
                waiting.append((int(tree["left_child"][node]), reached & left))
                waiting.append((int(tree["right_child"][node]), reached & ~left))
        return cls(feature, threshold, leaves)

    def score(self, features: Floats) -> Floats:
        """float32 [c] for features float32 [c, f], all of them numbers."""
        columns = np.ascontiguousarray(features.T, np.float32)
        return np.asarray(_scores(columns, self._feature, self._threshold, self._leaves), np.float32)


@njit(cache=True, nogil=True)
def _scores(
    columns: Floats, feature: Ints, threshold: Floats, leaves: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """float64 [c], Σ over the trees of the leaf that each row of float32 [f, c] reaches."""
    trees, splits = feature.shape
    scores = np.zeros(columns.shape[1], np.float64)
    leaf = np.empty(_ROWS, np.uint8)
    for start in range(0, len(scores), _ROWS):
        rows = min(_ROWS, len(scores) - start)
        for tree in range(trees):
            leaf[:rows] = 0
            for split in range(splits):
                bit, most = np.uint8(1 << split), threshold[tree, split]
                values = columns[feature[tree, split], start : start + rows]
                for row in range(rows):
                    leaf[row] |= bit if values[row] <= most else np.uint8(0)
            for row in range(rows):
                scores[start + row] += leaves[tree, leaf[row]]
    return scores


def _below(threshold: float) -> np.float32:
    """The largest float32 that is not above: a float32 passes the one when it passes the other."""
    if abs(threshold) <= _ZERO:
        return _ZERO if threshold >= 0 else np.nextafter(-_ZERO, np.float32(-np.inf))
    near = np.float32(threshold)
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))


def width_of(text: str) -> int:
    """How many features a model's text reads. Raises ValueError for a text that is no model."""
    found = re.search(r"^max_feature_idx=(\d+)$", text, re.MULTILINE)
    if found is None or not text.startswith("tree\n"):
        raise ValueError("no model of LightGBM's")
    return int(found[1]) + 1


def joined(texts: Sequence[str]) -> str:
    """One model with the trees of all, whose score is the sum of theirs."""
    head, trees, rest = "", [], ""
    for text in texts:
        width_of(text)
        head, *blocks = text.partition("end of trees")[0].split("\nTree=")
        trees += [block.partition("\n")[2] for block in blocks]
        rest = text.partition("end of trees")[2]
    head = re.sub(r"^tree_sizes=.*\n?", "", head, flags=re.MULTILINE)  # without it the blocks are read one by one
    return head + "".join(f"\nTree={place}\n{tree}" for place, tree in enumerate(trees)) + "end of trees" + rest


def _parsed(text: str) -> list[dict[str, list[Any]]]:
    """Of each tree the lists of its block, [] for one that is missing."""
    width_of(text)
    body, end, _ = text.partition("end of trees")
    if not end:
        raise ValueError("a model of LightGBM's that is not whole")
    trees = []
    for block in body.split("\nTree=")[1:]:
        lines = dict(line.split("=", 1) for line in block.splitlines()[1:] if "=" in line)
        tree: dict[str, list[Any]] = {name: [int(one) for one in lines.get(name, "").split()] for name in _WHOLE}
        for name in ("threshold", "leaf_value"):
            tree[name] = [float(one) for one in lines.get(name, "").split()]
        if lines.get("num_cat", "0") != "0":
            tree["decision_type"] = [_OTHERWISE]
        trees.append(tree)
    return trees
