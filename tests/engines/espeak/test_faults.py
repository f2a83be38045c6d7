"""What is left of espeak-ng's speech when a process of it hangs or is killed: all but the text it was at."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import psutil
import pytest
from websockets.asyncio.client import connect

from engines.espeak.client import ANSWER_TIMEOUT_S, EspeakClient, Pcm16
from speech.errors import EngineFailed
from tests.conftest import StartServer

LONG = "Esta frase no es corta, ni mucho menos. " * 20

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="no processes are forked on this system")


@pytest.fixture
def library() -> Iterator[EspeakClient]:
    """A library whose process is the test's own."""
    own = EspeakClient()
    yield own
    own.close()


def children(pid: int) -> list[int]:
    """The living processes that ``pid`` has started."""
    return [child.pid for child in psutil.Process(pid).children() if child.status() != psutil.STATUS_ZOMBIE]


def group(pid: int) -> list[int]:
    """The living processes of the session that ``pid`` leads."""
    members = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
    return members


def worker(library: EspeakClient) -> int:
    """The worker's process."""
    assert library._process is not None
    return library._process.pid


def spoken(library: EspeakClient, text: str) -> Pcm16:
    """All samples of a text."""
    pieces = [np.zeros(0, np.int16)]
    library.synthesize(text, "es", lambda pcm, *_: pieces.append(pcm))
    return np.concatenate(pieces)


def test_a_process_that_hangs_in_mid_speech_is_killed_with_its_forks(library: EspeakClient) -> None:
    """The text fails, nothing of the process is left, and the next text is spoken as ever."""
    expected, hung = spoken(library, "Hola"), worker(library)

    def stop_all(*_: object) -> None:
        assert len(group(hung)) == 2
        os.killpg(hung, signal.SIGSTOP)

    with pytest.raises(EngineFailed, match=rf"hung at this text \(no answer for {ANSWER_TIMEOUT_S:g} s\)"):
        library.synthesize(LONG, "es", stop_all)
    assert group(hung) == []
    assert np.array_equal(spoken(library, "Hola"), expected)


@pytest.mark.parametrize("text", ["Hola", "palabra " * 40_000])
def test_a_process_that_does_not_read_its_request_is_replaced(library: EspeakClient, text: str) -> None:
    """Also where the request is more than a pipe holds, so that writing it blocks."""
    hung = worker(library)
    os.killpg(hung, signal.SIGSTOP)
    with pytest.raises(EngineFailed, match="hung"):
        library.phonemize(text, "es")
    assert group(hung) == []
    assert library.phonemize("Hola", "es") == "ˈola"


def test_a_phonemiser_that_hangs_is_killed_with_its_worker(library: EspeakClient) -> None:
    """The fork that phonemises is in the group, too."""
    assert library.phonemize("Hola", "es") == "ˈola"
    hung = worker(library)
    (phonemiser,) = children(hung)
    os.kill(phonemiser, signal.SIGSTOP)
    with pytest.raises(EngineFailed, match="hung"):
        library.phonemize("Hola", "es")
    assert group(hung) == []
    assert library.phonemize("Hola", "es") == "ˈola"


@pytest.mark.parametrize("batch", [1, 2])
def test_a_fork_that_is_killed_in_mid_speech_costs_its_own_text_alone(
    library: EspeakClient, batch: int
) -> None:
    """What was sent to it is not taken for the next request, nor its torn answer for one."""
    expected, batches = spoken(library, "Hola"), 0

    def kill(*_: object) -> None:
        nonlocal batches
        batches += 1
        if batches == batch:
            (fork,) = children(worker(library))
            os.kill(fork, signal.SIGKILL)

    for _ in range(3):
        batches = 0
        with pytest.raises(EngineFailed, match="crashed"):
            library.synthesize(LONG, "es", kill)
        assert np.array_equal(spoken(library, "Hola"), expected)


def test_a_phonemiser_that_is_killed_while_idle_costs_no_text(library: EspeakClient) -> None:
    """Another takes its place before the next text is asked for."""
    assert library.phonemize("Hola", "es") == "ˈola"
    (phonemiser,) = children(worker(library))
    os.kill(phonemiser, signal.SIGKILL)
    # Until the worker looks at it.
    while psutil.Process(phonemiser).status() != psutil.STATUS_ZOMBIE:
        continue
    assert library.phonemize("Hola", "es") == "ˈola"


def test_no_process_is_left_behind_by_a_crash(library: EspeakClient) -> None:
    """The phonemiser ends with a worker whose fork crashed, and is reaped by it."""
    library.phonemize("Hola", "es")
    ended = worker(library)
    with pytest.raises(EngineFailed):
        library.synthesize("`", "vi", lambda *_: None)
    assert group(ended) == []


async def test_a_server_whose_espeak_hangs_says_so_and_speaks_again_and_ends(
    start_server: StartServer,
) -> None:
    """The client is told within its time limit, the next one is spoken to, and SIGTERM ends the server."""
    server = start_server(
        "--engine", "espeak", "--recognizer", "none", KANI_REQUEST_TIMEOUT="5", KANI_SHUTDOWN_SECONDS="2"
    )
    (process,) = children(server.process.pid)
    async with connect(server.url) as socket:
        await socket.send(json.dumps({"type": "tts_stream_request", "data": {"text": LONG * 10}}))
        assert json.loads(await socket.recv())["type"] == "tts_stream_chunk"
        os.killpg(process, signal.SIGSTOP)
        while (message := json.loads(await socket.recv()))["type"] == "tts_stream_chunk":
            continue
        assert "espeak-ng hung at this text" in json.dumps(message)
        await socket.send(json.dumps({"type": "tts_request", "data": {"text": "Hola"}}))
        assert json.loads(await socket.recv())["data"]["status"] == "success"
    assert group(process) == []
    (process,) = children(server.process.pid)
    os.killpg(process, signal.SIGSTOP)
    server.stop()
    assert group(process) == []
