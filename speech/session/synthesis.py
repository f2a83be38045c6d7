"""How the segments of one session are spoken: by whom, how fast, in which manner."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import cast

from speech.audio.pcm import reframe
from speech.audio.prosody_filter import PAUSES_S, split_manner, split_speed
from speech.audio.segment_filter import Rendering
from speech.emotions import manner_of
from speech.engine import WritingEngine
from speech.request import DEFAULT_MAX_TOKENS, TOKENS_PER_SECOND
from speech.session.context import Speaker, Surroundings
from speech.session.report import Account
from speech.text.growing_text import WrittenText
from speech.text.lexicon import Words
from speech.text.normalizer import Reading
from speech.timing.forced_alignment import timed
from speech.types import Boundary, Embedding, Recording, Segment, SpeechChunk, SpeechRequest

_ALL_OF_A_CHUNK = 2**31


class Speaking:
    """One session's way of speaking.

    request: what was asked for; its recording may be known only later (``request`` can be set).
    """

    def __init__(self, request: SpeechRequest, surroundings: Surroundings, account: Account) -> None:
        self.request = request
        self._around = surroundings
        self._account = account
        self.manner = manner_of(request.emotion, request.emotion_strength)
        self._readings: dict[tuple[str, str], Reading] = {}
        self._embeddings: dict[tuple[str, str], Embedding] = {}
        self.speed = (request.speed or 1.0) * self.manner.rate
        """How much faster than its voice by itself it speaks, where no length was asked for."""

    async def prepare(self) -> None:
        """What has to be done before ``reading`` is asked for: changes of the lexicon count from now on."""
        if self._around.lexicon is not None:
            await self._around.lexicon.refresh()

    async def know(self, speaker: Speaker) -> None:
        """Have what the speaker needs to sound like whom the request names, as far as its engine can.

        Raises SpeechError.
        """
        reference = self.request.reference if self.request.reference is not None else speaker.kept
        who = self._who(speaker)
        if reference is None or who in self._embeddings:
            return
        made = await self._around.cloning.embedding(speaker.engine, reference, speaker.language)
        if made is not None:
            self._embeddings[who] = made
            if isinstance(reference, Recording):
                # A minute of sound is not kept for as long as somebody listens.
                self.request = replace(self.request, reference=(made,))

    def embedding(self, speaker: Speaker) -> Embedding | None:
        """What makes the speaker sound like somebody else, once ``know`` has found it."""
        return self._embeddings.get(self._who(speaker))

    def _who(self, speaker: Speaker) -> tuple[str, str]:
        """Whom it is to sound like, by which engine: passages may be another's than the rest."""
        kept = speaker.kept.id if speaker.kept is not None and self.request.reference is None else ""
        return speaker.engine.info.name, kept

    def reading(self, speaker: Speaker) -> Reading:
        """How ``speaker`` reads a text."""
        info, language = speaker.engine.info, speaker.language
        if (info.name, language) not in self._readings:
            plain = info.normalizes or not self.request.normalize
            lexicon = self._around.lexicon
            known = lexicon.for_language(language) if lexicon is not None else Words()
            words = known.with_request(self.request.lexicon)
            reading = Reading("" if plain else language, words, info.takes_ipa)
            self._readings[info.name, language] = reading
        return self._readings[info.name, language]

    def pause_s(self, boundary: Boundary, speed: float) -> float:
        """Seconds of silence behind a segment that ends so."""
        return PAUSES_S[boundary] * self.manner.pauses / speed

    def longest_s(self) -> float:
        """Seconds that one segment may last."""
        return (self.request.max_tokens or DEFAULT_MAX_TOKENS) / TOKENS_PER_SECOND

    def render(self, speaker: Speaker, written: WrittenText, speed: float) -> Rendering:
        """One segment's speech at its final speed and in its manner, timed if its engine times it.

        speed: 1 is as fast as the voice by itself.
        """
        engine, request, info = speaker.engine, self.request, speaker.engine.info
        native, factor = split_speed(speed, info.speed_range)
        own, left = split_manner(self.manner, info.manner)
        segment = self._segment(speaker, written, speed=native)
        segment = replace(segment, manner=own, max_seconds=self.longest_s() * factor, options=request.options)
        speech: AsyncGenerator[SpeechChunk, None]
        if written.boundary is None:
            speech = cast(WritingEngine, engine).stream(segment, written)
        else:
            speech = engine.synthesize(segment)
        return Rendering(speech, info.sample_rate, factor, round(self.longest_s() * info.sample_rate), left)

    def heard(
        self, speaker: Speaker, written: WrittenText, rendering: Rendering, speed: float, rate: int
    ) -> AsyncGenerator[SpeechChunk, None]:
        """A rendering's audio at ``rate`` hertz, with the times of its words, whoever finds them."""
        info, renderer = speaker.engine.info, self._around.renderer
        chunks = rendering.chunks()
        if not info.timing and renderer is not None:
            # Behind the cut and the tempo: the words are sought in what is heard.
            chunks = timed(
                chunks,
                self._segment(speaker, written, speed=speed),
                renderer,
                partial(self._account.estimated, info.name),
                cut_short=lambda: rendering.truncated,
            )
        return chunks if info.sample_rate == rate else _at_rate(chunks, rate)

    def _segment(self, speaker: Speaker, written: WrittenText, *, speed: float) -> Segment:
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
