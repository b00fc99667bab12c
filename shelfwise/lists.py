"""Batch lists: what to show every customer of the record, in one file for a mailing or a screen without a server.

    customers → chunks → workers, each with the shop open → one file, in the order of the customers

Workers are processes of this machine or, where the extra is installed and asked for, actors of a Ray cluster. Memory is
the workers' shops and a few chunks, whatever the number of customers. Who answers is `Shop.recommend_many`, the engine.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from shelfwise.errors import InvalidRecord, InvalidRequest, MissingDependency, ShopError, UnreadableFile
from shelfwise.models.recommender import Progress
from shelfwise.schema import MAX_ID, check_text

On = Literal["processes", "ray"]
#: Of each customer the products, best first, with their scores.
Answers = list[list[tuple[str, float]]]
#: Begin with a chunk of customers; what is returned waits for its answers.
Begin = Callable[[list[str]], Callable[[], Answers]]

_CHUNK = 256  # customers a worker answers at once, as many as the engine encodes at once
_AHEAD = 3  # chunks begun for each worker, the one it is at included
_MOST = 8  # workers, unless more are asked for
_PART = 100_000  # customers whose lists are one part of a Parquet file on its way
_SCHEMA = {"customer": pl.String, "rank": pl.Int32, "product": pl.String, "score": pl.Float32}


class Answering(Protocol):
    """A shop, as far as lists need it."""

    def recommend_many(
        self, customers: Sequence[str], *, k: int, exclude_purchased: bool, now: datetime
    ) -> list[list[tuple[str, float]]]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ListRequest:
    """What each list is: `k` products, as of the moment `now`. shop: opens the shop in a folder."""

    k: int
    exclude_purchased: bool
    now: datetime
    shop: Callable[[Path], Answering]


def write_lists(
    folder: Path,
    out: Path,
    customers: Iterable[str],
    request: ListRequest,
    *,
    on: On = "processes",
    processes: int | None = None,
    total: int = 0,
    progress: Progress | None = None,
) -> int:
    """Write the lists of `customers` of the shop in `folder`; how many. A file of that name is replaced once all of
    the new one is there.

    out: .jsonl, a line a customer: {"customer": …, "items": [{"product": …, "score": …}, …]}; or .parquet, a row a
    product: customer, rank from 1, product, score. processes: workers, by default one a core and at most eight, since
    each holds the shop. total: of customers, for `progress`. Raises InvalidRequest (out), MissingDependency (on Ray),
    ShopError when a worker dies.
    """
    count = processes or min(_cores(), _MOST)
    done = 0
    with ExitStack() as stack:
        add = stack.enter_context(_writer(out))
        runs = _ray(folder, request, count) if on == "ray" else _processes(folder, request, count)
        begin = stack.enter_context(runs)
        waiting: deque[tuple[list[str], Callable[[], Answers]]] = deque()

        def take() -> int:
            chunk, answers = waiting.popleft()
            add(chunk, answers())
            if progress is not None:
                progress(done + len(chunk), max(total, done + len(chunk)), "lists made")
            return len(chunk)

        for chunk in _chunks(customers):
            waiting.append((chunk, begin(chunk)))
            if len(waiting) >= _AHEAD * count:
                done += take()
        while waiting:
            done += take()
    return done


def read_customers(path: Path) -> Iterator[str]:
    """Customers' ids of a UTF-8 file, one a line, blank lines passed over. Raises UnreadableFile, naming the line."""
    lines = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                lines += 1
                name = line.strip()
                if name:
                    check_text("customer", name, MAX_ID)
                    yield name
    except UnicodeDecodeError as error:
        raise UnreadableFile(path, f"is not UTF-8 ({error.reason}); save it as UTF-8", line=lines + 1) from None
    except OSError as error:
        raise UnreadableFile(path, f"cannot be read: {error.strerror}") from None
    except InvalidRecord as error:
        raise UnreadableFile(path, str(error), line=lines) from None


def _chunks(customers: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(customers)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        yield chunk


# Who answers


class _Desk:
    """A worker: the shop, open, answering on one thread, since workers are the parallelism."""

    def __init__(self, folder: Path, request: ListRequest) -> None:
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(1)
        threadpool_limits(1)
        self._shop = request.shop(folder)
        self._request = request

    def answer(self, customers: list[str]) -> Answers:
        request = self._request
        return self._shop.recommend_many(
            customers, k=request.k, exclude_purchased=request.exclude_purchased, now=request.now
        )


_desk: _Desk


def _open(folder: Path, request: ListRequest) -> None:
    global _desk
    _desk = _Desk(folder, request)


def _answer(customers: list[str]) -> Answers:
    return _desk.answer(customers)


@contextmanager
def _processes(folder: Path, request: ListRequest, count: int) -> Iterator[Begin]:
    # Spawned, not forked: threads of polars, torch and FAISS do not survive a fork.
    pool = ProcessPoolExecutor(count, get_context("spawn"), _open, (folder, request))
    try:
        yield lambda chunk: pool.submit(_answer, chunk).result
    except BrokenProcessPool as error:
        raise ShopError(
            "a worker ended unexpectedly, perhaps for want of memory; try fewer with --processes"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ray(folder: Path, request: ListRequest, count: int) -> Iterator[Begin]:
    """Actors of the cluster that RAY_ADDRESS names, else of one started on this machine."""
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError:
        raise MissingDependency("lists on Ray need an extra: pip install 'shelfwise[ray]'") from None
    ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    try:
        desk = ray.remote(num_cpus=1)(_Desk)
        desks = itertools.cycle([desk.remote(folder, request) for _ in range(count)])
        yield lambda chunk: partial(ray.get, next(desks).answer.remote(chunk))
    except ray.exceptions.RayActorError as error:
        raise ShopError(f"a worker of the Ray cluster ended unexpectedly: {error}") from error
    finally:
        ray.shutdown()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Where it is written


class _Add(Protocol):
    def __call__(self, customers: list[str], answers: Answers) -> None: ...


@contextmanager
def _writer(out: Path) -> Iterator[_Add]:
    """Adds lists to a file beside `out`, which takes its place at the end, unless something was raised."""
    kinds = {".jsonl": _json_lines, ".parquet": _parquet}
    if out.suffix not in kinds:
        raise InvalidRequest("OUT", f"{out.name} ends in neither .jsonl nor .parquet, which say what to write")
    if not out.absolute().parent.is_dir():
        raise InvalidRequest("OUT", f"{out.parent} is no folder; make it first")
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.absolute().parent))
    try:
        with kinds[out.suffix](scratch) as add:
            yield add
        (scratch / "whole").replace(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _json_lines(scratch: Path) -> Iterator[_Add]:
    with (scratch / "whole").open("w", encoding="utf-8") as lines:

        def add(customers: list[str], answers: Answers) -> None:
            for customer, products in zip(customers, answers, strict=True):
                items = [{"product": product, "score": score} for product, score in products]
                lines.write(json.dumps({"customer": customer, "items": items}, ensure_ascii=False) + "\n")

        yield add


@contextmanager
def _parquet(scratch: Path) -> Iterator[_Add]:
    """A part is written whenever there are customers enough; at the end the parts are streamed into one file."""
    columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA}
    parts: list[Path] = []
    held = 0

    def write() -> None:
        parts.append(scratch / f"part-{len(parts)}")
        pl.DataFrame(columns, schema=_SCHEMA).write_parquet(parts[-1])
        for values in columns.values():
            values.clear()

    def add(customers: list[str], answers: Answers) -> None:
        nonlocal held
        for customer, products in zip(customers, answers, strict=True):
            columns["customer"] += [customer] * len(products)
            columns["rank"] += range(1, len(products) + 1)
            columns["product"] += [product for product, _ in products]
            columns["score"] += [score for _, score in products]
        held += len(customers)
        if held >= _PART:
            write()
            held = 0

    yield add
    write()
    pl.scan_parquet(parts).sink_parquet(scratch / "whole")
