"""The time that a start takes, and the end of a process after SIGTERM."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kani.server.health import StartTime
from tests.support.patience import WITHIN_S

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.server
PROGRAM = """
import asyncio, threading, time
from kani.server.lifecycle import stop_on_signal

async def serve():
    with stop_on_signal({within_s}) as stop:
        print("ready", flush=True)
        {work}

asyncio.run(serve())
"""


def told_to_end(work: str, within_s: float) -> tuple[int, str]:
    """The exit code of a process that does ``work`` and gets SIGTERM, and what it wrote to standard error."""
    program = PROGRAM.format(work=work, within_s=within_s)
    arguments = [sys.executable, "-c", program]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        _, written = process.communicate(timeout=WITHIN_S)
    return process.returncode, written.decode()


@pytest.mark.parametrize(
    "work",
    [
        "threading.Event().wait()",
        "await asyncio.to_thread(threading.Event().wait)",
        "await stop.wait(); threading.Thread(target=threading.Event().wait).start()",
        "await stop.wait(); await asyncio.Event().wait()",
    ],
    ids=["the event loop", "a thread", "a thread left behind", "a task"],
)
def test_whatever_hangs_the_process_ends(work: str) -> None:
    code, written = told_to_end(work, 0.5)
    assert code == 1 and "most recent call first" in written


def test_a_process_that_ends_in_time_says_nothing() -> None:
    assert told_to_end("await stop.wait()", WITHIN_S) == (0, "")


def test_next_start_knows_how_long_the_last_one_took(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    first = StartTime(folder, "espeak")
    assert first.left_s() is None
    first.keep()
    StartTime(folder, "kani").keep()
    known = folder / "start-seconds.json"
    assert json.loads(known.read_text()) == {"espeak": 0.0, "kani": 0.0}
    known.write_text('{"espeak": 90.5, "kani": "?"}')
    left = StartTime(folder, "espeak").left_s()
    assert left is not None and 80 < left <= 90.5
    for broken in ('{"kani": 5}', "[]", "{"):
        known.write_text(broken)
        assert StartTime(folder, "espeak").left_s() is None
    StartTime(folder, "espeak").keep()
    assert json.loads(known.read_text()) == {"espeak": 0.0}


def test_start_is_not_hurt_by_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    StartTime(tmp_path / "file", "espeak").keep()
