"""The recogniser's languages by their names, and recognisers that transcribe no recordings."""

from __future__ import annotations

import asyncio

import pytest

from kani.core.errors import EngineUnavailable, UnsupportedLanguage
from kani.core.observer import Observer
from kani.core.recognition_service import RecognitionService
from kani.core.recognizer import RecognizerInfo
from kani.core.request import Limits
from kani.core.session.admission import Admission
from kani.core.transcriber import TranscriptionOptions
from kani.engines.whisper.model import LANGUAGES
from tests.support.listener import Listener
from tests.support.loudness import LoudnessRecognizer


@pytest.fixture
def whisper() -> RecognitionService:
    """A service with a recogniser for the languages of Whisper."""
    recognizer = LoudnessRecognizer()
    recognizer.info = RecognizerInfo("loudness", "1", 16_000, frozenset(LANGUAGES))
    return RecognitionService(recognizer, Observer())


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("es", "es"),
        ("es-MX", "es"),
        ("PT_br", "pt"),
        ("spa", "es"),
        ("Spanish", "es"),
        ("español", "es"),
        ("no", "no"),
        ("nb-NO", "no"),
        ("norwegian", "no"),
        ("gl", "gl"),
        ("yo", "yo"),
        ("en_US", "en"),
        ("jw", "jv"),
        ("auto", None),
        ("und", None),
    ],
)
def test_language_is_known_by_code_tag_and_name(whisper: RecognitionService, name: str, code: str | None) -> None:
    assert whisper.spoken(name) == code


@pytest.mark.parametrize("name", ["xx", "klingon", "tlh", "\0", "es\n" * 1000])
def test_unknown_language_is_refused(whisper: RecognitionService, name: str) -> None:
    with pytest.raises(UnsupportedLanguage):
        whisper.spoken(name)


async def test_start_that_a_stop_cancels_leaves_it_unloaded() -> None:
    begun = asyncio.Event()

    class Loading(LoudnessRecognizer):
        async def start(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    service = RecognitionService(Loading(), Observer(), starts_early=True)
    starting = asyncio.create_task(service.prepare())
    await begun.wait()
    await service.stop()
    assert service.still_loading and not service.loaded
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_little_memory_is_told_in_words() -> None:
    class Large(LoudnessRecognizer):
        async def start(self) -> None:
            raise MemoryError

    service = RecognitionService(Large(), Observer(), starts_early=True)
    with pytest.raises(EngineUnavailable, match="too little memory is free to load") as told:
        await service.prepare()
    assert told.value.passing and not service.loaded


def test_recogniser_of_live_speech_alone_transcribes_no_recording() -> None:
    service = RecognitionService(Listener(), Observer())
    admission = Admission(Limits(), Observer())
    with pytest.raises(EngineUnavailable, match="listener transcribes no recordings"):
        service.open_transcription(admission, protocol="p", client="", options=TranscriptionOptions())
    assert admission.sessions == 0
