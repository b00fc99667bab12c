"""Plan: which events each step of a training learns from, and which it is judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfwise.models.sequences import DAY, Sequences
from shelfwise.training.windows import Window, followed, midnight, windows_of


@dataclass(frozen=True, slots=True)
class Plan:
    """everything: what the last fit learns from. windows: oldest first; the sources learn what is before each, the
    ranker what follows, and the network and every choice are stopped by them. A shop that begins has none: it learns
    what needs no choice."""

    everything: Sequences
    windows: tuple[Window, ...]

    @property
    def newest(self) -> Window | None:
        return self.windows[-1] if self.windows else None


def plan_of(train: Sequences, validation: Sequences | None, days: int, *, refit: bool = True) -> Plan:
    """The windows of `days` that end with `train`, or those of a validation given apart.

    refit: learn at last from the newest window too, and from several windows; without, from what is before it."""
    if validation is None:
        everything = train
        windows = windows_of(train, midnight(train) - days * DAY, days * DAY)
    elif validation.rows and train.rows and int(validation.time.min()) > int(train.time.max()):
        everything = followed(train, validation)
        span = -(-(int(validation.time.max()) - int(validation.time.min())) // DAY) * DAY or DAY
        windows = windows_of(everything, int(validation.time.min()), span)
    else:
        # Last-item validation: customers are asked each at their own time, and nothing lies further back.
        everything = followed(train, validation)
        first = validation.time[np.minimum(validation.offsets[:-1], max(validation.rows - 1, 0))]
        windows = [Window(train, validation, np.asarray(first, np.int64))]
    if not windows:
        return Plan(everything, ())
    return Plan(everything, tuple(windows)) if refit else Plan(windows[-1].before, tuple(windows[-1:]))
