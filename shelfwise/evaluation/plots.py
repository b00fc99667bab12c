"""Charts of a report, worked out in percent of their boxes, so that a template only has to place them."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from shelfwise.metrics import Estimate


@dataclass(frozen=True)
class Mark:
    """One row of a chart: a dot with its interval, in percent of the track's width."""

    name: str
    ours: bool
    best: bool
    text: str
    interval: str
    at: float
    start: float
    width: float


@dataclass(frozen=True)
class Chart:
    """Rows over one axis. ticks: (percent of the width, label)."""

    title: str
    note: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Curve:
    """One line over epochs: points for an SVG polyline in a box of 100 × 100, and the labels at its edges."""

    title: str
    points: str
    dot: tuple[float, float]
    low: str
    high: str
    first: str
    last: str
    summary: str


def number(value: float, digits: int = 4) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def intervals(
    title: str,
    note: str,
    estimates: Mapping[str, Estimate],
    top: float,
    *,
    ours: Container[str],
    called: Callable[[str], str],
) -> Chart:
    """Models in the order given, on an axis from 0 to `top` or a little beyond. called: what a model's name reads."""
    step = round_step(top)
    end = math.ceil(top / step - 1e-9) * step
    best = max((one.mean for one in estimates.values() if not math.isnan(one.mean)), default=0.0)
    marks = []
    for name, one in estimates.items():
        low, high, mean = (0.0 if math.isnan(v) else min(max(v / end, 0.0), 1.0) for v in (one.low, one.high, one.mean))
        marks.append(
            Mark(
                name=called(name),
                ours=name in ours,
                best=one.mean == best and best > 0,
                text=number(one.mean),
                interval=f"{number(one.low)} – {number(one.high)}",
                at=round(100 * mean, 2),
                start=round(100 * low, 2),
                width=round(100 * (high - low), 2),
            )
        )
    count = round(end / step)
    digits = max(0, -math.floor(math.log10(step)))
    ticks = tuple((round(100 * i / count, 2), f"{i * step:.{digits}f}") for i in range(count + 1))
    return Chart(title, note, tuple(marks), ticks)


def curve(title: str, values: Sequence[tuple[float, float]], summary: str, *, best: bool) -> Curve:
    """values: (epoch, height). summary: text with gaps for {value} and {epoch} of the dot, which stands on the highest
    point if `best`, else on the last."""
    epochs = [epoch for epoch, _ in values]
    heights = [value for _, value in values]
    low, high = min(heights), max(heights)
    across, up = max(epochs[-1] - epochs[0], 1e-9), max(high - low, 1e-9)

    def place(epoch: float, value: float) -> tuple[float, float]:
        return round(100 * (epoch - epochs[0]) / across, 2), round(100 - 100 * (value - low) / up, 2)

    marked = max(values, key=lambda one: one[1]) if best else values[-1]
    return Curve(
        title=title,
        points=" ".join(f"{x},{y}" for x, y in (place(*one) for one in values)),
        dot=place(*marked),
        low=number(low),
        high=number(high),
        first=f"{epochs[0]:g}",
        last=f"{epochs[-1]:g}",
        summary=summary.format(value=number(marked[1]), epoch=f"{marked[0]:g}"),
    )


def highest(estimates: Iterable[Estimate]) -> float:
    """The highest end of any interval; what a shared axis must reach."""
    return max((one.high for one in estimates if not math.isnan(one.high)), default=0.0) or 1.0


def round_step(top: float) -> float:
    """1, 2 or 5 times a power of ten, such that three to six steps reach `top`."""
    power = 10 ** math.floor(math.log10(top))
    return float(next(power * part for part in (0.1, 0.2, 0.5, 1.0, 2.0) if top / (power * part) <= 5))
