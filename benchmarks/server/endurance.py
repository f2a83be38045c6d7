"""Memory over 1,000 utterances, and slots after 200 cancels, of engines with tiny random models.

Parts: pocket, voxcpm. KANI_JUDGE_PYTHON is the python of an environment with their packages; the memory of
their workers is listed beside the server's. Everything goes through the socket of VoxCPM's protocol:
streamed and whole answers in turn, each a session of its own, every tenth by a recording. A third of the
cancelled requests has not been heard yet, of a third the connection is closed, and four at a time compete for
the engine. Tiny models find what an utterance leaves over, not how large the published models are.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.report import JUDGE_VARIABLE, measure, mib, table
from benchmarks.server_process import HOST, READY_WITHIN_S, ROOT, Server
from kani.core.audio.pcm import wav
from tests.clients.voxcpm.wire import Client, Frame, opened

UTTERANCES = 1000
EACH = 225
"""Utterances between two looks at the memory, after the first of ``WARM``."""

WARM = 100
"""Utterances that fill what is bounded: the voices of VoxCPM's last 64 sessions, and pools of connections."""

CANCELS, AT_ONCE = 200, 4
TEXT = "Ja."
LONG = "Das geht immer so weiter und hat kein Ende. " * 5


async def _utterances(url: str, first: int, count: int, asked: dict[str, Any]) -> None:
    """Speak, one utterance after the other; each has a seed of its own."""
    recording = {"prompt_wav_url": "data:audio/wav;base64," + base64.b64encode(_recording()).decode()}
    async with opened(url) as client:
        for number in range(first, first + count):
            mode = "non_streaming" if number % 2 else "streaming"
            imitated = recording if number % 10 == 0 else {}
            answer = await client.speak(TEXT, mode=mode, seed=number, **asked, **imitated)
            if answer.last["type"] != "complete" or not answer.pcm:
                raise RuntimeError(f"utterance {number}: {answer.last}")


def _recording() -> bytes:
    """Two seconds of a hum, as a file."""
    times = np.arange(32_000) / 16_000
    tone = sum(np.sin(2 * np.pi * 110 * n * times) / n for n in range(1, 9))
    return wav((0.2 * np.asarray(tone)).astype(np.float32), 16_000)


async def _cancels(url: str, first: int, count: int, asked: dict[str, Any]) -> int:
    """Cancel requests or close their connections; returns how many were cancelled before their end."""

    async def one(number: int) -> int:
        async with opened(url) as client:
            await client.request("one", LONG, seed=number, **asked)
            if number % 3:
                while not isinstance(await client.receive(), Frame):
                    pass
            if number % 3 == 2:
                return 1
            await client.send("cancel", request_id="one")
            return await _was_cancelled(client)

    done = 0
    for number in range(first, first + count, AT_ONCE):
        done += sum(await asyncio.gather(*(one(number + other) for other in range(AT_ONCE))))
    return done


async def _was_cancelled(client: Client) -> int:
    while isinstance(message := await client.receive(), Frame) or message["type"] != "complete":
        pass
    return int(message["result"].get("cancelled", False))


def _memory(server: Server) -> list[int]:
    """Resident bytes of the server, and of its child processes."""
    process = psutil.Process(server.process_id)
    return [
        process.memory_info().rss,
        sum(child.memory_info().rss for child in process.children(recursive=True)),
    ]


def _counters(server: Server) -> dict[str, int]:
    """The counters of /health."""
    with closing(HTTPConnection(HOST, server.port, timeout=READY_WITHIN_S)) as connection:
        connection.request("GET", "/health")
        counters: dict[str, int] = json.load(connection.getresponse())["counters"]
        return counters


def _run(server: Server, **asked: Any) -> None:
    """Print the table of one server, and what is taken after the cancels."""
    url = server.url.removesuffix("/")
    looks = [("ready", _memory(server))]
    asyncio.run(_utterances(url, 0, WARM, asked))
    looks.append((f"after {WARM} utterances", _memory(server)))
    for first in range(WARM, UTTERANCES, EACH):
        asyncio.run(_utterances(url, first, EACH, asked))
        looks.append((f"after {first + EACH:,}", _memory(server)))
    cancelled = 0
    for first in range(0, CANCELS, CANCELS // 2):
        cancelled += asyncio.run(_cancels(url, first, CANCELS // 2, asked))
        looks.append((f"after {first + CANCELS // 2} cancels", _memory(server)))
    asyncio.run(_utterances(url, UTTERANCES, 1, asked))
    counters = _counters(server)
    print(table(("", "server", "its processes"), [(what, *map(mib, sizes)) for what, sizes in looks]))
    taken = ", ".join(f"{name} {counters[name]}" for name in ("sessions", "speaking", "waiting"))
    print(
        f"\n{cancelled} of {CANCELS} were cancelled before their end. Taken one utterance later: {taken}.\n"
    )


def pocket() -> None:
    """Measure Pocket TTS."""
    with _judged("pocket", "pocket_judge.py", "") as (folder, python):
        arguments = ("--pocket-languages", "de", "--pocket-model", folder, "--pocket-python", python)
        with Server("--engine", "pocket", *arguments, "--language", "de", KANI_RECOGNIZER="none") as server:
            _run(server, language="de")


def voxcpm() -> None:
    """Measure VoxCPM2."""
    with _judged("voxcpm", "voxcpm_judge.py", "voxcpm2") as (folder, python):
        arguments = ("--voxcpm-model", folder, "--voxcpm-python", python, "--device", "cpu")
        with Server("--engine", "voxcpm", *arguments, "--language", "en", KANI_RECOGNIZER="none") as server:
            _run(server, language="en", inference_timesteps=1, retry_badcase_ratio_threshold=1.0)


@contextmanager
def _judged(name: str, script: str, model: str) -> Iterator[tuple[str, str]]:
    """Make a tiny random checkpoint by its makers' package; its folder, and the python of the package."""
    python, judges = os.environ.get(JUDGE_VARIABLE, ""), ROOT / "tests" / "judges"
    if not python:
        raise SystemExit(f"{JUDGE_VARIABLE} names no environment")
    # torchaudio needs a CUDA build of torch.
    os.environ |= {"PYTHONPATH": str(judges / "voxcpm_stand_ins"), "TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        jobs = Path(scratch) / "jobs.json"
        jobs.write_text("{}", "utf-8")
        command = [python, "-P", str(judges / script), scratch, str(jobs)]
        subprocess.run(command, stdout=sys.stderr, check=True)
        print(f"{name}, a tiny random model:\n")
        yield str(Path(scratch) / model), python


if __name__ == "__main__":
    measure("server.endurance", __doc__, "Endurance", {"pocket": pocket, "voxcpm": voxcpm}, "torch", "psutil")
