"""A maker's package as a recogniser of the server: its files, and the process that hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import cast

import numpy as np
from pydantic import BaseModel

from kani.core.audio.resampling import LowDelayResampler
from kani.core.errors import InvalidRequest
from kani.core.recognizer import (
    STEP_S,
    Mark,
    RecognitionEvent,
    RecognizedWord,
    Recognizer,
    RecognizerInfo,
    Step,
)
from kani.core.transcriber import TranscribedSegment, Transcriber, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.packages.live import SessionEvents
from kani.engines.packages.package import Package, Packaged
from kani.engines.packages.segments import SegmentBuilder
from kani.engines.plugin import Resources
from kani.runtime.voice_detector import SAMPLE_RATE as VOICE_RATE
from kani.runtime.voice_detector import VoiceDetector
from kani_text import language_detection


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
