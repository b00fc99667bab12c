"""docs/extend.md is true: its code, run as it stands there, makes a source, an artefact and a step."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfwise.engine.arrange.steps import STEPS
from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.retrieve.sources import SOURCES
from shelfwise.engine.state import State
from shelfwise.models.bundle import ARTEFACTS, Bundle

from .conftest import Simulated

PAGE = Path(__file__).parents[2] / "docs" / "extend.md"


@pytest.fixture
def extensions() -> Iterator[dict[str, Any]]:
    """What the page's blocks of code define, each run on its own; what they are listed in is put back."""
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        module = types.ModuleType("extension")
        exec(block, module.__dict__)
        names |= vars(module)
    sources, steps, artefacts = list(SOURCES), list(STEPS), dict(ARTEFACTS)
    yield names
    SOURCES[:], STEPS[:] = sources, steps
    ARTEFACTS.clear()
    ARTEFACTS.update(artefacts)


def test_one_file_and_one_line_each(
    extensions: dict[str, Any],
    simulated: Simulated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from shelfwise.engine import explain, features, pipeline, rank

    SOURCES.append(extensions["Cheapest"])
    ARTEFACTS["bargains"] = extensions["Bargains"].from_tensors
    # A fresh process computes these from SOURCES when it is imported.
    names = features.names()
    column = {name: place for place, name in enumerate(names)}
    for module in (rank, pipeline, explain):
        monkeypatch.setattr(module, "FEATURES", names)
    monkeypatch.setattr(pipeline, "COLUMN", column)
    monkeypatch.setattr(rank, "COLUMN", column)
    for prior in ("PRIOR", "SIMILAR", "UNKNOWN"):
        weights = np.zeros(len(names), np.float32)
        weights[column["cheapest"]] = 1
        monkeypatch.setattr(rank, prior, rank.Linear(weights))
    rows = np.array([7, 11, 13], np.int32)
    bundle = simulated.bundle.with_artefacts(bargains=extensions["Bargains"](rows))
    bundle.save(tmp_path / "v1")
    bundle = Bundle.load(tmp_path / "v1")
    assert bundle.artefacts["bargains"].rows.tolist() == rows.tolist()
    engine = pipeline.Engine(bundle, Catalogue(bundle, simulated.frame()))
    STEPS.clear()  # so that the order is the score's
    answer = engine.recommend(pipeline.Request(k=4), State.nothing(bundle.until))
    assert [item.product for item in answer.items[:3]] == ["p7", "p11", "p13"]
    assert {item.reason for item in answer.items[:3]} == {"Our best bargain"}
    assert all("cheapest" in item.sources for item in answer.items[:3])
    STEPS.append(extensions["every_second"])
    halved = engine.recommend(pipeline.Request(k=4), State.nothing(bundle.until))
    assert [item.product for item in halved.items[:2]] == ["p7", "p13"]
    bare = pipeline.Engine(simulated.bundle, Catalogue(simulated.bundle))
    assert "cheapest" not in {source.name for source in bare.sources}, "left out where the bundle lacks its artefact"
