"""Charts as SVG made on the server: lines, and bars with 95 % intervals.

A chart has no width of its own: places across are percentages, so that text keeps its size on a phone and at a desk.
Colours come from classes in console.css, for light and dark. Nothing is told by colour alone: lines differ by dashes
and carry a letter at their end, what is not ours is hatched, intervals are drawn as whiskers, and every chart brings
its figures as a table (`Chart.head`, `Chart.rows`, shown by the macro `figure` of console/charts.html).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

Format = Callable[[float], str]
Place = Callable[[float], float]
DASHES = 6  # line patterns in console.css; a seventh line repeats the first
_TOP, _BOTTOM = 18, 24  # pixels above and under the plot, for labels
_WIDE = 94.0  # percent of the width that lines fill; the rest is for the letters at their ends
_ROW = 46  # pixels of a bar with its words
_MOST_TICKS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A picture and the same figures as a table. key: (letter, name) of each line, where there are several."""

    title: str
    description: str
    svg: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    key: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """points: (x, y) by ascending x; a y that is not finite breaks the line. band: (x, low, high), an interval. letter:
    what stands at its end."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    letter: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """ours: filled instead of hatched. low, high: the interval, NaN for none."""

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    ours: bool = False


def lines(
    series: Sequence[Line],
    *,
    title: str,
    description: str,
    x_name: str,
    number: Format,
    x_text: Format = "{:g}".format,
    from_zero: bool = False,
    height: int = 220,
) -> Chart:
    """Lines over one axis. number, x_text: how values and places read. Without a finite point the plot is empty."""
    drawn = [_finite(line) for line in series]
    values = [y for line in drawn for _, y in line.points] + [y for line in drawn for _, *ys in line.band for y in ys]
    places = [x for line in drawn for x, _ in line.points]
    mark = _mark(title, description)
    inner = height - _TOP - _BOTTOM
    parts: list[str | Markup] = []
    if values:
        low, high, ticks = _told_apart(min(0.0, *values) if from_zero else min(values), max(values), number)
        first, last = min(places), max(places)

        def across(x: float) -> float:
            return _WIDE * ((x - first) / (last - first) if last > first else 0.5)

        def down(y: float) -> float:
            return _TOP + inner * (1 - (y - low) / (high - low))

        heights = [(tick, down(tick)) for tick in ticks]
        rule = Markup('<line class="chart-grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>')
        parts += [rule.format(f"{y:.1f}") for _, y in heights]
        parts += [_path(place, line, across, down, height) for place, line in enumerate(drawn)]
        # Labels come last, on a ground of their own, so that no line runs through them.
        said = Markup('<text class="chart-label" x="0" y="{}">{}</text>')
        parts += [said.format(f"{y - 4:.1f}", number(tick)) for tick, y in heights]
        parts += _x_labels(sorted(set(places)), across, x_text, height)
        parts += _ends(drawn, across, down, number, height)
    table = _line_table(series, x_name, number, x_text)
    key = tuple((line.letter, line.name) for line in series) if len(series) > 1 else ()
    svg = _svg(mark, "chart chart-lines", title, description, parts, height)
    return Chart(title=title, description=description, svg=svg, head=table[0], rows=table[1], key=key)


def bars(
    given: Sequence[Bar],
    *,
    title: str,
    description: str,
    name: str,
    value: str,
    interval: str,
    number: Format,
    top: float | None = None,
) -> Chart:
    """A bar a row, its interval as a whisker, from zero. name, value, interval: the table's head. top: where the axis
    ends at least, so that charts side by side can share a scale. Values below zero are drawn as nothing."""
    mark = _mark(title, description, *(f"{bar.name}{bar.value}" for bar in given))
    ends = [y for bar in given for y in (bar.value, bar.high) if math.isfinite(y)]
    end = scale(0.0, max([*ends, top or 0.0], default=1.0))[1]
    parts: list[str | Markup] = [
        Markup(
            '<defs><pattern id="{}-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><rect class="chart-hatch-ground" width="6" height="6"/>'
            '<line class="chart-hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>'
        ).format(mark)
    ]
    for place, bar in enumerate(given):
        parts += _bar(bar, place * _ROW, end, number, f"url(#{mark}-hatch)")
    svg = _svg(mark, "chart chart-bars", title, description, parts, max(_ROW * len(given), 1))
    rows = tuple((bar.name, _said(bar.value, number), _interval(bar, number)) for bar in given)
    return Chart(title=title, description=description, svg=svg, head=(name, value, interval), rows=rows)


def scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Round ends of an axis that holds both, and the ticks between, ends included: steps of 1, 2 or 5 times a power of
    ten, three to six of them."""
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        spread = max(abs(high) / 2, 0.5e-9) if high else 0.5
        low, high = low - spread, high + spread
    power = 10.0 ** math.floor(math.log10(high - low))
    for part in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0):
        step = power * part
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < _MOST_TICKS:
            break
    ticks = [float(f"{i * step:.12g}") for i in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def _told_apart(low: float, high: float, number: Format) -> tuple[float, float, list[float]]:
    """`scale`, wide enough for every tick to read differently: what is less than a digit apart is no story."""
    ticks = scale(low, high)
    for _ in range(60):
        if len({number(tick) for tick in ticks[2]}) == len(ticks[2]):
            break
        more = (ticks[1] - ticks[0]) / 2
        ticks = scale(ticks[0] - more, ticks[1] + more)
    return ticks


def _finite(line: Line) -> Line:
    return Line(
        name=line.name,
        points=[(x, y) for x, y in line.points if math.isfinite(y)],
        band=[one for one in line.band if all(map(math.isfinite, one))],
        letter=line.letter,
    )


def _path(place: int, line: Line, across: Place, down: Place, height: int) -> Markup:
    """The line in a picture of its own that is stretched across: its strokes are not (vector-effect in console.css)."""
    inside: list[str | Markup] = []
    if line.band:
        edge = [(x, high) for x, _, high in line.band] + [(x, low) for x, low, _ in reversed(line.band)]
        points = " ".join(f"{across(x):.2f},{down(y):.1f}" for x, y in edge)
        inside.append(Markup('<polygon class="chart-band chart-band-{}" points="{}"/>').format(place % DASHES, points))
    points = " ".join(f"{across(x):.2f},{down(y):.1f}" for x, y in line.points)
    inside.append(Markup('<polyline class="chart-line chart-line-{}" points="{}"/>').format(place % DASHES, points))
    stretched = Markup('<svg x="0" y="0" width="100%" height="{0}" viewBox="0 0 100 {0}" preserveAspectRatio="none">')
    return stretched.format(height) + Markup("").join(inside) + Markup("</svg>")


def _x_labels(places: list[float], across: Place, text: Format, height: int) -> list[Markup]:
    """First, last and, where there is room, the middle."""
    if len(places) == 1:
        shown = [(places[0], "middle")]
    else:
        shown = [(places[0], "start"), (places[-1], "end")]
        if len(places) > 4:
            shown.insert(1, (places[len(places) // 2], "middle"))
    said = Markup('<text class="chart-label" x="{}%" y="{}" text-anchor="{}">{}</text>')
    return [said.format(f"{across(x):.2f}", height - 6, anchor, text(x)) for x, anchor in shown]


def _ends(drawn: Sequence[Line], across: Place, down: Place, number: Format, height: int) -> list[Markup]:
    """A dot at every line's end; its letter beside it, letters moved apart; a line alone tells its last value."""
    ends = [(line, *line.points[-1]) for line in drawn if line.points]
    labels = []
    dot = Markup('<circle class="chart-dot" cx="{}%" cy="{}" r="3.5"/>')
    for _, x, y in ends:
        labels.append(dot.format(f"{across(x):.2f}", f"{down(y):.1f}"))
    if len(drawn) == 1 and ends:
        _, x, y = ends[0]
        points = drawn[0].points
        falls = len(points) > 1 and points[-2][1] > y  # then the line comes from above, where the words would stand
        below = (falls and down(y) + 20 < height - _BOTTOM) or down(y) < 2 * _TOP
        at = down(y) + 20 if below else down(y) - 9
        said = Markup('<text class="chart-end" x="{}%" y="{}" text-anchor="{}">{}</text>')
        return [*labels, said.format(f"{across(x):.2f}", f"{at:.1f}", "end" if across(x) > 50 else "middle", number(y))]
    heights = _apart([down(y) for _, _, y in ends], 15.0, height - _BOTTOM)
    said = Markup('<text class="chart-end" x="{}%" y="{}" dx="8">{}</text>')
    for (line, x, _), y in zip(ends, heights, strict=True):
        labels.append(said.format(f"{across(x):.2f}", f"{y + 4:.1f}", line.letter))
    return labels


def _apart(heights: Sequence[float], gap: float, most: float) -> list[float]:
    """The heights, moved as little as it takes for them to be `gap` apart, in the same order; none below `most` as
    long as all fit."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    ordered = [heights[i] for i in order]
    for i in range(1, len(ordered)):
        ordered[i] = max(ordered[i], ordered[i - 1] + gap)
    if ordered and ordered[-1] > most:
        ordered[-1] = most
        for i in range(len(ordered) - 2, -1, -1):
            ordered[i] = min(ordered[i], ordered[i + 1] - gap)
    placed = dict(zip(order, ordered, strict=True))
    return [placed[i] for i in range(len(heights))]


def _bar(bar: Bar, top: int, end: float, number: Format, hatch: str) -> list[Markup]:
    def across(value: float) -> str:
        return f"{100 * min(max(value / end, 0.0), 1.0):.2f}%"

    name = Markup('<text class="chart-name{}" x="0" y="{}">{}</text>')
    said = Markup('<text class="chart-value" x="100%" y="{}" text-anchor="end">{}</text>')
    interval = _interval(bar, number)
    words = f"{_said(bar.value, number)}  ({interval})" if interval else _said(bar.value, number)
    rects = [
        name.format(" chart-ours" if bar.ours else "", top + 15, bar.name),
        said.format(top + 15, words),
        Markup('<rect class="chart-track" x="0" y="{}" width="100%" height="12" rx="2"/>').format(top + 23),
    ]
    if math.isfinite(bar.value):
        fill = Markup(' fill="{}"').format(hatch) if not bar.ours else Markup("")
        shape = Markup('<rect class="{}" x="0" y="{}" width="{}" height="12" rx="2"{}/>')
        rects.append(shape.format("chart-bar" if bar.ours else "chart-other", top + 23, across(bar.value), fill))
    if interval:
        middle = top + 29
        stroke = Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>')
        for kind in ("chart-whisker-ground", "chart-whisker"):  # seen on the bar and beside it, light and dark
            rects.append(stroke.format(kind, across(bar.low), across(bar.high), middle, middle))
            rects += [stroke.format(kind, across(x), across(x), middle - 5, middle + 5) for x in (bar.low, bar.high)]
    return rects


def _interval(bar: Bar, number: Format) -> str:
    if not (math.isfinite(bar.low) and math.isfinite(bar.high)):
        return ""
    return f"{number(bar.low)} – {number(bar.high)}"


def _said(value: float, number: Format) -> str:
    return number(value) if math.isfinite(value) else "–"


def _line_table(
    series: Sequence[Line], x_name: str, number: Format, x_text: Format
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """A row a place, a column a line."""
    known = [dict(line.points) for line in series]
    places = sorted({x for one in known for x in one})
    rows = tuple((x_text(x), *(_said(one.get(x, math.nan), number) for one in known)) for x in places)
    return (x_name, *(line.name for line in series)), rows


def _svg(mark: str, kind: str, title: str, description: str, parts: Sequence[str | Markup], height: int) -> Markup:
    head = Markup(
        '<svg class="{kind}" width="100%" height="{height}" role="img" aria-labelledby="{mark}-t{more}">'
        '<title id="{mark}-t">{title}</title>'
    ).format(kind=kind, height=height, mark=mark, title=title, more=f" {mark}-d" if description else "")
    if description:
        head += Markup('<desc id="{}-d">{}</desc>').format(mark, description)
    return head + Markup("").join(parts) + Markup("</svg>")


def _mark(*parts: str) -> str:
    """An id for what a chart refers to within itself; two charts of one page that say the same may share it."""
    return "chart-" + hashlib.blake2b("\0".join(parts).encode(), digest_size=5).hexdigest()
