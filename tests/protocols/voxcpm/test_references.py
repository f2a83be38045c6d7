"""What an answer of VoxCPM's protocol says of a recording that its request named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speech.audio.pcm import wav
from tests.clients.voxcpm.wire import Answer, opened
from tests.support.app_server import StartApp

HELLO = "Hola, esto es una prueba."
RECORDING = wav(np.sin(np.arange(16_000, dtype=np.float32) / 20) / 2, 16_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A voice folder: one voice with what it says, and one that is no recording."""
    friends = tmp_path / "voices" / "friends"
    friends.mkdir(parents=True)
    (friends / "ana.wav").write_bytes(RECORDING)
    (friends / "ana.txt").write_text("Eso dije yo.", encoding="utf-8")
    (friends / "broken.wav").write_bytes(b"RIFF")
    return tmp_path / "voices"


def assert_spoken(answer: Answer, unused: list[str]) -> None:
    """Assert that it was spoken, by an engine that cannot follow a recording, and what was of no use."""
    result = answer.last["result"]
    assert (result["samples"], result["cloning"], result["unused"]) == (len(answer.samples), "none", unused)


async def test_folder_voices_and_files_are_used(start_app: StartApp, folder: Path) -> None:
    server = start_app(TTS_VOICE_DIR=str(folder))
    async with opened(server.url) as client:
        assert_spoken(await client.speak(HELLO, voice_id="friends-ana"), [])
        assert_spoken(await client.speak(HELLO, voice="friends-ana", mode="non_streaming"), [])
        assert_spoken(await client.speak(HELLO, voice_id="friends-ana", prompt_text="Sí."), ["prompt_text"])
        assert_spoken(await client.speak(HELLO, prompt_wav_path="friends/ana.wav"), [])
        # A voice comes with its own recording.
        both = await client.speak(HELLO, voice_id="friends-ana", prompt_wav_path="friends/none.wav")
        assert_spoken(both, ["prompt_wav_path"])
        for params, field in (
            ({"voice_id": "friends-broken"}, "voice_id"),
            ({"prompt_wav_path": "friends/broken.wav"}, "prompt_wav_path"),
            ({"prompt_wav_path": "../voices/friends/ana.wav"}, "prompt_wav_path"),
            ({"prompt_wav_path": "friends/ana.txt"}, "prompt_wav_path"),
        ):
            error = (await client.speak(HELLO, **params)).last["error"]
            assert (error["code"], list(error["details"]["errors"])) == ("INVALID_PARAMS", [field])
        error = (await client.speak(HELLO, voice_id="friends-nobody")).last["error"]
        assert (error["code"], error["details"]) == ("VOICE_NOT_FOUND", {"voice_id": "friends-nobody"})
