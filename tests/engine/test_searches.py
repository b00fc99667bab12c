"""What somebody searched for shows in the next answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine, question_of
from shelfwise.engine.request import Answer, Request
from shelfwise.engine.state import (
    PURCHASE,
    SEARCH,
    VIEW,
    Searched,
    State,
    extended,
    states_of,
    with_searches,
)

from .conftest import Simulated


@pytest.fixture(scope="module")
def engine(simulated: Simulated) -> Engine:
    return Engine(simulated.bundle, Catalogue(simulated.bundle, simulated.frame()))


def answered(engine: Engine, state: State, **fields: object) -> Answer:
    return engine.recommend(Request(session="s", **fields), state)  # type: ignore[arg-type]


def members(simulated: Simulated, group: int, n: int = 8) -> np.ndarray:
    return np.flatnonzero(simulated.shop.groups == group)[:n].astype(np.int32)


def test_a_strangers_search_brings_what_it_found_and_says_so(simulated: Simulated, engine: Engine) -> None:
    now = simulated.bundle.until
    sought = members(simulated, 5)
    before = answered(engine, State.nothing(now))
    state = with_searches(State.nothing(now), [Searched(now - 60, "green lamp", sought)])
    after = answered(engine, state)
    names = {f"p{row}" for row in sought}
    assert len(names & {item.product for item in after.items}) > len(names & {item.product for item in before.items})
    told = [item for item in after.items if item.reason == "Because you searched for green lamp"]
    assert {item.sources[0] for item in told if item.product in names} == {"search"}
    assert {item.because.query for item in told} == {"green lamp"}
    assert any(item.product in names for item in told)
    assert not any("looked at" in item.reason for item in after.items)


def test_a_customers_search_moves_the_answer_and_keeps_what_they_had(simulated: Simulated, engine: Engine) -> None:
    now = simulated.bundle.until
    (state,) = states_of(simulated.shop.sequences.select(slice(0, 1)), now)
    missing = next(group for group in range(12) if group not in set(simulated.shop.groups[state.events.item]))
    sought = members(simulated, missing)
    after = answered(engine, with_searches(state, [Searched(now, "红色", sought)]))
    found = [item for item in after.items if item.product in {f"p{row}" for row in sought}]
    assert found
    assert found[0].reason == "Because you searched for 红色"
    chinese = Engine(simulated.bundle, engine.catalogue, language="zh")
    reasons = [item.reason for item in answered(chinese, with_searches(state, [Searched(now, "红色", sought)])).items]
    assert "因为您搜索过“红色”" in reasons


def test_a_search_without_finds_and_one_before_the_events_change_nothing(simulated: Simulated, engine: Engine) -> None:
    (state,) = states_of(simulated.shop.sequences.select(slice(0, 1)), simulated.bundle.until)
    assert with_searches(state, [Searched(5, "x", np.empty(0, np.int32))]) is state
    met = state.events.item[-3:]
    again = with_searches(state, [Searched(int(state.events.time[-1]) - 10**6, "x", met)])
    assert again.events.item.tolist() == state.events.item.tolist()
    assert len(again.searches) == 1


def test_what_a_search_found_stands_at_its_time_best_last(simulated: Simulated) -> None:
    (state,) = states_of(simulated.shop.sequences.select(slice(0, 1)), simulated.bundle.until)
    when = simulated.bundle.until + 5
    found = with_searches(state, [Searched(when, "x", np.array([3, 1, 2], np.int32))])
    assert found.events.item[-3:].tolist() == [2, 1, 3]
    assert found.events.kind[-3:].tolist() == [SEARCH] * 3
    assert (np.diff(found.events.time) >= 0).all()
    assert found.events.offsets.tolist() == [0, len(found.events.item)]


def test_what_a_search_found_is_nothing_done(simulated: Simulated, engine: Engine) -> None:
    """A first visit stays one after a search: its few looks decide, however many products the search found."""
    now = simulated.bundle.until

    def visit(looks: int, kind: int = VIEW) -> bool:
        state = State.nothing(now)
        state = replace(state, events=extended(state.events, list(range(looks)), kind, now))
        searched = with_searches(state, [Searched(now - 60, "green lamp", members(simulated, 5))])
        assert searched.events.rows > looks + 3
        return question_of(Request(session="s"), searched.events, 0) == "visit"

    assert visit(0)
    assert visit(5)
    assert not visit(6)
    assert not visit(1, PURCHASE)
    assert question_of(Request(session="s"), State.nothing(now).events, 0) == "home"
