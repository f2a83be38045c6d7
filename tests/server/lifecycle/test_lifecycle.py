"""Packages that a start loads, the time that it takes, and the end of a process after SIGTERM."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest

from kani.core.audio.pcm import wav
from kani.server.health import StartTime
from tests.running.sources import ROOT
from tests.support.patience import WITHIN_S
from tests.support.programs import python

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

# It ends once it is ready: what is imported then is what the start has waited for.
START = """
import asyncio, json, sys
from kani.composition import settings
from kani.server.app import serve

async def main():
    stop = asyncio.Event()

    def announce(server):
        print(json.dumps([*sys.modules]), flush=True)
        stop.set()

    await serve(settings.load(json.loads(sys.argv[1])), announce, stop=stop)

asyncio.run(main())
"""

# Its recogniser loads without end, in a thread.
LOADING = """
import asyncio, threading
from kani.composition import settings
from kani.server.app import serve
from kani.composition.speech_service import build_service

def build(*arguments):
    service = build_service(*arguments)

    async def start():
        print("loading", flush=True)
        await asyncio.to_thread(threading.Event().wait)

    service.recognition.recognizer.start = start
    return service

def announce(running):
    print(running.listeners.port, flush=True)

chosen = settings.load({"port": 0, "engine": "espeak", "shutdown_seconds": 0.0})
asyncio.run(serve(chosen, announce, build=build))
"""
NEEDED_LATER = {
    *("torch", "transformers", "ctranslate2", "tokenizers", "huggingface_hub"),
    *("ai_edge_litert", "onnx", "httpx2", "jwt", "cryptography", "zeroconf", "soundfile", "PIL"),
    *("haqumei", "pypinyin", "rjieba", "filelock", "tqdm", "obstore", "scipy", "opentelemetry"),
}
"""Packages that models, languages, traces or requests of their own kind bring."""


@pytest.mark.parametrize(
    ("work", "hangs"),
    [
        ("threading.Event().wait()", True),
        ("await asyncio.to_thread(threading.Event().wait)", True),
        ("await stop.wait(); threading.Thread(target=threading.Event().wait).start()", True),
        ("await stop.wait(); await asyncio.Event().wait()", True),
        ("await stop.wait()", False),
    ],
    ids=["the event loop", "a thread", "a thread left behind", "a task", "nothing"],
)
def test_whatever_hangs_the_process_ends(work: str, hangs: bool) -> None:
    program = PROGRAM.format(work=work, within_s=0.5 if hangs else WITHIN_S)
    arguments = [sys.executable, "-c", program]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        _, written = process.communicate(timeout=WITHIN_S)
    if hangs:
        assert process.returncode == 1 and b"most recent call first" in written
    else:
        assert (process.returncode, written) == (0, b"")


def test_a_model_that_is_being_loaded_holds_up_no_end() -> None:
    arguments = [sys.executable, "-c", LOADING]
    with (
        subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
        ThreadPoolExecutor(1) as pool,
    ):
        assert process.stdout is not None
        url = f"http://localhost:{int(process.stdout.readline())}/v1/audio/transcriptions"
        form = {
            "files": {"file": ("a.wav", wav(np.zeros(16_000, np.float32), 16_000))},
            "data": {"model": "m"},
        }
        asking = pool.submit(httpx2.post, url, timeout=WITHIN_S, **form)
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGTERM)
        _, written = process.communicate(timeout=WITHIN_S)
    assert (process.returncode, written) == (0, b"")
    assert asking.result().status_code == 503


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
    # In a folder that cannot be written nothing is kept.
    StartTime(known, "espeak").keep()


TOKENS = {"livekit_url": "wss://livekit.test", "livekit_api_key": "key", "livekit_api_secret": "s" * 32}


@pytest.mark.parametrize(
    ("given", "needed", "later"),
    [
        ({"engine": "kokoro", "kokoro_student": "only"}, "onnxruntime", NEEDED_LATER),
        # A server of many languages detects them from the first request on.
        ({"engine": "espeak"}, "py3langid", NEEDED_LATER | {"onnxruntime"}),
        ({"engine": "espeak", **TOKENS}, "jwt", set()),
    ],
    ids=["students", "languages", "tokens"],
)
def test_server_that_is_ready_has_loaded_what_its_requests_need(
    tmp_path: Path, given: dict[str, object], needed: str, later: set[str]
) -> None:
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(("KANI_", "OTEL_"))}
    environment |= {"KANI_DATA_DIR": str(tmp_path), "KANI_LOG_FILE": str(tmp_path / "server.log")}
    done = python("-c", START, json.dumps({"port": 0, **given}), env=environment)
    packages = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert needed in packages and not packages & later
