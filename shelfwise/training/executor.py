"""Runs the steps of a training. Each is a function of its inputs, so that an executor may run it elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from shelfwise.training.memory import give_back

T = TypeVar("T")


class Executor(Protocol):
    """seconds: what each step took, by name, over all its runs."""

    seconds: dict[str, float]

    def run(self, name: str, step: Callable[[], T]) -> T: ...


class Local:
    """This process, one step after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, name: str, step: Callable[[], T]) -> T:
        give_back()  # what the steps before have freed
        started = time.perf_counter()
        try:
            return step()
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
