"""A server that may take no more memory when the recogniser is first needed."""

import sys

import httpx
import psutil
import pytest

from tests.conftest import StartServer
from tests.support.patience import WITHIN_S

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(sys.platform != "linux", reason="limits another process' memory"),
]

MORE_BYTES = 100 << 20
SPEECH = {"model": "tts-1", "input": "The train leaves at nine.", "voice": "alloy", "response_format": "wav"}


def test_recording_is_refused_in_words_until_there_is_memory(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak")
    process = psutil.Process(server.process.pid)
    with httpx.Client(base_url=server.http_url, timeout=WITHIN_S) as client:
        spoken = client.post("/v1/audio/speech", json=SPEECH).content

        def transcribed() -> httpx.Response:
            files = {"file": ("a.wav", spoken)}
            return client.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-1"})

        unlimited = process.rlimit(psutil.RLIMIT_AS)
        process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms + MORE_BYTES, unlimited[1]))
        refused = transcribed()
        assert refused.status_code == 503
        assert "too little memory" in refused.json()["error"]["message"]
        assert client.post("/v1/audio/speech", json=SPEECH).content == spoken
        process.rlimit(psutil.RLIMIT_AS, unlimited)
        assert "train" in transcribed().json()["text"]
    assert "Traceback" not in server.terminal
