"""EventWriter: many concurrent writers, one commit.

A durable commit costs a forced write to the disk, whether it holds one event or hundreds (group commit; DeWitt et al.,
"Implementation Techniques for Main Memory Database Systems", SIGMOD 1984, section 5.2). While one commit is on its way
the next batch gathers, so nobody waits for a timer and the batches grow by themselves with the load.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from shelfwise.errors import ShelfwiseError, StoreError
from shelfwise.schema import Event
from shelfwise.store.events import Appended
from shelfwise.store.rows import Row, event_row
from shelfwise.store.store import Store

MAX_COMMIT = 2_000  # events of one transaction, so that nobody waits long behind a flood
MAX_WAITING = 20_000  # events waiting before `append` makes its caller wait
log = logging.getLogger("shelfwise.store")


class _Waiting(NamedTuple):
    rows: list[Row]
    loop: asyncio.AbstractEventLoop
    outcome: asyncio.Future[Appended]


class EventWriter:
    """Groups the commits of one event loop's coroutines. Made and used on the loop's thread; one thread writes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: deque[_Waiting] = deque()
        self._waiting = 0  # events in the queue
        self._room: deque[asyncio.Future[None]] = deque()  # callers made to wait, oldest first
        self._change = threading.Condition()
        self._closed = False
        self.problem = ""  # why the last events could not be recorded
        self._thread = threading.Thread(target=self._run, name="shelfwise-events", daemon=True)
        self._thread.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def waiting(self) -> int:
        """Events in the queue."""
        return self._waiting

    async def append(self, events: Sequence[Event]) -> Appended:
        """Record the events; returns once they are durable. Raises StoreError, for this call's events alone.

        A cancelled call's events may be recorded all the same.
        """
        rows = [event_row(event) for event in events]
        if not rows:
            return Appended(0, 0)
        loop = asyncio.get_running_loop()
        while self._waiting >= MAX_WAITING and not self._closed:
            room = loop.create_future()
            self._room.append(room)
            await room
        outcome: asyncio.Future[Appended] = loop.create_future()
        with self._change:
            if self._closed:
                raise StoreError("the event writer is closed; make a new one")
            self._queue.append(_Waiting(rows, loop, outcome))
            self._waiting += len(rows)
            self._change.notify()
        return await outcome

    async def close(self) -> None:
        """Write what waits, then end the thread. Later appends raise StoreError."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._make_room()
        await asyncio.to_thread(self._thread.join)

    def _make_room(self) -> None:
        while self._room and (self._closed or self._waiting < MAX_WAITING):
            room = self._room.popleft()
            if not room.done():
                room.set_result(None)
                if not self._closed:
                    return  # it will take its place first and wake the next

    def _run(self) -> None:
        while group := self._next():
            outcomes = self._write(group)
            pairs = list(zip(group, outcomes, strict=True))
            for loop in {waiting.loop for waiting in group}:
                mine = [pair for pair in pairs if pair[0].loop is loop]
                try:
                    loop.call_soon_threadsafe(self._tell, mine)
                except RuntimeError:  # the loop was closed without waiting; the events are recorded
                    continue

    def _next(self) -> list[_Waiting]:
        """What one transaction takes, at least one call's; empty when closed and drained."""
        with self._change:
            while not self._queue and not self._closed:
                self._change.wait()
            group: list[_Waiting] = []
            size = 0
            while self._queue and (not group or size + len(self._queue[0].rows) <= MAX_COMMIT):
                waiting = self._queue.popleft()
                group.append(waiting)
                size += len(waiting.rows)
            self._waiting -= size
            return group

    def _write(self, group: list[_Waiting]) -> list[Appended | ShelfwiseError]:
        try:
            outcomes: list[Appended | ShelfwiseError] = list(self._store.append_batches([one.rows for one in group]))
            self.problem = ""
            return outcomes
        except ShelfwiseError as error:
            self.problem = str(error)
            if len(group) == 1:
                log.error("events could not be recorded: %s", error)
                return [error]
        except Exception as error:  # the thread's edge: those who wait hear of any failure, and the next are written
            self.problem = str(error)
            if len(group) == 1:
                log.error("events could not be recorded", exc_info=error)
                return [StoreError(f"the events could not be recorded: {type(error).__name__}: {error}")]
        # One call's events may be to blame: each on its own, so that only the guilty one hears of it.
        return [self._write([waiting])[0] for waiting in group]

    def _tell(self, pairs: list[tuple[_Waiting, Appended | ShelfwiseError]]) -> None:
        for waiting, outcome in pairs:
            if waiting.outcome.done():  # its caller was cancelled
                continue
            if isinstance(outcome, ShelfwiseError):
                waiting.outcome.set_exception(outcome)
            else:
                waiting.outcome.set_result(outcome)
        self._make_room()
