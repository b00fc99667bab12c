"""Jobs: processes of their own whose state any worker reads from the shop's folder."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from shelfwise.schema import now
from shelfwise.serve.imports import UPLOADS, read_report
from shelfwise.serve.jobs import ENDED, JOBS, KEPT, Job, Jobs
from shelfwise.shop import Shop

NAME = "0123456789abcdef" * 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none").close()
    (tmp_path / "shop" / UPLOADS).mkdir()
    return tmp_path / "shop"


def feed(folder: Path, rows: int) -> dict[str, str]:
    """The arguments of an import of so many products."""
    lines = "\n".join(f"p{n},Product {n},{n % 90 + 1} USD" for n in range(rows))
    (folder / UPLOADS / NAME).write_text(f"id,title,price\n{lines}\n", "utf-8")
    return {"file": NAME, "name": "feed.csv", "check": ""}


def ended(folder: Path, job: Job) -> Job:
    """As another worker sees it."""
    jobs = Jobs(folder)
    for _ in range(600):
        seen = jobs.get(job.id)
        assert seen is not None
        if seen.state in ENDED:
            return seen
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def test_a_job_runs_beside_and_is_seen_by_everybody(folder: Path) -> None:
    jobs = Jobs(folder)
    job = jobs.start("load", feed(folder, 30))
    assert (job.state, job.kind, job.arguments["name"]) == ("running", "load", "feed.csv")
    done = ended(folder, job)
    assert (done.state, done.error) == ("done", "")
    assert done.started == job.started
    report = read_report(done.folder)
    assert report is not None
    assert report.kept == 30
    with Shop(folder) as shop:
        assert shop.counts().products == 30
    other = jobs.start("load", feed(folder, 5))
    assert [one.id for one in Jobs(folder).list()] == [other.id, job.id], "the newest first"
    ended(folder, other)


def test_what_goes_wrong_is_said(folder: Path) -> None:
    jobs = Jobs(folder)
    gone = jobs.start("load", {"file": "f" * 32, "name": "lost.csv", "check": "yes"})
    empty = jobs.start("train", {})
    wrong = jobs.start("train", {"epochs": "many"})
    assert "lost.csv" in ended(folder, gone).error
    assert ended(folder, empty).state == "failed"
    assert ended(folder, empty).error
    assert "epochs" in ended(folder, wrong).error


def test_a_job_is_cancelled_and_leaves_nothing_running(folder: Path) -> None:
    jobs = Jobs(folder)
    job = jobs.start("load", feed(folder, 300_000) | {"check": "yes"})
    time.sleep(0.5)
    Jobs(folder).cancel(job.id)  # another worker than the one that began it
    assert ended(folder, job).state == "cancelled"
    with Shop(folder) as shop:
        assert shop.counts().products == 0
    jobs.cancel(job.id)
    jobs.cancel("nothing")


def test_a_process_that_dies_is_noticed(folder: Path) -> None:
    job = Jobs(folder).start("load", feed(folder, 300_000) | {"check": "yes"})
    os.kill(int((job.folder / "pid").read_text()), signal.SIGKILL)
    dead = ended(folder, job)
    assert dead.state == "failed"
    assert "unexpectedly" in dead.error or "was killed" in dead.error
    for _ in range(200):  # this process waited for it, and knows a moment later how it ended
        if (job.folder / "exit").exists():
            break
        time.sleep(0.05)
    assert "for want of memory" in ended(folder, job).error


@pytest.mark.parametrize("id", ["", "..", "../jobs", "a/b", "nothing", "é", "x" * 300, "\0"])
def test_ids_that_are_none(folder: Path, id: str) -> None:
    assert Jobs(folder).get(id) is None
    assert Jobs(folder).list() == []


def test_only_the_newest_jobs_are_kept_and_never_a_running_one_is_dropped(folder: Path) -> None:
    jobs = Jobs(folder)
    running = jobs.start("load", feed(folder, 300_000) | {"check": "yes"})
    for n in range(KEPT + 5):  # ended ones of before, as a server leaves them
        id, file = f"{n:020x}", f"{n:032x}"
        (folder / JOBS / id).mkdir()
        told = {"kind": "load", "arguments": {"file": file, "check": "yes"}, "started": now().isoformat()}
        (folder / JOBS / id / "job.json").write_text(json.dumps(told), "utf-8")
        (folder / JOBS / id / "outcome.json").write_text('{"state": "done"}', "utf-8")
        (folder / UPLOADS / file).write_bytes(b"id\n")
    running.folder.rename(folder / JOBS / "0")  # the oldest of all
    another = jobs.start("train", {})
    left = {job.id for job in jobs.list()}
    assert left == {"0", another.id, *(f"{n:020x}" for n in range(5, KEPT + 5))}
    assert {path.name for path in (folder / UPLOADS).iterdir()} == {NAME, *(f"{n:032x}" for n in range(5, KEPT + 5))}
    ended(folder, another)
    jobs.cancel("0")


@pytest.mark.parametrize("what", [pytest.param("products: recording", marks=pytest.mark.slow), "reading"])
def test_a_load_that_is_cancelled_leaves_the_record_as_it_was(folder: Path, what: str) -> None:
    jobs = Jobs(folder)
    before = jobs.start("load", feed(folder, 5))
    assert ended(folder, before).state == "done"
    job = jobs.start("load", feed(folder, 200_000))
    deadline = time.monotonic() + 60
    while not (seen := jobs.get(job.id)) or what not in seen.what:
        assert seen is None or seen.state == "running", "the file is large enough to be caught on its way"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    jobs.cancel(job.id)
    assert ended(folder, job).state == "cancelled"
    with Shop(folder) as shop:
        assert shop.counts().products == 5, "all of a file or nothing"
        assert {row["id"] for row in shop.store.products_frame().iter_rows(named=True)} == {f"p{n}" for n in range(5)}
    assert (folder / UPLOADS / NAME).exists(), "to be loaded again"
    again = jobs.start("load", feed(folder, 7))
    assert ended(folder, again).state == "done"
    with Shop(folder) as shop:
        assert shop.counts().products == 7
