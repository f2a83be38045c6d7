"""KANI_IDLE_UNLOAD_SECONDS with the real recogniser: the memory is given back, and it comes back."""

from __future__ import annotations

import asyncio
import time

import httpx
import psutil
import pytest

from kani import AsyncRecognizer, AsyncSpeech
from tests.conftest import LOOK_AGAIN_S, StartServer
from tests.support.patience import WITHIN_S

MOST_KEPT_MIB = 40.0
LEAST_OF_THE_MODEL_MIB = 100.0


def test_idle_recogniser_gives_its_memory_back_and_hears_again(start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", KANI_IDLE_UNLOAD_SECONDS="1")
    front = psutil.Process(server.process.pid)

    def memory_mib() -> float:
        """Resident memory of the server and of all its processes."""
        processes = (front, *front.children(recursive=True))
        return float(sum(each.memory_info().rss for each in processes)) / 2**20

    with httpx.Client(base_url=server.http_url, timeout=WITHIN_S) as client:

        def loaded() -> bool:
            value = client.get("/health").json()["recognizer"]["loaded"]
            assert isinstance(value, bool)
            return value

        speech = {"input": "The train leaves at nine.", "voice": "alloy", "response_format": "wav"}
        spoken = client.post("/v1/audio/speech", json=speech).content

        def transcribe() -> None:
            form = {"model": "whisper-1", "language": "en"}
            answer = client.post("/v1/audio/transcriptions", files={"file": ("a.wav", spoken)}, data=form)
            assert answer.status_code == 200 and answer.json()["text"]

        never_loaded_mib = memory_mib()
        assert not loaded()
        transcribe()
        with_model_mib = memory_mib()
        end = time.monotonic() + WITHIN_S
        while loaded() or memory_mib() > never_loaded_mib + MOST_KEPT_MIB:
            assert time.monotonic() < end, (memory_mib(), never_loaded_mib, server.log)
            time.sleep(LOOK_AGAIN_S)
        assert 'kani_engine_loaded{engine="whisper"} 0.0' in client.get("/metrics").text
        transcribe()
        assert with_model_mib - never_loaded_mib > LEAST_OF_THE_MODEL_MIB
        # The preferred engine stays.
        (engine,) = client.get("/health").json()["engines"]
        assert engine["loaded"]


@pytest.mark.heard
async def test_librarys_idle_recogniser_ends_its_process_and_hears_again() -> None:
    async with AsyncSpeech("espeak") as speech:
        said = await speech.say("The train leaves at nine.")
    here = psutil.Process()
    before = len(here.children())
    async with AsyncRecognizer(idle_unload_seconds=1) as recognizer:
        for _ in range(2):
            assert (await recognizer.transcribe((said.samples, said.sample_rate), language="en")).text
            assert len(here.children()) > before
            async with asyncio.timeout(WITHIN_S):
                while len(here.children()) > before:
                    await asyncio.sleep(LOOK_AGAIN_S)
