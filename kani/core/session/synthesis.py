"""Synthesis of single segments: engine, embedding, normalization, speed, prosody and word times."""

import asyncio
import math
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import cast

from kani.core.audio.checked import checked_speech
from kani.core.audio.prosody_filter import MARK_PAUSES_S, PAUSES_S, SegmentFilter, split_prosody, split_speed
from kani.core.audio.resampling import reframe
from kani.core.emotions import prosody_of
from kani.core.engine import StreamingInputEngine
from kani.core.request import DEFAULT_MAX_TOKENS, RANGES, TOKENS_PER_SECOND
from kani.core.session.context import SessionContext
from kani.core.session.report import SessionReport
from kani.core.timing.word_times import add_word_times
from kani.core.types import Boundary, Embedding, Recording, Segment, SpeechChunk, SpeechRequest
from kani.core.voices.catalogue import ResolvedVoice
from kani_text.incremental_text import IncrementalText
from kani_text.lexicon import Lexicon
from kani_text.normalizer import NormalizerOptions, is_loaded, table_for
from kani_text.pronunciations import pronunciations
from kani_text.writing import without_closers

_MAX_SEMITONES = 12.0
"""Most that the pitch filter shifts by."""


class Synthesis:
    """Speaks single segments as one session's request demands."""

    def __init__(self, request: SpeechRequest, context: SessionContext, report: SessionReport) -> None:
        self.request = request  # may be replaced: its recording may be known only later
        prosody = prosody_of(request.emotion, request.emotion_strength)
        melody = context.melody if request.melody is None else request.melody
        self.prosody = replace(prosody, pitch=prosody.pitch + request.pitch, melody=melody)
        self.speed = (request.speed or 1.0) * self.prosody.rate
        """Speed relative to the voice's own, where no duration is requested."""
        self.context = context
        self.report = report
        # A number would do in this process, but several servers may share a worker.
        self._session = secrets.token_hex(8)
        self._options: dict[tuple[str, str], NormalizerOptions] = {}
        self._embeddings: dict[tuple[str, str], Embedding] = {}

    async def load_table(self, voice: ResolvedVoice) -> None:
        """Load the normalizer's table of the voice's language and region, if it is to be used."""
        if voice.language and not is_loaded(voice.language):
            await asyncio.to_thread(table_for, voice.language)

    async def prepare_voice(self, voice: ResolvedVoice) -> None:
        """Compute the embedding of the requested recording or stored voice, if the engine clones.

        Raises SpeechError.
        """
        reference = self.request.reference if self.request.reference is not None else voice.stored
        key = self._embedding_key(voice)
        if reference is None or key in self._embeddings:
            return
        with self.report.trace.span.child("embed", {"speech.engine": voice.engine.info.name}):
            embedding = await self.context.cloner.embed(voice.engine, reference, voice.language)
        if embedding is not None:
            self._embeddings[key] = embedding
            if isinstance(reference, Recording):
                # A minute of samples is not to be held for the rest of the session.
                self.request = replace(self.request, reference=(embedding,))
                self.context.memory.resize(0)

    def embedding(self, voice: ResolvedVoice) -> Embedding | None:
        """The embedding that ``prepare_voice`` computed for the voice's engine, if any."""
        return self._embeddings.get(self._embedding_key(voice))

    def _embedding_key(self, voice: ResolvedVoice) -> tuple[str, str]:
        """Engine and stored voice (a foreign passage may use another engine)."""
        stored = voice.stored.id if voice.stored is not None and self.request.reference is None else ""
        return voice.engine.info.name, stored

    def normalization(self, voice: ResolvedVoice) -> NormalizerOptions:
        """Return how texts are normalized for a voice, by the lexicon as it was when it was last loaded."""
        info, language = voice.engine.info, voice.language
        if (info.name, language) not in self._options:
            plain = info.reading.normalizes or not self.request.normalize
            lexicon = self.context.lexicon
            known = lexicon.for_language(language) if lexicon is not None else Lexicon()
            if info.reading.by_espeak and not plain:
                known = known.followed_by(pronunciations(language))
            words = known.with_request(self.request.lexicon)
            options = NormalizerOptions(
                "" if plain else language,
                words,
                info.reading.ipa,
                homographs=info.reading.by_espeak,
                said_in=language,
            )
            self._options[info.name, language] = options
        return self._options[info.name, language]

    def pause_s(self, text: IncrementalText, speed: float) -> float:
        """Seconds of silence after a segment, by its boundary and, inside a sentence, its last mark."""
        boundary = text.boundary or Boundary.SENTENCE
        seconds = PAUSES_S[boundary]
        if boundary is Boundary.CLAUSE:
            seconds = max(seconds, MARK_PAUSES_S.get(without_closers(text.text)[-1:], 0.0))
        return seconds * self.prosody.pauses / speed

    def speed_of(self, text: IncrementalText) -> float:
        """Speed of a segment relative to the voice's own, where no duration is requested."""
        speed = RANGES["speed"]
        rate = text.style.rate
        return self.speed if rate == 1 else min(max(self.speed * rate, speed.low), speed.high)

    def synthesize(
        self,
        voice: ResolvedVoice,
        text: IncrementalText,
        sample_rate: int,
        ahead_s: float = math.inf,
        *,
        speed: float | None = None,
    ) -> tuple[SegmentFilter, AsyncGenerator[SpeechChunk, None]]:
        """Synthesize one segment at its final speed and prosody, with the times of its words.

        sample_rate: of the returned chunks, in hertz; speed: relative to the voice's own; ahead_s: see
        ``Segment``. The filter reports, at the end of the chunks, whether the segment was truncated.
        """
        info, request = voice.engine.info, self.request
        speed = self.speed_of(text) if speed is None else speed
        native_speed, factor = split_speed(speed, info.speed_range)
        style, prosody = text.style, self.prosody
        if style.pitch or style.loudness:
            pitch = min(max(prosody.pitch + style.pitch, -_MAX_SEMITONES), _MAX_SEMITONES)
            prosody = replace(prosody, pitch=pitch, loudness=prosody.loudness + style.loudness)
        native, filtered = split_prosody(prosody, info.native_prosody)
        max_s = (request.max_tokens or DEFAULT_MAX_TOKENS) / TOKENS_PER_SECOND
        segment = Segment(
            text=text.text,
            voice=voice.voice,
            language=voice.language,
            speed=native_speed,
            prosody=native,
            max_seconds=max_s * factor,
            boundary=text.boundary or Boundary.SENTENCE,
            pronunciations=text.spoken.pronunciations,
            emphases=text.emphases if info.reading.emphasizes else (),
            sampling=request.sampling,
            embedding=self.embedding(voice),
            options=request.options,
            request_id=self.report.request_id,
            session=self._session,
            light=voice.light,
            ahead_s=ahead_s,
        )
        if text.boundary is None:
            audio = cast(StreamingInputEngine, voice.engine).stream(segment, text)
        else:
            audio = voice.engine.synthesize(segment)
        audio = checked_speech(
            audio, info.name, info.sample_rate, segment.max_seconds, lambda: len(text.text)
        )
        speech = SegmentFilter(audio, info.sample_rate, factor, round(max_s * info.sample_rate), filtered)
        chunks = speech.chunks()
        if request.timed and not info.times_words and self.context.reference_voice is not None:
            # After the filter: the words are aligned with the audio as the client gets it.
            chunks = add_word_times(
                chunks,
                replace(segment, speed=speed),
                self.context.reference_voice,
                partial(self.report.timing_estimated, info.name),
                truncated=lambda: speech.truncated,
            )
        return speech, chunks if info.sample_rate == sample_rate else _at_rate(chunks, sample_rate)


async def _at_rate(chunks: AsyncGenerator[SpeechChunk, None], rate: int) -> AsyncGenerator[SpeechChunk, None]:
    async with aclosing(chunks):
        async for chunk in reframe(chunks, rate):
            yield chunk
