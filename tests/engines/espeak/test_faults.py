"""espeak-ng's processes when one of them hangs or is killed: only its own text fails."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import psutil
import pytest
from websockets.asyncio.client import connect

from kani.core.errors import EngineFailed
from kani.engines.espeak.client import EspeakClient
from tests.conftest import StartServer
from tests.support.espeak_audio import audio, ipa_of
from tests.support.patience import WITHIN_S, until

LONG = "Esta frase no es corta, ni mucho menos. " * 20

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="no processes are forked on this system"),
]


@pytest.fixture
def client() -> Iterator[EspeakClient]:
    own = EspeakClient()
    yield own
    own.close()


def children(pid: int) -> list[int]:
    """The living workers and forks of espeak-ng that ``pid`` has started."""
    living = [each for each in psutil.Process(pid).children() if each.status() != psutil.STATUS_ZOMBIE]
    return [each.pid for each in living if "kani.engines.espeak.worker" in each.cmdline()]


def assert_group_ends(leader: int) -> None:
    """No process of the session that it leads lives; a killed one needs a moment to end."""
    members = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    _, alive = psutil.wait_procs(members, timeout=WITHIN_S)
    assert not alive


@pytest.mark.parametrize(
    ("text", "phonemiser"), [("Hola", False), ("palabra " * 40_000, False), ("Hola", True)]
)
def test_process_that_does_not_read_is_replaced(client: EspeakClient, text: str, phonemiser: bool) -> None:
    """Also where the request is more than a pipe holds, so that writing blocks; or its fork hangs alone."""
    assert ipa_of(client, "Hola", "es") == "ˈola"
    hung = client._process.pid
    if phonemiser:
        (fork,) = children(hung)
        os.kill(fork, signal.SIGSTOP)
    else:
        os.killpg(hung, signal.SIGSTOP)
    with pytest.raises(EngineFailed, match="hung"):
        ipa_of(client, text, "es")
    assert_group_ends(hung)
    assert ipa_of(client, "Hola", "es") == "ˈola"


@pytest.mark.parametrize("batch", [1, 2])
def test_killed_fork_fails_its_own_text_only(client: EspeakClient, batch: int) -> None:
    """Its unread acknowledgements are not taken for the next request, nor its torn answer for one."""
    expected, batches = audio(client, "Hola"), 0

    def kill(*_: object) -> None:
        nonlocal batches
        batches += 1
        if batches == batch:
            (fork,) = children(client._process.pid)
            os.kill(fork, signal.SIGKILL)

    for _ in range(3):
        batches = 0
        with pytest.raises(EngineFailed, match="crashed"):
            client.synthesize(LONG, "es", kill)
        assert np.array_equal(audio(client, "Hola"), expected)


def test_idle_phonemiser_that_is_killed_costs_no_text(client: EspeakClient) -> None:
    """A crash leaves no process."""
    assert ipa_of(client, "Hola", "es") == "ˈola"
    ended = client._process.pid
    (phonemiser,) = children(ended)
    os.kill(phonemiser, signal.SIGKILL)
    # Until the worker looks at it.
    until(lambda: psutil.Process(phonemiser).status() == psutil.STATUS_ZOMBIE)
    assert ipa_of(client, "Hola", "es") == "ˈola"
    with pytest.raises(EngineFailed):
        client.synthesize("`", "vi", lambda *_: None)
    assert_group_ends(ended)


def test_start_that_hangs_is_told_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kani.engines.espeak.client.START_TIMEOUT_S", 0.3)
    hanging = [sys.executable, "-c", "import signal; signal.pause()"]
    monkeypatch.setattr("kani.engines.espeak.client.python_command", lambda *_: hanging)
    before = threading.active_count()
    with pytest.raises(EngineFailed, match=r"^espeak-ng did not start in 0\.3 s$"):
        EspeakClient()
    assert "espeak-ng did not start in 0.3 s: its process was killed" in caplog.messages
    assert threading.active_count() == before


async def test_server_survives_a_hung_espeak(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", "--recognizer", "none", KANI_SHUTDOWN_SECONDS="2")
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
    assert_group_ends(process)
    (process,) = children(server.process.pid)
    os.killpg(process, signal.SIGSTOP)
    server.stop()
    assert_group_ends(process)
