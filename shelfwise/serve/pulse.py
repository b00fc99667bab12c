"""How busy a server is: what all its workers counted in the last minutes.

The counters only grow, so a rate is a difference of two readings. Every worker reads the counters of all at a steady
beat and keeps the readings of a quarter of an hour; whichever of them is asked tells the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from shelfwise.serve.metrics import Answers, Metrics, Totals

BEAT = 5.0  # seconds between two readings
SPAN = 300.0  # seconds that percentiles and errors are of
STEP = 30.0  # seconds a point of the curves
STEPS = 30  # points of the curves
#: Requests that no shopper makes and no shop's program: the console's own, files, what watches the server.
log = logging.getLogger("shelfwise.serve")
_OURS = ("/console", "/static/", "/images/", "/docs", "/metrics", "/v1/health", "/v1/ready")


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A piece of the curves: how long ago it ended, how long it was (seconds), and what was counted in it."""

    ago: float
    seconds: float
    events: int
    answers: Answers


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """events, requests: of the last minute. answers: of the last `seconds`, SPAN at most, of all routes together;
    routes: of each that was asked, the busiest first. steps: the curves, the oldest first."""

    events: int
    requests: int
    seconds: float
    answers: Answers
    routes: tuple[tuple[str, Answers], ...]
    steps: tuple[Step, ...]


class Pulse:
    """The counters' last minutes. `clock` gives seconds that only grow."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._kept: deque[tuple[float, Totals]] = deque(maxlen=int((STEPS + 1) * STEP / BEAT) + 2)
        self.beat()

    def beat(self) -> None:
        """Keep a reading of this moment."""
        self._kept.append((self._clock(), self._metrics.totals()))

    async def run(self) -> None:
        """Beat until cancelled, at whole multiples of BEAT, so that curves do not jitter."""
        while True:
            await asyncio.sleep(BEAT - self._clock() % BEAT)
            try:
                await asyncio.to_thread(self.beat)
            except Exception as error:  # the task's edge: a beat is left out, the next is tried
                log.warning("the overview's curves miss a beat: %s", error)

    def read(self) -> Reading:
        """What was counted up to this moment."""
        moment, now = self._clock(), self._metrics.totals()
        kept = list(self._kept)
        minute = _near(kept, moment - 60)[1]
        begun, before = _near(kept, moment - SPAN)
        routes = [(route, more) for route, more in _since(before, now).items() if more.count > 0]
        return Reading(
            events=round(now.events - minute.events),
            requests=round(sum((one.count for one in _since(minute, now).values()), 0.0)),
            seconds=min(moment - begun, SPAN),
            answers=sum((more for _, more in routes), Answers()),
            routes=tuple(sorted(routes, key=lambda one: (-one[1].count, one[0]))),
            steps=_steps(kept, moment),
        )


def _near(kept: list[tuple[float, Totals]], moment: float) -> tuple[float, Totals]:
    """The reading nearest to a moment: the first, where the server is younger."""
    return min(kept, key=lambda one: abs(one[0] - moment))


def _since(before: Totals, after: Totals) -> dict[str, Answers]:
    """By route of shoppers and shops' programs, what was answered in between."""
    return {
        route: one - before.routes.get(route, Answers())
        for route, one in after.routes.items()
        if not route.startswith(_OURS)
    }


def _steps(kept: list[tuple[float, Totals]], moment: float) -> tuple[Step, ...]:
    """Differences of readings at whole multiples of STEP, as far as they reach back."""
    ends = [moment // STEP * STEP - STEP * back for back in range(STEPS, -1, -1)]
    marks = [_near(kept, end) for end in ends if end >= kept[0][0] - BEAT]
    return tuple(
        Step(
            ago=moment - end,
            seconds=end - begin,
            events=round(after.events - before.events),
            answers=sum(_since(before, after).values(), Answers()),
        )
        for (begin, before), (end, after) in pairwise(marks)
        if end > begin
    )
