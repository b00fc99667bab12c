"""What the counters of the last minutes tell: differences of readings, percentiles of a histogram."""

from __future__ import annotations

import math

import pytest

from shelfwise.serve.metrics import Answers, Metrics
from shelfwise.serve.pulse import BEAT, SPAN, STEP, STEPS, Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 1_020.0  # a multiple of STEP

    def __call__(self) -> float:
        return self.now


def test_percentiles_are_linear_within_a_bucket() -> None:
    metrics = Metrics()
    for seconds in [0.0015] * 50 + [0.004] * 45 + [0.2] * 4 + [60.0]:
        metrics.answered("/", "GET", 200, seconds)
    answers = metrics.totals().routes["/"]
    assert answers.count == 100
    assert answers.percentile(0.5) == pytest.approx(0.002)
    assert answers.percentile(0.25) == pytest.approx(0.0015)
    assert answers.percentile(0.95) == pytest.approx(0.005)
    assert 0.1 < answers.percentile(0.99) <= 0.25
    assert answers.percentile(0.999) == math.inf
    assert math.isnan(Answers().percentile(0.5))


def test_totals_tell_refusals_from_failures() -> None:
    metrics = Metrics()
    for status in (200, 204, 303, 404, 429, 500, 503):
        metrics.answered("/v1/search", "POST", status, 0.001)
    metrics.answered("/v1/search", "GET", 405, 0.001)
    metrics.ingested(3, 2)
    totals = metrics.totals()
    answers = totals.routes["/v1/search"]
    assert (answers.count, answers.refused, answers.failed) == (8, 3, 2)
    assert totals.events == 3


def test_a_reading_is_of_the_last_minutes() -> None:
    metrics, clock = Metrics(), Clock()
    metrics.ingested(1_000, 0)
    metrics.answered("/", "GET", 200, 9.0)
    pulse = Pulse(metrics, clock)
    reading = pulse.read()
    assert (reading.events, reading.requests, reading.answers.count, reading.steps) == (0, 0, 0, ())

    metrics.ingested(7, 1)
    for route in ("/", "/", "/v1/recommend", "/console/{page}", "/static/{file}", "/metrics"):
        metrics.answered(route, "GET", 200, 0.002)
    metrics.answered("/v1/recommend", "POST", 500, 0.02)
    reading = pulse.read()
    assert (reading.events, reading.requests) == (7, 4), "neither the console's own nor files"
    assert [(route, one.count, one.failed) for route, one in reading.routes] == [("/", 2, 0), ("/v1/recommend", 2, 1)]
    assert reading.answers.percentile(0.99) <= 0.025, "what took nine seconds was before"

    for _ in range(round(SPAN / BEAT) + 12):
        clock.now += BEAT
        pulse.beat()
        if clock.now == 1_120:
            metrics.ingested(40, 0)
        if clock.now == 1_200:
            assert (pulse.read().events, pulse.read().answers.count) == (0, 4)
    reading = pulse.read()
    assert reading.answers.count == 0, "longer ago than it looks back"
    assert reading.seconds == SPAN
    told = [(step.events, step.seconds) for step in reading.steps]
    assert sum(events for events, _ in told) == 47
    assert all(seconds == STEP for _, seconds in told)
    assert reading.steps[-1].ago < STEP

    for _ in range(round(2 * STEPS * STEP / BEAT)):
        clock.now += BEAT
        pulse.beat()
    steps = pulse.read().steps
    assert len(steps) == STEPS
    assert not any(step.events for step in steps)
