"""EventWriter: what was acknowledged is recorded, whatever happens next."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import Any

import pytest

from shelfwise.errors import StoreError
from shelfwise.schema import Event
from shelfwise.store import Appended, EventWriter, Store, open_store, writer
from tests.waiting import run_apart


def event(id: str, customer: str = "A") -> Event:
    return Event(id=id, type="view_item", customer=customer, product="p")


def test_concurrent_appends_share_commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    append = store.append_batches
    monkeypatch.setattr(store, "append_batches", lambda batches: sizes.append(len(batches)) or append(batches))

    async def run() -> list[Appended]:
        async with EventWriter(store) as events:
            calls = [events.append([event(str(i)), event(f"twice{i % 10}")]) for i in range(100)]
            return await asyncio.gather(*calls)

    outcomes = run_apart(run())
    assert sum(one.accepted for one in outcomes) == 110
    assert sum(one.duplicates for one in outcomes) == 90
    assert outcomes[0] == Appended(2, 0)
    assert store.counts().events == 110
    assert sum(sizes) == 100
    assert len(sizes) < 20


def test_a_bad_batch_fails_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    append = store.append_batches

    def picky(batches: Any) -> list[Appended]:
        if any(row[0] == "bad" for rows in batches for row in rows):
            raise StoreError("the disk does not like it")
        return append(batches)

    monkeypatch.setattr(store, "append_batches", picky)

    async def run() -> list[Any]:
        async with EventWriter(store) as events:
            with pytest.raises(AttributeError):
                await events.append([None])  # type: ignore[list-item]
            names = ["1", "2", "bad", "3"]
            return await asyncio.gather(*(events.append([event(name)]) for name in names), return_exceptions=True)

    outcomes = run_apart(run())
    assert isinstance(outcomes.pop(2), StoreError)
    assert outcomes == [Appended(1, 0)] * 3
    assert store.counts().events == 3


def test_a_flood_waits_its_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING", 5)
    monkeypatch.setattr(writer, "MAX_COMMIT", 4)
    deepest = 0

    async def run() -> None:
        nonlocal deepest
        async with EventWriter(store) as events:

            async def one(number: int) -> None:
                nonlocal deepest
                await events.append([event(f"{number}a"), event(f"{number}b")])
                deepest = max(deepest, events._waiting)

            await asyncio.gather(*(one(number) for number in range(100)))
            assert await events.append([event(str(i)) for i in range(50)]) == Appended(50, 0)

    run_apart(run())
    assert store.counts().events == 250
    assert deepest <= 6


def test_closing_drains_and_cancelling_harms_nobody(store: Store) -> None:
    async def run() -> None:
        events = EventWriter(store)
        tasks = [asyncio.create_task(events.append([event(str(i))])) for i in range(50)]
        await asyncio.sleep(0)
        tasks[7].cancel()
        await events.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(outcomes[7], asyncio.CancelledError)
        assert outcomes.count(Appended(1, 0)) == 49
        with pytest.raises(StoreError, match="closed"):
            await events.append([event("late")])
        await events.close()

    run_apart(run())
    assert store.counts().events == 50


LOAD = """
import asyncio, sys
from shelfwise.schema import Event
from shelfwise.store import EventWriter, open_store

async def client(writer, name):
    for number in range(10**9):
        one = Event(id=f"{name}-{number}", type="view_item", customer=f"c{name}", product="p")
        await writer.append([one])
        print(one.id, flush=True)

async def main():
    async with EventWriter(open_store(sys.argv[1])) as writer:
        await asyncio.gather(*(client(writer, f"{sys.argv[2]}.{i}") for i in range(32)))

asyncio.run(main())
"""


def _acknowledged_until_killed(url: str, round_: int, lines: int) -> set[str]:
    with subprocess.Popen([sys.executable, "-c", LOAD, url, str(round_)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()  # what it printed before it died
    return {line.strip() for line in (*told, *rest.splitlines(keepends=True)) if line.endswith("\n")}


def _recorded(store: Store) -> set[str]:
    return {id for frame in store.event_frames() for id in frame["id"]}


def test_a_killed_process_loses_no_acknowledged_event(url: str) -> None:
    acknowledged: set[str] = set()
    for round_, lines in enumerate((150, 777, 1500)):
        acknowledged |= _acknowledged_until_killed(url, round_, lines)
        with open_store(url) as store:
            recorded = _recorded(store)
            assert acknowledged <= recorded
            assert store.counts().events == len(recorded)
    assert len(acknowledged) >= 2427


@pytest.mark.postgres
def test_a_crashed_server_loses_no_acknowledged_event(postgres: Any) -> None:
    url = postgres.new_database()
    with open_store(url) as store:
        acknowledged = _acknowledged_until_killed(url, 0, 500)
        postgres.stop(signal.SIGQUIT)  # no checkpoint: what was not in the log is gone
        with pytest.raises(StoreError, match="Is the server running"):
            store.append_events([event("down")])
        postgres.start()
        assert acknowledged <= _recorded(store)  # the very same Store connects again
        assert store.append_events([event("up")]) == Appended(1, 0)


def test_any_failure_is_told_and_the_writer_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong, those who wait hear of it, and what comes later is recorded."""
    append = store.append_batches
    failures: list[BaseException] = [
        OSError(28, "No space left on device"),
        MemoryError(),
        ValueError("a fault of ours"),
    ]

    def failing(batches: Any) -> list[Appended]:
        if failures:
            raise failures.pop()
        return append(batches)

    monkeypatch.setattr(store, "append_batches", failing)

    async def run() -> None:
        async with EventWriter(store) as events:
            for number in range(3):
                with pytest.raises(StoreError, match="could not be recorded"):
                    await asyncio.wait_for(events.append([event(str(number))]), 10)
            assert await asyncio.wait_for(events.append([event("later")]), 10) == Appended(1, 0)

    run_apart(run())
    assert store.counts().events == 1
