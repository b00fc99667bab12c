"""Is the server well? What it can do now, and what is degraded, in words that anybody may read.

Whoever asks needs no key, so nothing of the shop's insides (paths, addresses) is said here; the log has it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shelfwise.errors import ShelfwiseError
from shelfwise.shop import Shop

ROOM = 100_000_000  # bytes on the shop's disk below which it is said
LEAST = 5_000_000  # below which events cannot safely be recorded
PATIENCE = 3.0  # seconds a probe of the record may take


@dataclass(frozen=True, slots=True)
class Check:
    """well: nothing to say. needed: without it the server is not ready."""

    well: bool
    message: str = ""
    needed: bool = False


class Readiness:
    """One worker's view of one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="shelfwise-probe")
        self._probe: asyncio.Future[str] | None = None

    def close(self) -> None:
        self._probes.shutdown(wait=False, cancel_futures=True)

    def seen(self, *, following: str, recording: str, waiting: int, most: int) -> dict[str, Check]:
        """What is known without asking the record. following, recording: what went wrong last, "" for nothing.
        waiting: events in the queue."""
        problems = self._shop.problems
        free = self._room()
        room = f"only {max(free, 0) // 1_000_000:,} MB are free on the shop's disk: make room"
        checks = {
            "record": Check(not recording, "the last events could not be recorded; the log says why", needed=True),
            "answers": Check(
                self._shop.answers,
                "there are no products yet: load them (`shelfwise load products`, PUT /v1/products)",
                needed=True,
            ),
            "search": Check(self._shop.searches, "the search index is not open yet", needed=True),
            "disk": Check(free >= ROOM, room, needed=free < LEAST),
            "following": Check(
                not following, "changes of other processes are not followed; the log says why, and it is tried again"
            ),
            "queue": Check(waiting < most, "events come faster than they can be recorded"),
        }
        checks |= {name: Check(False, message) for name, message in problems.items()}
        return checks

    async def probed(self, checks: Mapping[str, Check]) -> dict[str, Check]:
        """The same, having asked the record whether it can be written now."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.get_running_loop().run_in_executor(self._probes, self._ask)
        try:
            wrong = await asyncio.wait_for(asyncio.shield(self._probe), PATIENCE)
        except TimeoutError:
            slow = Check(False, "the record has been busy for some seconds (an import, or a slow disk): events wait")
            return {**checks, "record": slow}
        return {**checks, "record": Check(False, wrong, needed=True)} if wrong else dict(checks)

    def _ask(self) -> str:
        try:
            self._shop.store.check_writable()
        except ShelfwiseError:
            return "the record cannot be reached or written: see the log, the disk, and `store` in shelfwise.toml"
        return ""

    def _room(self) -> int:
        try:
            return shutil.disk_usage(self._shop.folder).free
        except OSError:
            return 0


def degraded(checks: Mapping[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if not check.well]


def ready(checks: Mapping[str, Check]) -> bool:
    return all(check.well or not check.needed for check in checks.values())
