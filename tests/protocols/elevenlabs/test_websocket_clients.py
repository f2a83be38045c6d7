"""The libraries that speak ElevenLabs' protocol, unmodified, against the server: what they hear, and when."""

from __future__ import annotations

import asyncio
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from elevenlabs.core.api_error import ApiError

from benchmarks.sentences import WITH_EARLY_PHRASE
from speech.audio.pcm import decode_recording
from speech.types import Samples
from tests.clients.elevenlabs.libraries import (
    Word,
    speak_with_livekit,
    speak_with_pipecat,
    speak_with_sdk,
    split_tokens,
)
from tests.clients.elevenlabs.wire import Character, connect_client
from tests.conftest import ROOT, ServerProcess
from tests.judges.judge import hear, word_error_rate

TEXT = "Hola, esto es una prueba bastante larga. ¿Qué tal te encuentras hoy, amigo mío? Yo, muy bien."
SHORT = "Adiós, amigos míos."
SPANISH, ENGLISH = (" ".join(WITH_EARLY_PHRASE[language][:4]) for language in ("es", "en"))
VOICES = {"es": "ef_dora", "en": "af_heart"}
WRONG_AT_MOST = 0.04

pytestmark = pytest.mark.filterwarnings(
    # The official library asks in a way that websockets does not like any more.
    "ignore:ConnectionClosed.(code|reason) is deprecated:DeprecationWarning"
)


async def characters(server: ServerProcess, text: str, rate: int) -> tuple[list[Character], Samples]:
    """The characters of a text that comes word by word, since the start, and its audio."""
    asked = {"sync_alignment": "true", "output_format": f"pcm_{rate}"}
    async with connect_client(server.url, **asked) as client:
        heard = await client.speak(*split_tokens(text))
    return heard.absolute(), heard.samples


def words_of(told: list[Character]) -> list[Word]:
    """The words, each with when its first character is said."""
    text = "".join(each.text for each in told)
    begins = [at for at, char in enumerate(text) if char != " " and (at == 0 or text[at - 1] == " ")]
    return [Word(text[at:].split(" ", 1)[0], told[at].start / 1000) for at in begins]


def assert_at_its_time(spoken: list[Word], truth: list[Word], within_s: float) -> None:
    """Assert that a client has every word, when it is said."""
    assert [word.text for word in spoken] == [word.text for word in truth]
    for word, said in zip(spoken, truth, strict=True):
        assert word.start_s == pytest.approx(said.start_s, abs=within_s), word


async def test_the_official_library_hears_all(espeak_server: ServerProcess) -> None:
    """convert_realtime, in PCM and MP3, and slower if it asks; it returns when the server closes."""
    _, samples = await characters(espeak_server, TEXT, 24_000)
    heard = await speak_with_sdk(espeak_server.http_url, "espeak:es", split_tokens(TEXT), "pcm_24000")
    assert np.array_equal(heard.samples, samples)
    slow = await speak_with_sdk(
        espeak_server.http_url, "espeak:es", split_tokens(TEXT), "pcm_24000", speed=0.8
    )
    assert len(slow.samples) > 1.15 * len(samples)
    coded = await speak_with_sdk(espeak_server.http_url, "espeak:es", split_tokens(TEXT), "mp3_44100_128")
    duration_s = decode_recording(bytes(coded.audio)).duration_s
    assert duration_s == pytest.approx(len(samples) / 24_000, abs=0.06)


async def test_the_official_library_is_told_what_is_wrong(espeak_server: ServerProcess) -> None:
    """As its ApiError, with the service's frame."""
    with pytest.raises(ApiError) as caught:
        await speak_with_sdk(espeak_server.http_url, "nobody", split_tokens(TEXT), "pcm_24000")
    assert caught.value.status_code == 1008
    assert "A voice with voice_id nobody does not exist." in str(caught.value.body)


async def test_livekits_plugin_hears_all_at_its_time(espeak_server: ServerProcess) -> None:
    """Several streams over one connection: audio, and each word when it is said."""
    truth, samples = await characters(espeak_server, SHORT, 22_050)
    long, short, again = await speak_with_livekit(espeak_server.http_url, "espeak:es", [TEXT, SHORT, SHORT])
    assert_at_its_time(short.words, words_of(truth), 0.001)
    assert again == short and np.array_equal(short.samples, samples)
    assert [word.text for word in long.words] == TEXT.split(" ")


async def test_livekits_plugin_with_a_schedule(espeak_server: ServerProcess) -> None:
    """Then it sends word by word, and flushes nothing but the end."""
    truth, samples = await characters(espeak_server, TEXT, 22_050)
    (spoken,) = await speak_with_livekit(
        espeak_server.http_url, "espeak:es", [TEXT], chunk_length_schedule=[50, 100]
    )
    assert_at_its_time(spoken.words, words_of(truth), 0.001)
    assert np.array_equal(spoken.samples, samples)


async def test_pipecats_service_hears_all_at_its_time(espeak_server: ServerProcess) -> None:
    """As tokens come, over two turns: audio, and each word when it is said, by its own running sum."""
    spoken = await speak_with_pipecat(espeak_server.url, "espeak:es", [TEXT, SHORT], tokens=True)
    for one, text in zip(spoken, (TEXT, SHORT), strict=True):
        truth, samples = await characters(espeak_server, text, 24_000)
        assert one.errors == [] and np.array_equal(one.samples, samples)
        assert_at_its_time(one.words, words_of(truth), 0.001)


async def test_pipecats_service_in_sentences(espeak_server: ServerProcess) -> None:
    """Its usual way: each sentence is spoken by itself, and its words begin where it does."""
    (spoken,) = await speak_with_pipecat(espeak_server.url, "espeak:es", [TEXT])
    assert [word.text for word in spoken.words] == TEXT.split(" ") and not spoken.errors
    starts = [word.start_s for word in spoken.words]
    assert starts == sorted(starts)
    loud = np.abs(spoken.samples) > 0.02
    for word in spoken.words:
        if word.text in ("¿Qué", "Yo,"):
            # Silence before the sentence, and sound in it.
            at = round(word.start_s * 24_000)
            assert not loud[at - 2400 : at - 240].any() and loud[at : at + 4800].any()


@pytest.mark.slow
@pytest.mark.parametrize(("text", "language"), [(SPANISH, "es"), (ENGLISH, "en")])
async def test_what_each_of_them_hears_is_understood(server: ServerProcess, text: str, language: str) -> None:
    """Natural voices, by a listener that writes down what it hears; the library's in MP3."""
    voice = VOICES[language]
    coded = await speak_with_sdk(server.http_url, voice, split_tokens(text), "mp3_44100_128")
    recording = decode_recording(bytes(coded.audio))
    assert_understood(recording.samples, recording.sample_rate, text, language)
    (livekit,) = await speak_with_livekit(server.http_url, voice, [text])
    assert_understood(livekit.samples, 22_050, text, language)
    assert [word.text for word in livekit.words] == text.split(" ")
    (pipecat,) = await speak_with_pipecat(server.url, voice, [text])
    assert_understood(pipecat.samples, 24_000, text, language)
    assert [word.text for word in pipecat.words] == text.split(" ")


def assert_understood(samples: Samples, rate: int, text: str, language: str) -> None:
    """Assert that whoever listens understands ``text``."""
    heard = hear(samples, rate, language)
    assert word_error_rate(text, heard, language) <= WRONG_AT_MOST, heard


async def test_the_example_writes_what_it_hears(espeak_server: ServerProcess, tmp_path: Path) -> None:
    """examples/elevenlabs_realtime.py, as it is told to be started."""
    output = tmp_path / "speech.wav"
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "examples" / "elevenlabs_realtime.py"), TEXT),
        *("--server", espeak_server.http_url, "--voice", "espeak:es", "-o", str(output)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(running.communicate(), 300)
    assert running.returncode == 0, printed.decode()
    _, samples = await characters(espeak_server, TEXT, 24_000)
    with wave.open(str(output)) as file:
        assert file.getframerate() == 24_000 and file.getnframes() == len(samples)
    assert b"first audio after" in printed
