"""One training at a time; what was killed is said to the next, and leaves nothing half written."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shelfwise.errors import Busy, NotEnoughData
from shelfwise.running import RUNNING, TRAINING, alone, killed
from shelfwise.shop import Shop

HOLD = """
import sys, time
from pathlib import Path
from shelfwise.running import alone

with alone(Path(sys.argv[1]), "training") as (running, _):
    running._noted = 0.0
    running.note("network: epoch 3 of 15")
    print("held", flush=True)
    time.sleep(600)
"""


def held(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_training_says_that_one_runs_and_touches_nothing(tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop:
        checkpoint = shop.folder / "work" / "network-1" / "checkpoint.json"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_text("{}")
        with held(shop.folder) as process:
            try:
                with pytest.raises(Busy, match=f"process {process.pid}"):
                    shop.train()
                assert checkpoint.exists()
            finally:
                process.kill()
        with pytest.raises(NotEnoughData):
            shop.train()


def test_a_killed_training_is_said_to_the_next(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop:
        half = shop.folder / "bundles" / ".20260101-000000-ab12.deadbeef"
        half.mkdir(parents=True)
        (half / "network.safetensors").write_bytes(b"half")
        with held(shop.folder) as process:
            process.send_signal(signal.SIGKILL)
        (left,) = killed(shop.folder)
        assert (left.process, left.doing) == (process.pid, "network: epoch 3 of 15")
        assert left.memory > 2**20
        with caplog.at_level(logging.WARNING), pytest.raises(NotEnoughData):
            shop.train()
        assert "was killed at 'network: epoch 3 of 15'" in caplog.text
        assert "memory" in caplog.text
        assert not half.exists()
        caplog.clear()
        with pytest.raises(NotEnoughData):
            shop.train()  # it was said once; this one ended by itself
        assert not caplog.text
        assert not killed(shop.folder)


def test_who_ends_by_itself_leaves_no_trace(tmp_path: Path) -> None:
    for _ in range(2):
        with alone(tmp_path, TRAINING) as (running, before):
            running.note("work")
            assert before is None
            assert killed(tmp_path) == []
    assert (tmp_path / RUNNING / TRAINING).read_text() == ""


def test_a_servers_killed_process_is_told_once(tmp_path: Path) -> None:
    Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none").close()
    code = HOLD.replace('"training"', '"worker-1"').replace("network: epoch 3 of 15", "serving")
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "shop")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert not killed(tmp_path / "shop", forget=True)  # it lives
    process.kill()
    process.wait()
    process.stdout.close()
    (left,) = killed(tmp_path / "shop", forget=True)
    assert "fewer --workers" in str(left)
    assert not killed(tmp_path / "shop")
