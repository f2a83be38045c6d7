"""Letters of a transcript: those that the client's language asks for, live, once more and in recordings."""

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np
import pytest

from kani.core.audio.pcm import wav
from kani.core.observer import Observer
from kani.core.recognition_service import RecognitionService
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, RecognizerInfo
from kani.core.session.admission import Admission, Limits
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.turns.second_hearing import SecondHearing
from kani.core.types import Samples
from tests.support.loudness import RATE

WORDS = ("明天", "開", "會,", "頭", "髮。")
SIMPLIFIED, TRADITIONAL = "明天开会,头发。", "明天開會,頭髮。"
SOUND = np.zeros(2 * RATE, np.float32)


class Traditional:
    """Hears the same words in any audio, and tells their language or not."""

    info = RecognizerInfo("traditional", "1", RATE, frozenset({"zh", "ja"}))

    def __init__(self, told: str = "zh", words: tuple[str, ...] = WORDS) -> None:
        self.told = told
        self.words = words
        self.languages: list[str | None] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        self.languages.append(language)
        async for _ in audio:
            pass
        for index, word in enumerate(self.words):
            yield RecognizedWord(word, index / 10, (index + 1) / 10, self.told)

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        self.languages += [options.language, *options.candidates]
        async for _ in audio:
            pass
        words = tuple(
            TranscribedWord(word, index / 10, (index + 1) / 10, -0.1) for index, word in enumerate(self.words)
        )
        yield TranscribedSegment("".join(self.words), 0.0, 1.0, words, language=self.told)


def service(recognizer: Traditional) -> RecognitionService:
    return RecognitionService(recognizer, Observer(), Admission(Limits(), Observer()))


ASKED = pytest.mark.parametrize(
    ("asked", "expected"),
    [
        *((asked, SIMPLIFIED) for asked in (None, "auto", "zh", "zh-CN", "zh_Hans", "Chinese", "zho")),
        *((asked, TRADITIONAL) for asked in ("zh-TW", "zh-HK", "zh-hant", "traditional chinese")),
    ],
)


@ASKED
@pytest.mark.parametrize("told", ["zh", ""])
async def test_live_words(asked: str | None, expected: str, told: str) -> None:
    hearing = service(recognizer := Traditional(told))
    async with hearing.open_recognition(protocol="p", sample_rate=RATE, language=asked) as session:
        await session.feed(SOUND)
        session.finish()
        words = [event async for event in session.events() if isinstance(event, RecognizedWord)]
    named = asked not in (None, "auto")
    # Nobody has said that it is Chinese.
    assert "".join(word.text for word in words) == (expected if named or told else TRADITIONAL)
    assert [word.start_s for word in words] == [index / 10 for index in range(len(WORDS))]
    assert recognizer.languages == ["zh" if named else None]


@ASKED
async def test_recording(asked: str | None, expected: str) -> None:
    hearing = service(recognizer := Traditional())
    options = TranscriptionOptions(language=hearing.spoken(asked))
    async with hearing.open_transcription(protocol="p", options=options) as session:
        file = io.BytesIO(wav(SOUND, RATE))
        (segment,) = [one async for one in session.segments(file, 60.0)]
    assert segment.text == expected
    assert "".join(word.text for word in segment.words) == expected
    assert [word.start_s for word in segment.words] == [index / 10 for index in range(len(WORDS))]
    assert recognizer.languages == ["zh" if asked not in (None, "auto") else None]


async def test_one_of_several_languages_tells_its_letters() -> None:
    hearing = service(recognizer := Traditional(words=("头", "发。")))
    options = TranscriptionOptions(candidates=frozenset({"ja", "zh-TW"}))
    async with hearing.open_transcription(protocol="p", options=options) as session:
        (segment,) = [one async for one in session.segments(io.BytesIO(wav(SOUND, RATE)), 60.0)]
    assert segment.text == "頭髮。"
    assert {*recognizer.languages} == {None, "zh", "ja"}


@pytest.mark.parametrize(("varieties", "expected"), [((), SIMPLIFIED), (("zh-TW",), TRADITIONAL)])
async def test_turn_that_is_heard_once_more(varieties: tuple[str, ...], expected: str) -> None:
    again = SecondHearing(Traditional(), RATE, "zh", "", varieties, frozenset())
    begun = asyncio.Event()
    begun.set()
    heard = await again._hear(SOUND, TranscriptionOptions("zh"), begun)
    assert heard is not None and heard.text == expected
    await again.aclose()
