"""A recording of 300 MB takes no more memory than a sentence, and others are answered meanwhile."""

import threading
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import psutil
import pytest
import soxr

from kani.core.audio.pcm import pcm16
from kani.core.types import Samples
from tests.clients.openai.conftest import RATE, assert_understood, spoken
from tests.conftest import ServerProcess
from tests.support.patience import WITHIN_S

pytestmark = pytest.mark.heard

SAID = "The old bakery opens early in the morning."
FILE_RATE, CHANNELS = 192_000, 8
"""Of a file with many bytes and few seconds, which are fast to hear."""

FILE_BYTES = 300 * 10**6
MOST_MIB = 64


@pytest.fixture(scope="module")
def sentence(server: ServerProcess) -> Samples:
    (said,) = spoken(server, (SAID, "af_heart"))
    return said


@pytest.fixture
def large(sentence: Samples, tmp_path: Path) -> Path:
    """The sentence after 97 s of silence."""
    said = np.frombuffer(pcm16(soxr.resample(sentence, RATE, FILE_RATE)), np.int16)
    path = tmp_path / "large.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((CHANNELS, 2, FILE_RATE, 0, "NONE", ""))
        file.writeframes(bytes(FILE_BYTES - len(said) * 2 * CHANNELS))
        file.writeframes(np.repeat(said, CHANNELS).tobytes())
    return path


class Memory:
    """The memory of a process, and its peak while this is open."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.start = self.peak = self._process.memory_info().rss

    def watch(self) -> None:
        while not self._ended.wait(0.05):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def end(self) -> None:
        self._ended.set()


@pytest.fixture
def transcribe(server: ServerProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.http_url, timeout=WITHIN_S) as client:
        yield client


def heard(client: httpx2.Client, path: Path) -> str:
    with path.open("rb") as file:
        fields = {"model": "whisper-1", "language": "en", "response_format": "text"}
        answer = client.post("/v1/audio/transcriptions", files={"file": file}, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_memory_does_not_grow_with_the_file(
    server: ServerProcess, transcribe: httpx2.Client, sentence: Samples, large: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short.wav"
    with wave.open(str(short), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(pcm16(sentence))
    assert_understood(heard(transcribe, short), SAID)
    memory = Memory(server.process.pid)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(memory.watch)
        answer = pool.submit(heard, transcribe, large)
        answered = 0
        while not answer.done():
            httpx2.get(f"{server.http_url}/livez", timeout=5).raise_for_status()
            answered += 1
        memory.end()
    assert_understood(answer.result(), SAID)
    assert answered > 10
    assert memory.peak - memory.start < MOST_MIB << 20
