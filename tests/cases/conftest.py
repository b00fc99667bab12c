"""Situations that users of comparable systems reported: small inputs in ../shared/cases, skipped where absent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shelfwise.shop import Shop

_CASES = Path(os.environ.get("SHELFWISE_CASES") or Path(__file__).resolve().parents[3] / "shared" / "cases")


@pytest.fixture
def case() -> Callable[[int], Path]:
    """The folder of a case by its number; the test is skipped where there is none."""

    def folder(number: int) -> Path:
        found = sorted(_CASES.glob(f"{number:02d}-*"))
        if not found:
            pytest.skip(f"case {number:02d} is not in {_CASES}")
        return found[0]

    return folder


@pytest.fixture
def new_shop(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Makes fresh shops without encoders: new_shop(currency="EUR")."""
    shops: list[Shop] = []

    def make(**settings: object) -> Shop:
        usual = {"text_encoder": "none", "image_encoder": "none", "durable": False, "report_questions": 0}
        shop = Shop.create(tmp_path / f"shop{len(shops)}", **{**usual, **settings})
        shops.append(shop)
        return shop

    yield make
    for shop in shops:
        shop.close()
