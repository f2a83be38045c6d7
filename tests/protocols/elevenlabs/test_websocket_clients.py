"""Audio and word times of unmodified libraries for ElevenLabs' protocol."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from elevenlabs.core.api_error import ApiError

from benchmarks.sentences import WITH_EARLY_PHRASE
from kani.core.audio.pcm import decode_recording
from kani.core.types import Samples
from tests.clients.elevenlabs.libraries import (
    Word,
    speak_with_livekit,
    speak_with_pipecat,
    speak_with_sdk,
    split_tokens,
)
from tests.clients.elevenlabs.wire import Character, connect_client
from tests.conftest import ServerProcess
from tests.support.examples import run_example
from tests.support.understood import assert_understood

TEXT = "Hola, esto es una prueba bastante larga. ¿Qué tal te encuentras hoy, amigo mío? Yo, muy bien."
FIGURES = "Hola, amigo: son 3.456 casas en 1.234.567 calles, o 21 por ciento. Adiós, amigo mío, hasta otra."
SHORT = "Adiós, amigos míos."
ENGLISH = " ".join(WITH_EARLY_PHRASE["en"][:4])

pytestmark = pytest.mark.filterwarnings(
    # The official library asks in a way that websockets does not like any more.
    "ignore:ConnectionClosed.(code|reason) is deprecated:DeprecationWarning"
)


async def characters(server: ServerProcess, text: str, rate: int) -> tuple[list[Character], Samples]:
    """Return absolute character times and the audio of a text that is sent word by word."""
    asked = {"sync_alignment": "true", "output_format": f"pcm_{rate}"}
    async with connect_client(server.url, **asked) as client:
        heard = await client.speak(*split_tokens(text))
    return heard.absolute(), heard.samples


def words_of(told: list[Character]) -> list[Word]:
    text = "".join(each.text for each in told)
    begins = [at for at, char in enumerate(text) if char != " " and (at == 0 or text[at - 1] == " ")]
    return [Word(text[at:].split(" ", 1)[0], told[at].start / 1000) for at in begins]


def assert_at_its_time(spoken: list[Word], truth: list[Word], within_s: float) -> None:
    assert [word.text for word in spoken] == [word.text for word in truth]
    for word, said in zip(spoken, truth, strict=True):
        assert word.start_s == pytest.approx(said.start_s, abs=within_s), word


async def test_sdk_receives_all_audio(espeak_server: ServerProcess) -> None:
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


async def test_sdk_raises_error_frame(espeak_server: ServerProcess) -> None:
    with pytest.raises(ApiError) as caught:
        await speak_with_sdk(espeak_server.http_url, "nobody", split_tokens(TEXT), "pcm_24000")
    assert caught.value.status_code == 1008
    assert "A voice with voice_id nobody does not exist." in str(caught.value.body)


async def test_livekit_receives_audio_and_word_times(espeak_server: ServerProcess) -> None:
    truth, samples = await characters(espeak_server, SHORT, 22_050)
    long, short, again = await speak_with_livekit(espeak_server.http_url, "espeak:es", [TEXT, SHORT, SHORT])
    assert_at_its_time(short.words, words_of(truth), 0.001)
    assert again == short and np.array_equal(short.samples, samples)
    assert [word.text for word in long.words] == TEXT.split(" ")


async def test_livekit_with_schedule_receives_audio_and_word_times(espeak_server: ServerProcess) -> None:
    truth, samples = await characters(espeak_server, TEXT, 22_050)
    (spoken,) = await speak_with_livekit(
        espeak_server.http_url, "espeak:es", [TEXT], chunk_length_schedule=[50, 100]
    )
    assert_at_its_time(spoken.words, words_of(truth), 0.001)
    assert np.array_equal(spoken.samples, samples)


async def test_pipecat_receives_audio_and_word_times(espeak_server: ServerProcess) -> None:
    spoken = await speak_with_pipecat(espeak_server.url, "espeak:es", [TEXT, SHORT], tokens=True)
    for one, text in zip(spoken, (TEXT, SHORT), strict=True):
        truth, samples = await characters(espeak_server, text, 24_000)
        assert one.errors == [] and np.array_equal(one.samples, samples)
        assert_at_its_time(one.words, words_of(truth), 0.001)


async def test_pipecat_by_sentences_receives_audio_and_word_times(espeak_server: ServerProcess) -> None:
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


@pytest.mark.parametrize("encoding", ["pcm_22050", "mp3_22050_32", "opus_48000_64"])
async def test_livekit_with_model_of_dialogues_receives_word_times(
    espeak_server: ServerProcess, encoding: str
) -> None:
    truth, _ = await characters(espeak_server, FIGURES, 22_050)
    (spoken,) = await speak_with_livekit(
        espeak_server.http_url, "espeak:es", [FIGURES], model="eleven_v3", encoding=encoding
    )
    assert_at_its_time(spoken.words, words_of(truth), 0.002)


@pytest.mark.heard
async def test_livekit_with_model_of_dialogues_receives_speech_without_tags(server: ServerProcess) -> None:
    tagged = f"[whispers] {ENGLISH}"
    options = {"model": "eleven_v3", "encoding": "mp3_22050_32"}  # the plugin's default
    (spoken,) = await speak_with_livekit(server.http_url, "af_heart", [tagged], **options)
    assert_understood(spoken.samples, 22_050, ENGLISH, "en")
    assert [word.text for word in spoken.words] == tagged.split(" ")
    starts = [word.start_s for word in spoken.words]
    assert starts == sorted(starts) and starts[-1] < len(spoken.samples) / 22_050


async def test_realtime_example_writes_speech(espeak_server: ServerProcess, tmp_path: Path) -> None:
    output = tmp_path / "speech.wav"
    options = ("--server", espeak_server.http_url, "--voice", "espeak:es", "-o", output)
    assert "first audio after" in await run_example("elevenlabs_realtime.py", TEXT, *options)
    _, samples = await characters(espeak_server, TEXT, 24_000)
    with wave.open(str(output)) as file:
        assert file.getframerate() == 24_000 and file.getnframes() == len(samples)
