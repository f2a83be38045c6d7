"""Recordings transcribed by Whisper: text, times, languages, translation, and what is no speech."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest

from benchmarks.recognition.hard_recordings import Speaker
from benchmarks.recognition.streams import sounds_without_speech
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.whisper.engine import WhisperRecognizer
from tests.engines.whisper.conftest import RATE, SENTENCES, Said, say, silence
from tests.judges.judge import word_error_rate, words_of

pytestmark = [pytest.mark.heard, pytest.mark.asyncio(loop_scope="session")]

WRONG_AT_MOST = 0.1


async def pieces(*parts: Samples) -> AsyncIterator[Samples]:
    for part in parts:
        yield part


async def transcribed(
    recognizer: WhisperRecognizer, *parts: Samples, **options: object
) -> list[TranscribedSegment]:
    segments = recognizer.transcribe(pieces(*parts), TranscriptionOptions(**options))  # type: ignore[arg-type]
    return [segment async for segment in segments]


def text_of(segments: list[TranscribedSegment]) -> str:
    return "".join(segment.text for segment in segments)


@pytest.mark.parametrize("language", SENTENCES)
async def test_language_is_detected_and_words_are_timed(
    recognizer: WhisperRecognizer, said: dict[str, Said], language: str
) -> None:
    one = said[language]
    segments = await transcribed(recognizer, silence(1), one.samples, silence(2))
    assert {segment.language for segment in segments} == {language}
    assert segments[0].language_probability > 0.5
    assert word_error_rate(one.text, text_of(segments), language) <= WRONG_AT_MOST, text_of(segments)
    words = [word for segment in segments for word in segment.words]
    if len(words) == len(one.starts_s):
        errors = np.abs([word.start_s - 1 - true for word, true in zip(words, one.starts_s, strict=True)])
        assert np.median(errors) <= 0.1 and errors.max() <= 0.4
    assert all(word.log_probability <= 0 for word in words)
    assert words[-1].end_s <= 1 + len(one.samples) / RATE + 0.2
    tokens = [token for segment in segments for token in segment.tokens]
    assert recognizer._whisper.text_of(tokens) == text_of(segments)


async def test_recording_that_begins_with_speech_is_heard_to_its_end(
    recognizer: WhisperRecognizer, speaker: Speaker
) -> None:
    """Without silence before it Whisper wrote no more than "the birds are singing"."""
    text = "The birds are singing in the garden."
    birds = await speaker.say(text, "af_heart", "en")
    for after_s in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5):
        segments = await transcribed(recognizer, birds, silence(after_s), language="en")
        assert words_of(text_of(segments), "en") == words_of(text, "en"), after_s
        assert segments[0].start_s >= 0.0 and segments[0].seek_s == 0.0


async def test_translation_is_english(
    recognizer: WhisperRecognizer, onnx_engine: KokoroEngine, said: dict[str, Said]
) -> None:
    segments = await transcribed(recognizer, said["es"].samples, translate=True)
    assert {"doctor", "half", "hour", "every", "day"} <= set(words_of(text_of(segments), "en"))
    assert segments[0].language == "es"
    # The likeliest answer to this writes down the Spanish.
    spanish = await say(onnx_engine, "es", "Hola, me llamo Luis y vivo en Valencia. Tengo dos perros.")
    text = text_of(await transcribed(recognizer, spanish.samples, translate=True))
    assert {"i", "have", "two", "dogs"} <= set(words_of(text, "en")), text


async def test_detection_and_prompts_choose(recognizer: WhisperRecognizer, said: dict[str, Said]) -> None:
    segments = await transcribed(recognizer, said["es"].samples, candidates=frozenset({"fr", "it"}))
    assert {segment.language for segment in segments} <= {"fr", "it"}
    # A prompt changes no more than the text, and none of it is in the transcript.
    segments = await transcribed(recognizer, said["en"].samples, language="en", prompt="Kani, Kokoro")
    assert word_error_rate(said["en"].text, text_of(segments), "en") <= WRONG_AT_MOST
    assert "Kani" not in text_of(segments)


async def test_sounds_without_speech_have_no_words(recognizer: WhisperRecognizer) -> None:
    for name, samples in sounds_without_speech(20).items():
        assert text_of(await transcribed(recognizer, samples)) == "", name
    assert await transcribed(recognizer) == []


async def test_leaving_frees_the_workers(recognizer: WhisperRecognizer, said: dict[str, Said]) -> None:
    parts = [said["en"].samples, silence(2.5)] * 40
    async with aclosing(recognizer.transcribe(pieces(*parts), TranscriptionOptions())) as segments:
        await anext(segments)
    assert not recognizer._scheduler._background
    assert await transcribed(recognizer, said["en"].samples)
