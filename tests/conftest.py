"""What all tests share: few threads, no settings from outside, the way to the real data."""

from __future__ import annotations

import os
from pathlib import Path

# Before NumPy, Polars or PyTorch are imported: on a small machine, pools of all of them at once only wait.
_THREADS = str(min(2, os.cpu_count() or 1))
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_variable, _THREADS)
# Threads that wait for others by spinning on cores that others need made a small training six times as long.
for _variable, _value in (("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "0"), ("KMP_BLOCKTIME", "0")):
    os.environ.setdefault(_variable, _value)

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# Timing is never asserted, so no example has a deadline; in CI the examples are the same each time, and fewer.
_CI = "CI" in os.environ
settings.register_profile("shelfwise", deadline=None, derandomize=_CI, max_examples=50 if _CI else 100)
settings.load_profile("shelfwise")

_DATA = Path(os.environ.get("SHELFWISE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """SHELFWISE_PORT=9000 in a developer's shell is none of a test's business."""
    for variable in os.environ:
        if variable.startswith("SHELFWISE_") and variable != "SHELFWISE_DATA":
            monkeypatch.delenv(variable)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    if not _DATA.is_dir():
        pytest.skip(f"no real data: set SHELFWISE_DATA or put it into {_DATA}")
    return _DATA


@pytest.fixture(scope="session")
def vendure_archive() -> Path:
    """The archive of @vendure/create, fetched once and kept beside the tests; skipped where it cannot be had."""
    from shelfwise.errors import MissingDependency
    from shelfwise.intake import vendure

    try:
        return vendure.fetch(Path(__file__).resolve().parents[1] / ".cache")
    except MissingDependency as error:
        pytest.skip(str(error))
