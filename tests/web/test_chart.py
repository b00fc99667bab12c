"""Charts: well-formed, without inline style, the figures all there in words, nothing out of the picture."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader, Environment, StrictUndefined

from shelfwise.serve.web import chart
from shelfwise.serve.web.chart import Bar, Line, bars, lines, scale

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("x")</script>\'&'
NUMBERS = st.floats(-1e9, 1e9)


def parsed(svg: str) -> ElementTree.Element:
    """The picture as XML, once it is sure that the policy of the pages allows it and that its references exist."""
    root = ElementTree.fromstring(str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    ids = {one.get("id") for one in root.iter() if one.get("id")}
    for one in root.iter():
        assert not {name for name in one.attrib if name == "style" or name.startswith("on")}
        for reference in re.findall(r"url\(#([^)]+)\)", one.get("fill", "")):
            assert reference in ids
    assert set(root.attrib["aria-labelledby"].split()) <= ids
    return root


def percent(value: str) -> float:
    return float(value.removesuffix("%"))


@given(NUMBERS, NUMBERS)
def test_an_axis_holds_its_values_in_round_steps(one: float, other: float) -> None:
    low, high = sorted((one, other))
    first, last, ticks = scale(low, high)
    room = 1e-6 * max(abs(low), abs(high), 1e-9)
    assert first <= low + room
    assert high - room <= last
    assert first < last
    assert 2 <= len(ticks) <= 7
    assert ticks == sorted(ticks)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.2), st.booleans()), min_size=1, max_size=8))
def test_bars_are_as_long_as_their_values(drawn: list[tuple[float, float, bool]]) -> None:
    given = [Bar(name=f"m{i}", value=v, low=v - s, high=v + s, ours=o) for i, (v, s, o) in enumerate(drawn)]
    found = bars(given, title="T", description="D", name="model", value="NDCG", interval="95 %", number="{:.3f}".format)
    root = parsed(found.svg)
    shapes = [one for one in root.iter(SVG + "rect") if one.get("class") in ("chart-bar", "chart-other")]
    widths = [percent(one.attrib["width"]) for one in shapes]
    assert [one.get("class") == "chart-bar" for one in shapes] == [ours for *_, ours in drawn]
    assert all((one.get("fill") is None) == (one.get("class") == "chart-bar") for one in shapes), "others are hatched"
    assert all(0 <= width <= 100 for width in widths)
    longest = max(v for v, *_ in drawn)
    for (value, *_), width in zip(drawn, widths, strict=True):
        if longest > 0.01:
            whole = widths[[v for v, *_ in drawn].index(longest)]
            assert math.isclose(width, whole * value / longest, abs_tol=0.05)
    assert len(root.findall(f".//{SVG}line[@class='chart-whisker']")) == 3 * len(drawn)
    assert found.rows[0] == ("m0", f"{drawn[0][0]:.3f}", f"{given[0].low:.3f} – {given[0].high:.3f}")


def test_lines_have_patterns_letters_and_a_table() -> None:
    series = [
        Line(name=EVIL, points=[(0, 0.10), (1, 0.30), (2, math.nan)], letter="A"),
        Line(name="other", points=[(0, 0.11), (1, 0.301)], band=[(0, 0.05, 0.2), (1, 0.2, 0.4)], letter="B"),
    ]
    found = lines(series, title=EVIL, description=EVIL, x_name="epoch", number="{:.2f}".format)
    root = parsed(found.svg)
    assert [one.text for one in root.iter(SVG + "title")] == [EVIL], "what a shop named is text"
    drawn = [one.attrib for one in root.iter(SVG + "polyline")]
    assert [one["class"] for one in drawn] == ["chart-line chart-line-0", "chart-line chart-line-1"]
    ends = {one.text: float(one.attrib["y"]) for one in root.iter(SVG + "text") if one.get("class") == "chart-end"}
    assert set(ends) == {"A", "B"}
    assert abs(ends["A"] - ends["B"]) >= 15, "letters do not cover each other"
    assert found.head == ("epoch", EVIL, "other")
    assert found.rows == (("0", "0.10", "0.11"), ("1", "0.30", "0.30"), ("2", "–", "–"))
    assert found.key == (("A", EVIL), ("B", "other"))


def test_a_line_alone_tells_its_last_value_and_nothing_breaks_without_points() -> None:
    one = lines(
        [Line(name="loss", points=[(1, 7.25), (2, 6.5)])],
        title="Loss",
        description="d",
        x_name="epoch",
        number="{:.1f}".format,
    )
    assert [t.text for t in parsed(one.svg).iter(SVG + "text") if t.get("class") == "chart-end"] == ["6.5"]
    assert one.key == ()
    for points in ([], [(3.0, math.nan)]):
        empty = lines([Line(name="x", points=points)], title="T", description="", x_name="e", number=str)
        assert not list(parsed(empty.svg).iter(SVG + "polyline"))
    single = lines([Line(name="x", points=[(3.0, 0.0)])], title="T", description="", x_name="e", number=str)
    assert parsed(single.svg).find(f".//{SVG}polyline") is not None
    assert parsed(bars([], title="T", description="", name="n", value="v", interval="i", number=str).svg) is not None


def test_ticks_of_nearly_equal_values_read_differently() -> None:
    line = Line(name="gini", points=[(0, 0.60511), (1, 0.60513)])
    found = lines([line], title="T", description="", x_name="e", number="{:.3f}".format)
    labels = [one.text for one in parsed(found.svg).iter(SVG + "text") if one.get("x") == "0"]
    assert len(labels) == len(set(labels)) >= 2


@given(st.lists(st.floats(0, 200), max_size=8))
def test_letters_move_apart_in_order(heights: list[float]) -> None:
    placed = chart._apart(heights, 15.0, 196.0)
    assert len(placed) == len(heights)
    for i, first in enumerate(heights):
        for j, second in enumerate(heights[:i]):
            assert abs(placed[i] - placed[j]) >= 15 - 1e-6
            assert first == second or (placed[i] < placed[j]) == (first < second)


def test_the_macro_writes_the_table_and_every_pattern_has_a_rule() -> None:
    web = Path(chart.__file__).parent
    source = (web / "templates" / "console" / "charts.html").read_text("utf-8")
    pages = Environment(
        loader=DictLoader({"m": source, "p": '{% from "m" import figure %}{{ figure(c, "Figures") }}'}),
        autoescape=True,
        undefined=StrictUndefined,
    )
    shown = pages.get_template("p").render(
        c=lines(
            [Line(name=EVIL, points=[(0, 1)], letter="A"), Line(name="b", points=[(0, 2)], letter="B")],
            title="T",
            description="D",
            x_name="epoch",
            number="{:.2f}".format,
        )
    )
    assert "<script" not in shown
    assert "1.00" in shown
    assert shown.count("<th scope") == 4
    rules = (web / "static" / "console.css").read_text("utf-8")
    assert all(f".chart-line-{place} " in rules for place in range(chart.DASHES))
    drawn = re.findall(r"chart-[a-z]+(?:-[a-z]+)*", Path(chart.__file__).read_text("utf-8"))
    plain = {name for name in drawn if name not in ("chart-name", "chart-line", "chart-other", "chart-bars")}
    assert [name for name in sorted(plain) if f".{name}" not in rules] == []
