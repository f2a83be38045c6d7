"""A maker's package as a recogniser of the server: its files, and the process that hears."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

import numpy as np
from pydantic import BaseModel

from kani.core.audio.resampling import LowDelayResampler
from kani.core.errors import InvalidRequest
from kani.core.recognizer import (
    STEP_S,
    VOICE_CHUNK_S,
    Mark,
    RecognitionEvent,
    RecognizedWord,
    Recognizer,
    RecognizerInfo,
    Step,
)
from kani.core.transcriber import TranscribedSegment, TranscribedWord, Transcriber, TranscriptionOptions
from kani.core.turns.speech_gate import SpeechGate, pause_probabilities
from kani.core.types import Samples
from kani.engines.packages.package import Package, Packaged
from kani.engines.plugin import Resources
from kani.runtime.transcript import columns, compression_ratio, ends_segment
from kani.runtime.voice_detector import SAMPLE_RATE as VOICE_RATE
from kani.runtime.voice_detector import VoiceDetector
from kani_text import language_detection
from kani_text.writing import ends_turn, is_unspaced, space_between

MOST_WHILE_UNDECIDED = 0.5
"""Highest probability of a pause while words before it may still come; clients act from 0.6 on."""


class SessionEvents:
    """Events of one stream: the words of a package's session with the server's voice detector.

    ``events`` are to be passed on, in order, and ``marks`` once the stream has ended.
    """

    def __init__(self, delay_s: float) -> None:
        """delay_s: seconds from a word to its recognition, at most."""
        self.events: deque[RecognitionEvent] = deque()
        self._marks: deque[tuple[float, Mark]] = deque()
        self._voices: deque[list[float]] = deque()
        self._gate = SpeechGate()
        self._delay_s = delay_s
        self._decided_s = 0.0
        self._within_word = False
        self._sentence_ended = False
        self._end_s = math.inf

    @property
    def marks(self) -> list[Mark]:
        """Marks that wait for the words before them."""
        return [mark for _, mark in self._marks]

    def add_voices(self, voices: list[float]) -> None:
        """Accept the probabilities of a voice in the next step of audio, before the worker has it."""
        self._voices.append(voices)

    def add_mark(self, mark: Mark, at_s: float) -> None:
        self._marks.append((at_s, mark))
        self._return_decided_marks()

    def add_word(self, word: RecognizedWord) -> None:
        """Accept the worker's next word, which ends no later than the audio."""
        word = replace(word, start_s=min(word.start_s, self._end_s), end_s=min(word.end_s, self._end_s))
        # A word that began after a mark must not come before it.
        self._return_marks(word.start_s)
        self.events.append(word)
        self._sentence_ended = ends_turn(word.text)

    def add_step(self, step: Step) -> None:
        """Accept the worker's next step; its pauses are negative where the package tells none."""
        self._decided_s = max((step.index + 1) * STEP_S - self._delay_s, 0.0)
        self._within_word = not step.settled
        if not self._voices:
            # The last, incomplete step of the audio.
            return
        voices = self._voices.popleft()
        for voice in voices:
            self._gate.feed(voice)
        settled = step.settled and self._gate.speech_end_s <= self._decided_s
        pauses = step.pause_probabilities
        if pauses[0] < 0:
            pauses = pause_probabilities(self._gate, sentence_ended=self._sentence_ended)
        if not settled:
            half, one, two, three = (min(pause, MOST_WHILE_UNDECIDED) for pause in pauses)
            pauses = half, one, two, three
        self.events.append(Step(step.index, pauses, tuple(voices), settled=settled))
        self._return_decided_marks()

    def end(self, end_s: float) -> None:
        """Accept the end of the audio, in seconds; words still come."""
        self._end_s = end_s

    def _return_decided_marks(self) -> None:
        if not self._within_word:
            self._return_marks(self._decided_s)

    def _return_marks(self, until_s: float) -> None:
        while self._marks and self._marks[0][0] <= until_s:
            self.events.append(self._marks.popleft()[1])


class SegmentBuilder:
    """Joins words to segments: sentences, or parts of long ones."""

    def __init__(self, language: str | None, languages: Collection[str]) -> None:
        """language: of the recording, if it is known; languages: it is one of them."""
        self._language = language
        self._languages = languages
        self._words: list[TranscribedWord] = []
        self._width = 0
        self._voices: list[float] = []
        self._first_voice = 0

    def add_voices(self, voices: Sequence[float]) -> None:
        """Accept the probabilities of a voice in the next audio, one for each ``VOICE_CHUNK_S``."""
        self._voices += voices

    def add(self, word: TranscribedWord) -> TranscribedSegment | None:
        """Accept the next word; returns the segment before it if that has ended."""
        ended, last = None, self._words[-1] if self._words else None
        if last is not None and ends_segment(last.text, word.start_s - last.end_s, self._width):
            ended = self.finish()
        self._words.append(word)
        self._width += columns(word.text) + 1
        return ended

    def finish(self) -> TranscribedSegment | None:
        words, self._words, self._width = self._words, [], 0
        if not words:
            return None
        text = ""
        for word in words:
            text += space_between(text, word.text) + word.text
        # The texts of segments are joined as they are.
        text = text if is_unspaced(text[:1]) else f" {text}"
        language, probability = self._detect(text)
        start_s, end_s = words[0].start_s, words[-1].end_s
        return TranscribedSegment(
            text,
            start_s,
            end_s,
            tuple(words),
            seek_s=start_s,
            log_probability=sum(word.log_probability for word in words) / len(words),
            compression_ratio=compression_ratio(text),
            no_speech_probability=self._no_speech(start_s, end_s),
            language=language,
            language_probability=probability,
        )

    def _detect(self, text: str) -> tuple[str, float]:
        """Return the language of a segment, and 1 where it was given."""
        if self._language is not None:
            return self._language, 1.0
        found = language_detection.detect(text, self._languages)
        if found is None:
            return min(self._languages), 1 / len(self._languages)
        return found, language_detection.MIN_PROBABILITY

    def _no_speech(self, start_s: float, end_s: float) -> float:
        """Return the mean probability that there is no voice, and forget the voices before ``end_s``."""
        first = max(round(start_s / VOICE_CHUNK_S) - self._first_voice, 0)
        until = max(round(end_s / VOICE_CHUNK_S) - self._first_voice, 0)
        voices = self._voices[first:until]
        self._first_voice += len(self._voices[:until])
        del self._voices[:until]
        return 1 - sum(voices) / len(voices) if voices else 1.0


class PackageRecognizer(Packaged[Recognizer]):
    """Hears by a worker in the environment of a package; see ``kani.core.recognizer``.

    ``recognize`` and ``transcribe`` are by live sessions of the adapter, and raise Busy if all places are
    taken. An adapter that hears stretches of recordings has a subclass, which works by ``hear``.
    """

    def __init__(
        self, package: Package, settings: BaseModel, resources: Resources, info: RecognizerInfo
    ) -> None:
        """info: as far as it is known before the start."""
        super().__init__(package, settings, resources)
        self.info = info

    async def start(self) -> None:
        self._detector = await asyncio.to_thread(VoiceDetector)
        await self._start_worker(lambda host, found: host.hearing_worker(found, self._resources))
        try:
            await self._prepare()
        except BaseException:
            # Cancelled or failed, a start leaves no process.
            await self.stop()
            raise

    async def _prepare(self) -> None:
        """Take over the worker's description, and load what it asks for; the worker has started."""
        self.info = self._started.info
        if len(self.info.languages) > 1:
            await asyncio.to_thread(language_detection.load_detector)

    @property
    def only_language(self) -> str | None:
        languages = self.info.languages
        return next(iter(languages)) if len(languages) == 1 else None

    async def hear(self, samples: Samples, options: TranscriptionOptions) -> list[TranscribedSegment]:
        """Return what the adapter hears in a stretch of a recording, in seconds of it.

        Cancelled, it stops the adapter. Raises EngineFailed, Busy and InvalidRequest.
        """

        async def stretch() -> AsyncGenerator[Samples, None]:
            step = self.info.sample_rate
            for start in range(0, len(samples), step):
                yield samples[start : start + step]

        async with aclosing(cast(Transcriber, self._started).transcribe(stretch(), options)) as segments:
            return [segment async for segment in segments]

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        spoken = language or self.only_language or ""
        merged = SessionEvents(self.info.live_delay_s or 0.0)
        watched = self._watched(audio, merged.add_voices, merged.add_mark, merged.end)
        async with aclosing(watched), aclosing(self._started.recognize(watched, language)) as events:
            async for event in events:
                match event:
                    case RecognizedWord():
                        merged.add_word(replace(event, language=spoken))
                    case Step():
                        merged.add_step(event)
                while merged.events:
                    yield merged.events.popleft()
        for mark in merged.marks:
            yield mark

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """Transcribe a recording; prompt and temperature have no effect.

        Raises InvalidRequest for a translation.
        """
        if options.translate:
            raise InvalidRequest(
                "task", f"the recogniser {self.info.name} does not translate; KANI_RECOGNIZER=whisper does"
            )
        builder = SegmentBuilder(options.language or self.only_language, self.info.languages)
        watched = self._watched(audio, builder.add_voices)
        hearing = cast(Transcriber, self._started).transcribe(watched, options)
        async with aclosing(watched), aclosing(hearing) as heard:
            async for one in heard:
                for word in one.words:
                    if (segment := builder.add(word)) is not None:
                        yield segment
        if (segment := builder.finish()) is not None:
            yield segment

    async def _watched(
        self,
        audio: AsyncIterator[Samples | Mark] | AsyncIterator[Samples],
        add_voices: Callable[[list[float]], None],
        add_mark: Callable[[Mark, float], None] = lambda _, __: None,
        end: Callable[[float], None] = lambda _: None,
    ) -> AsyncGenerator[Samples, None]:
        """Pass audio on, step by step, with the voices in each whole step told before."""
        rate = self.info.sample_rate
        detector, resampler = self._detector.stream(), LowDelayResampler(rate, VOICE_RATE)
        size, taken = round(STEP_S * rate), 0
        rest = np.zeros(0, np.float32)
        async for piece in audio:
            if isinstance(piece, Mark):
                add_mark(piece, (taken + len(rest)) / rate)
                continue
            rest = np.concatenate([rest, piece])
            while len(rest) >= size:
                frame, rest = rest[:size], rest[size:]
                taken += size
                add_voices(detector.feed(frame if rate == VOICE_RATE else resampler.feed(frame)))
                yield frame
        end((taken + len(rest)) / rate)
        if len(rest):
            yield rest
