"""The ranker: features of candidates → one score, by which the sources' proposals are merged.

A ranker has a head for each question that the record can ask: what tells a good repeat from a bad one (frequency,
rhythm) says nothing of a product never bought, and beside a product page what goes with it counts. A head is boosted
regression trees (fitted by LightGBM) or a weighted sum of features; `training/fit_ranker.py` fits and chooses. Trees
are kept as LightGBM's own text, so that a bundle holds no pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from shelfwise.errors import BundleError
from shelfwise.models.forest import Forest, joined, width_of
from shelfwise.models.sequences import Floats


class Head(Protocol):
    """Scores candidates of one question."""

    def score(self, features: Floats) -> Floats:
        """float32 [c] for features float32 [c, f]; higher is better."""
        ...

    @property
    def width(self) -> int:
        """f."""
        ...

    def tensor(self) -> npt.NDArray[Any]:
        """All of it as one array, which `of` reads."""
        ...

    @classmethod
    def of(cls, tensor: npt.NDArray[Any]) -> Self: ...


class Linear:
    """A weighted sum. weights: float32 [f]."""

    def __init__(self, weights: Floats) -> None:
        self.weights = np.ascontiguousarray(weights, np.float32)

    def score(self, features: Floats) -> Floats:
        return np.asarray(features @ self.weights, np.float32)

    def plus(self, other: Linear, weight: float) -> Linear:
        """This and `weight` times the other."""
        return Linear(self.weights + np.float32(weight) * other.weights)

    @property
    def width(self) -> int:
        return len(self.weights)

    def tensor(self) -> Floats:
        return self.weights

    @classmethod
    def of(cls, tensor: npt.NDArray[Any]) -> Self:
        return cls(tensor)


class Trees:
    """Boosted trees. text: a model as LightGBM writes it."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for a text that is no model."""
        self.text = text
        self.width = width_of(text)
        self.forest = Forest.of(text)

    @classmethod
    def sum(cls, parts: Sequence[Trees]) -> Self:
        """One whose score is the sum of theirs; they read the same features."""
        return cls(joined([part.text for part in parts]))

    def score(self, features: Floats) -> Floats:
        if not len(features):
            return np.zeros(0, np.float32)
        if self.forest is not None:
            return self.forest.score(features)
        # One thread: waking a second costs more than a few hundred candidates.
        scores = self._booster.predict(features, num_threads=1, raw_score=True)
        return np.asarray(scores, np.float32)

    @cached_property
    def _booster(self) -> Any:
        import lightgbm  # with pandas it takes most of a second, and trees of a usual size do without

        return lightgbm.Booster(model_str=self.text)

    def tensor(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.text.encode(), np.uint8)

    @classmethod
    def of(cls, tensor: npt.NDArray[Any]) -> Self:
        return cls(tensor.tobytes().decode())


_KINDS: tuple[type[Head], ...] = (Linear, Trees)  # a bundle keeps the place in this row


class Ranker:
    """One score for each candidate, by question. Thread-safe.

    features: names of the columns, in order; whoever asks must compute exactly these.
    heads: what scores the candidates of each question; one without a head of its own is answered by another's, see
    `INSTEAD`.
    """

    #: Whose head answers where a question has none of its own: that of the nearest question.
    INSTEAD: ClassVar[dict[str, str]] = {
        "cart_known": "cart",
        "product": "visit",
        "cart": "visit",
        "visit": "home",
        "category": "home",
        "cold": "home",
        "new": "home",
    }

    def __init__(self, features: Sequence[str], heads: Mapping[str, Head]) -> None:
        self.features = tuple(features)
        self.heads = dict(heads)

    def score(self, features: Floats, question: str = "home") -> Floats:
        """float32 [c] for features float32 [c, len(self.features)]; higher is better."""
        while question not in self.heads:
            question = self.INSTEAD[question]
        return self.heads[question].score(features)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything learned, as arrays for a bundle."""
        return {
            "features": np.frombuffer("\n".join(self.features).encode(), np.uint8),
            "questions": np.frombuffer("\n".join(self.heads).encode(), np.uint8),
            "kinds": np.array([_KINDS.index(type(head)) for head in self.heads.values()], np.uint8),
            **{f"head.{name}": head.tensor() for name, head in self.heads.items()},
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The ranker `tensors` gave. Raises BundleError where they are none."""
        try:
            names, questions = (tensors[name].tobytes().decode().split("\n") for name in ("features", "questions"))
            kinds = [_KINDS[kind] for kind in tensors["kinds"].tolist()]
            heads = {name: kind.of(tensors[f"head.{name}"]) for kind, name in zip(kinds, questions, strict=True)}
            for head in heads.values():
                if head.width != len(names):
                    raise BundleError(f"the ranker reads {head.width} features and names {len(names)}; train again")
            heads["home"]  # the last that answers
        except (KeyError, IndexError, ValueError) as error:
            raise BundleError(f"the ranker cannot be read ({error}); train again") from None
        return cls(names, heads)
