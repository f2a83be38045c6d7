"""VoxCPM's own clients against the server as it comes: what they hear is judged."""

import wave
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.sentences import WITH_EARLY_PHRASE
from tests.clients.voxcpm.document import python_client, speak_in_node
from tests.clients.voxcpm.wire import opened
from tests.conftest import ServerProcess
from tests.support.programs import example

SPANISH = " ".join(WITH_EARLY_PHRASE["es"][:4])
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50


async def test_document_clients_receive_all_speech(espeak_server: ServerProcess, tmp_path: Path) -> None:
    url = f"{espeak_server.url}/tts"
    async with opened(espeak_server.url) as client:
        expected = await client.speak(LONG)
    heard = await speak_in_node(url, LONG, tmp_path)
    assert heard.sequences == list(range(len(expected.frames))) and len(heard.sequences) > 1000
    assert all(one <= following for one, following in pairwise(heard.shares))
    assert (heard.pcm, heard.rate) == (expected.pcm, expected.last["result"]["sample_rate"])
    assert await python_client()(LONG, url=url) == expected.pcm


async def test_clients_get_errors(espeak_server: ServerProcess, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="text: cannot be empty"):
        await speak_in_node(f"{espeak_server.url}/tts", " ", tmp_path)
    with pytest.raises(Exception, match="text: cannot be empty"):
        await python_client()(" ", url=f"{espeak_server.url}/tts")


def run_client(server: ServerProcess, *arguments: str | Path, code: int = 0) -> str:
    return example("voxcpm_client.py", *arguments, "--server", server.url, code=code)


@pytest.mark.parametrize("mode", ["streaming", "non_streaming"])
async def test_example_writes_audio_file(espeak_server: ServerProcess, tmp_path: Path, mode: str) -> None:
    output = tmp_path / "speech.wav"
    printed = run_client(espeak_server, SPANISH, "-o", output, "--mode", mode)
    assert "Request queued" in printed and "engine=espeak" in printed
    async with opened(espeak_server.url) as client:
        expected = await client.speak(SPANISH, mode=mode)
    with wave.open(str(output)) as file:
        assert file.readframes(file.getnframes()) == expected.pcm
        assert file.getframerate() == expected.last["result"]["sample_rate"]


def test_example_pings_and_cancels(espeak_server: ServerProcess, tmp_path: Path) -> None:
    assert run_client(espeak_server, "--ping").startswith("pong: ")
    cancelled = run_client(espeak_server, LONG, "--stop-after", "0")
    assert cancelled.endswith("cancelled=True\n")
    refused = run_client(espeak_server, "Hola", "--voice", "nobody", code=1)
    assert refused == "VOICE_NOT_FOUND: Voice 'nobody' not found\n"
    raw = tmp_path / "speech.pcm"
    told = run_client(espeak_server, "Hola.", "-o", raw)
    assert f"samples={len(raw.read_bytes()) // 2}" in told
