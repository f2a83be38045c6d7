"""Answers that break a recogniser's contract: put in order where they enter, or refused in words."""

import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kani.core.audio.pcm import wav
from kani.core.errors import EngineFailed
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.transcriber import (
    MAX_BEYOND_S,
    CoreSharing,
    TranscribedSegment,
    TranscribedWord,
    TranscriptionOptions,
)
from kani.core.types import Samples, SpeechRequest
from kani.engines.whisper.engine import WhisperRecognizer
from tests.support.loudness import RATE, LoudnessRecognizer
from tests.support.sessions import started
from tests.support.tone import ToneEngine

SECONDS = 2
NAN, INF = float("nan"), float("inf")
SURE = (1.0, 1.0, 1.0, 1.0)
SEGMENT = TranscribedSegment("bum", 0.0, 1.0, (TranscribedWord("bum", 0.0, 1.0, -0.1),), language="es")


class Answering(LoudnessRecognizer):
    """Hears all audio, and then answers what it is given."""

    def __init__(self, *answers: RecognitionEvent | TranscribedSegment, times: int = 1) -> None:
        super().__init__()
        self._answers, self._times = answers, times

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        async for _ in audio:
            pass
        for _ in range(self._times):
            for answer in self._answers:
                yield answer  # type: ignore[misc]

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        async with aclosing(self.recognize(audio, None)) as answers:
            async for answer in answers:
                yield answer  # type: ignore[misc]


async def live(recognizer: Answering, folder: Path) -> list[RecognitionEvent]:
    async with started(folder, ToneEngine(), recognizer=recognizer) as service:
        async with service.recognition.open_recognition(protocol="test", sample_rate=RATE) as session:
            await session.feed(np.zeros(SECONDS * RATE, np.float32))
            await session.mark(1)
            session.finish()
            return [event async for event in session.events()]


async def recorded(recognizer: Answering, folder: Path) -> list[TranscribedSegment]:
    file = io.BytesIO(wav(np.zeros(SECONDS * RATE, np.float32), RATE))
    options = TranscriptionOptions(language="es")
    async with started(folder, ToneEngine(), recognizer=recognizer) as service:
        async with service.recognition.open_transcription(protocol="test", options=options) as session:
            return [segment async for segment in session.segments(file, 60.0)]


def word(start_s: float, end_s: float) -> RecognizedWord:
    return RecognizedWord("bum", start_s, end_s)


def segment(**changed: object) -> TranscribedSegment:
    return replace(SEGMENT, **changed)  # type: ignore[arg-type]


def timed(start_s: float, end_s: float) -> TranscribedSegment:
    return segment(words=(TranscribedWord("bum", start_s, end_s, -0.1),))


FINITE, TEXT = "a number that is not finite", "more text than its audio can hold"


@pytest.mark.parametrize(
    ("answer", "times", "reason"),
    [
        (word(NAN, 1.0), 1, FINITE),
        (word(0.0, INF), 1, FINITE),
        (Step(0, (1.0, 1.0, 1.0, NAN)), 1, FINITE),
        (Step(0, SURE, voices=(INF,)), 1, FINITE),
        (Step(10**9, SURE), 1, "more audio than there is"),
        (Step(-1, SURE), 1, "more audio than there is"),
        (word(0.0, 1.0), 10**7, TEXT),
        (Step(0, SURE), 10**7, TEXT),
        (Mark(1), 10**7, TEXT),
        (replace(word(0.0, 1.0), text="a" * 10**7), 1, TEXT),
        (segment(end_s=NAN), 1, FINITE),
        (segment(seek_s=INF), 1, FINITE),
        (timed(-INF, 0.0), 1, FINITE),
        (SEGMENT, 10**7, TEXT),
        (segment(text="a" * 10**7), 1, TEXT),
        (segment(words=SEGMENT.words * 10**7), 1, TEXT),
        (segment(tokens=(1,) * 10**7), 1, TEXT),
    ],
)
async def test_wrong_answer_is_refused(
    tmp_path: Path, answer: RecognitionEvent | TranscribedSegment, times: int, reason: str
) -> None:
    hear: Callable[..., object] = recorded if isinstance(answer, TranscribedSegment) else live
    with pytest.raises(EngineFailed, match=f"the recogniser .*{reason}"):
        await hear(Answering(answer, times=times), tmp_path)  # type: ignore[misc]


async def test_times_are_put_in_order_within_the_audio(tmp_path: Path) -> None:
    most_s = SECONDS + MAX_BEYOND_S
    given = [(-3.0, 0.5), (0.4, 0.2), (0.3, 1e300)]
    placed = [(0.0, 0.5), (0.4, 0.4), (0.4, most_s)]
    heard = await live(Answering(*(word(*times) for times in given)), tmp_path)
    assert heard == [word(*times) for times in placed]
    segments = await recorded(Answering(*(timed(*times) for times in given)), tmp_path)
    assert segments == [timed(*times) for times in placed]
    outer = [segment(start_s=start_s, end_s=end_s, words=()) for start_s, end_s in given]
    segments = await recorded(Answering(*outer), tmp_path)
    assert [(each.start_s, each.end_s) for each in segments] == placed
    (only,) = await recorded(Answering(segment(log_probability=NAN)), tmp_path)
    assert only.log_probability < -10


async def test_recordings_leave_a_core_to_speech_that_is_asked_for(tmp_path: Path) -> None:
    class Sharing(Answering):
        left = 0

        def leave_core(self) -> None:
            self.left += 1

    recognizer = Sharing(SEGMENT)
    async with started(tmp_path, ToneEngine(), recognizer=recognizer) as service:
        async with service.open(SpeechRequest(language="es"), protocol="test"):
            # One that begins soon after leaves it, too.
            assert recognizer.left == 1
        options = TranscriptionOptions(language="es")
        async with service.recognition.open_transcription(protocol="test", options=options):
            async with service.open(SpeechRequest(language="es"), protocol="test"):
                assert recognizer.left == 2
    assert isinstance(WhisperRecognizer(models_dir=None, cache_dir=tmp_path), CoreSharing)
