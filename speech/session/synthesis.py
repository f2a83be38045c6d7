"""How the segments of one session are spoken: by whom, how fast, in which manner."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import cast

from speech.audio.pcm import reframe
from speech.audio.prosody_filter import PAUSES_S, split_prosody, split_speed
from speech.audio.segment_filter import SegmentFilter
from speech.emotions import prosody_of
from speech.engine import StreamingInputEngine
from speech.request import DEFAULT_MAX_TOKENS, TOKENS_PER_SECOND
from speech.session.context import ResolvedVoice, SessionContext
from speech.session.report import SessionReport
from speech.text.incremental_text import IncrementalText
from speech.text.lexicon import Lexicon
from speech.text.normalizer import NormalizerOptions
from speech.timing.forced_alignment import add_word_times
from speech.types import Boundary, Embedding, Recording, Segment, SpeechChunk, SpeechRequest

_ALL_OF_A_CHUNK = 2**31


class Synthesis:
    """One session's way of speaking.

    request: what was asked for; its recording may be known only later (``request`` can be set).
    """

    def __init__(self, request: SpeechRequest, surroundings: SessionContext, account: SessionReport) -> None:
        self.request = request
        self._around = surroundings
        self._account = account
        self.prosody = prosody_of(request.emotion, request.emotion_strength)
        self._readings: dict[tuple[str, str], NormalizerOptions] = {}
        self._embeddings: dict[tuple[str, str], Embedding] = {}
        self.speed = (request.speed or 1.0) * self.prosody.rate
        """How much faster than its voice by itself it speaks, where no length was asked for."""

    async def refresh_lexicon(self) -> None:
        """What has to be done before ``reading`` is asked for: changes of the lexicon count from now on."""
        if self._around.lexicon is not None:
            await self._around.lexicon.refresh()

    async def prepare_voice(self, speaker: ResolvedVoice) -> None:
        """Have what the speaker needs to sound like whom the request names, as far as its engine can.

        Raises SpeechError.
        """
        reference = self.request.reference if self.request.reference is not None else speaker.kept
        who = self._who(speaker)
        if reference is None or who in self._embeddings:
            return
        made = await self._around.cloning.embed(speaker.engine, reference, speaker.language)
        if made is not None:
            self._embeddings[who] = made
            if isinstance(reference, Recording):
                # A minute of sound is not kept for as long as somebody listens.
                self.request = replace(self.request, reference=(made,))

    def embedding(self, speaker: ResolvedVoice) -> Embedding | None:
        """What makes the speaker sound like somebody else, once ``know`` has found it."""
        return self._embeddings.get(self._who(speaker))

    def _who(self, speaker: ResolvedVoice) -> tuple[str, str]:
        """Whom it is to sound like, by which engine: passages may be another's than the rest."""
        kept = speaker.kept.id if speaker.kept is not None and self.request.reference is None else ""
        return speaker.engine.info.name, kept

    def normalization(self, speaker: ResolvedVoice) -> NormalizerOptions:
        """How ``speaker`` reads a text."""
        info, language = speaker.engine.info, speaker.language
        if (info.name, language) not in self._readings:
            plain = info.normalizes_text or not self.request.normalize
            lexicon = self._around.lexicon
            known = lexicon.for_language(language) if lexicon is not None else Lexicon()
            words = known.with_request(self.request.lexicon)
            reading = NormalizerOptions("" if plain else language, words, info.accepts_ipa)
            self._readings[info.name, language] = reading
        return self._readings[info.name, language]

    def pause_s(self, boundary: Boundary, speed: float) -> float:
        """Seconds of silence behind a segment that ends so."""
        return PAUSES_S[boundary] * self.prosody.pauses / speed

    def max_segment_s(self) -> float:
        """Seconds that one segment may last."""
        return (self.request.max_tokens or DEFAULT_MAX_TOKENS) / TOKENS_PER_SECOND

    def synthesize(self, speaker: ResolvedVoice, written: IncrementalText, speed: float) -> SegmentFilter:
        """One segment's speech at its final speed and in its manner, timed if its engine times it.

        speed: 1 is as fast as the voice by itself.
        """
        engine, request, info = speaker.engine, self.request, speaker.engine.info
        native, factor = split_speed(speed, info.speed_range)
        own, left = split_prosody(self.prosody, info.native_prosody)
        segment = self._segment(speaker, written, speed=native)
        segment = replace(
            segment, prosody=own, max_seconds=self.max_segment_s() * factor, options=request.options
        )
        speech: AsyncGenerator[SpeechChunk, None]
        if written.boundary is None:
            speech = cast(StreamingInputEngine, engine).stream(segment, written)
        else:
            speech = engine.synthesize(segment)
        return SegmentFilter(
            speech, info.sample_rate, factor, round(self.max_segment_s() * info.sample_rate), left
        )

    def post_process(
        self,
        speaker: ResolvedVoice,
        written: IncrementalText,
        rendering: SegmentFilter,
        speed: float,
        rate: int,
    ) -> AsyncGenerator[SpeechChunk, None]:
        """A rendering's audio at ``rate`` hertz, with the times of its words, whoever finds them."""
        info, renderer = speaker.engine.info, self._around.reference_voice
        chunks = rendering.chunks()
        if not info.times_words and renderer is not None:
            # Behind the cut and the tempo: the words are sought in what is heard.
            chunks = add_word_times(
                chunks,
                self._segment(speaker, written, speed=speed),
                renderer,
                partial(self._account.timing_estimated, info.name),
                truncated=lambda: rendering.truncated,
            )
        return chunks if info.sample_rate == rate else _at_rate(chunks, rate)

    def _segment(self, speaker: ResolvedVoice, written: IncrementalText, *, speed: float) -> Segment:
        request = self.request
        return Segment(
            text=written.text,
            voice=speaker.voice,
            language=speaker.language,
            speed=speed,
            boundary=written.boundary or Boundary.SENTENCE,
            pronunciations=written.spoken.pronunciations,
            sampling=request.sampling,
            embedding=self.embedding(speaker),
            request_id=self._account.request_id,
        )


async def _at_rate(chunks: AsyncGenerator[SpeechChunk, None], rate: int) -> AsyncGenerator[SpeechChunk, None]:
    async with aclosing(chunks):
        async for chunk in reframe(chunks, rate, _ALL_OF_A_CHUNK):
            yield chunk
