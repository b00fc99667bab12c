"""Looks at the validation while a baseline network learns: the best state is kept, and time may be bounded."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
from torch import nn

from shelfwise.metrics import Relevant, ranking
from shelfwise.models.recommender import Progress, Recommender, recommend
from shelfwise.models.sequences import Sequences

_SHARE = 3  # between two looks that the clock asks for, at least so many times what a look costs


class EarlyStopping:
    """Asked after every step; looks `times` times over `steps` and keeps the state with the best NDCG@10.

    validation: histories and what followed them; None keeps the last state. seconds: most seconds of learning, looks
    included; None is no limit, and then the result does not depend on the machine. With a limit, looks are also taken
    by the clock, and one last at the stop.

    stopped_after: seconds, where the limit ended the fit before its last step; else None.
    """

    def __init__(
        self,
        model: Recommender,
        network: nn.Module,
        validation: tuple[Sequences, Relevant] | None,
        *,
        steps: int,
        times: int,
        seconds: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.stopped_after: float | None = None
        self._model, self._network, self._validation, self._progress = model, network, validation, progress
        self._steps, self._every, self._times = steps, max(steps // times, 1), times
        self._seconds = seconds
        self._started = self._looked = time.perf_counter()
        self._cost = 0.0  # seconds of the newest look
        self._best = -1.0
        self._kept: dict[str, Any] | None = None

    def stop(self, step: int, loss: float) -> bool:
        """Whether the fit ends after this step (counted from 1), for its number or for the clock."""
        now, last = time.perf_counter(), step >= self._steps
        up = self._seconds is not None and now - self._started + self._cost >= self._seconds
        if up and not last:
            self.stopped_after = now - self._started
        if last or up or step % self._every == 0 or self._late(now):
            self._look(step, loss)
        return last or up

    def keep_best(self) -> None:
        """Give the network the best state seen."""
        if self._kept is not None:
            self._network.load_state_dict(self._kept)

    def _late(self, now: float) -> bool:
        if self._seconds is None or self._validation is None:
            return False
        return now - self._looked >= max(self._seconds / self._times, _SHARE * self._cost)

    def _look(self, step: int, loss: float) -> None:
        started = time.perf_counter()
        note = f"{self._model.name}: loss {loss:.4f}"
        if self._validation is not None:
            reached = self._reached(*self._validation)
            note += f", validation NDCG@10 {reached:.4f}"
            if reached > self._best:
                self._best, self._kept = reached, copy.deepcopy(self._network.state_dict())
            self._network.train()
        if self._progress:
            self._progress(step, self._steps, note)
        self._looked = time.perf_counter()
        self._cost = self._looked - started

    def _reached(self, histories: Sequences, wanted: Relevant) -> float:
        ids, _ = recommend(self._model, histories, 10)
        return float(np.nanmean(ranking(ids, wanted, (10,))["ndcg@10"]))
