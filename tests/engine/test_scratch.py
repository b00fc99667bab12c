"""The scratch tables of a thread: nothing stays hidden, whatever happens."""

from __future__ import annotations

import numpy as np
import pytest

from shelfwise.engine.context import Scratch


def test_nothing_stays_hidden_after_an_error() -> None:
    scratch = Scratch()
    rows = np.array([1, 3], np.int32)
    with pytest.raises(ZeroDivisionError), scratch.hiding(5, rows):
        _ = 1 // int(not scratch.hidden[rows].all())
    assert not scratch.hidden.any()
    with pytest.raises(IndexError), scratch.hiding(5, np.array([2, 10**6], np.int32)):
        pass
    assert not scratch.hidden.any()
