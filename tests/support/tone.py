"""A real, tiny engine: each word is a tone as long as the word, each step can be held back.

It keeps the whole contract of ``kani.core.engine.Engine`` and shows what no model can: exactly how far
it worked, and whether it was stopped.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import replace

import numpy as np

from kani.core.engine import Cloning, EngineInfo, Sharing
from kani.core.errors import EngineFailed, NoSpeech
from kani.core.types import Embedding, Recording, Segment, Similarity, Span, SpeechChunk, Voice
from kani_text.incremental_text import IncrementalText

RATE = 1000
LETTER_S = 0.1
LEVEL = 0.5
"""Of its voice; that of a recording is as loud against it as the recording was."""

HELD = 2
"""How many words of a text that is being written it keeps back until more come."""

WORD = re.compile(r"[\w%]+")


class ToneEngine:
    """Says a word in ``LETTER_S`` seconds a letter, one word a step; breaks at the word "kaputt".

    It has voices such as "tone_es", or "echo:tone_es" under the ``name`` "echo".

    ``allow`` is how many steps it may take before it waits for more; None is no bound. ``seen`` is
    what it saw of each segment's text, as that grew; ``words`` is all that it said.
    """

    def __init__(
        self,
        *,
        streams: bool = True,
        rests: bool = False,
        writes: bool = False,
        places: int = 1,
        native: tuple[float, float] = (0.25, 4.0),
        clones: bool = False,
        languages: tuple[str, ...] = ("es", "en"),
        allow: int | None = None,
        name: str = "tone",
    ):
        ids = {tag: f"tone_{tag}" if name == "tone" else f"{name}:tone_{tag}" for tag in languages}
        self.info = EngineInfo(
            name=name,
            version="1",
            sample_rate=RATE,
            voices=tuple(Voice(voice, "Tone", tag, name) for tag, voice in ids.items()),
            default_voices=ids,
            max_concurrency=places,
            speed_range=native,
            supported_fields=frozenset({"seed"}),
            streams_inside_segment=streams,
            sharing=Sharing(pausable=rests),
            accepts_partial_text=writes,
            cloning=Cloning("nearest voice", "tone 1") if clones else Cloning(),
        )
        self.embedded: list[Recording] = []
        self.refined: list[tuple[Embedding, str]] = []
        self.segments: list[Segment] = []
        self.written: list[IncrementalText] = []
        self.seen: list[list[str]] = []
        self.words: list[str] = []
        self.steps = 0
        self.under_way = 0
        self.allow = allow
        self.moved = asyncio.Event()

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        assert not self.under_way

    async def embed(self, recording: Recording) -> Embedding:
        """Loudness of the recording; it comes near in both of its languages."""
        self.embedded.append(recording)
        await asyncio.sleep(0)
        if not recording.samples.any():
            raise NoSpeech()
        foreseen = {language: Similarity(0.5, 0.6, False) for language in self.info.default_voices}
        level = np.array([np.abs(recording.samples).max()], np.float32)
        return Embedding(self.info.name, self.info.cloning.model, level, foreseen)

    async def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """Twice a little nearer."""
        self.refined.append((embedding, language))
        for nearer in (0.7, 0.8):
            await asyncio.sleep(0)
            similarity = {**embedding.similarity, language: Similarity(0.5, nearer, True)}
            yield replace(embedding, similarity=similarity)

    async def permit(self, steps: int | None) -> None:
        """Let it take so many more steps (None: any number), and return once it has."""
        if steps is None:
            self.allow = None
            self.moved.set()
            return
        self.allow = (self.allow or 0) + steps
        goal = self.allow
        self.moved.set()
        while self.steps < goal:
            await asyncio.sleep(0)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        self.segments.append(segment)
        self.seen.append([segment.text])
        self.under_way += 1
        at_s = 0.0
        try:
            for word in WORD.finditer(segment.text):
                chunk = await self._say(word, at_s, segment)
                yield chunk
                at_s = chunk.end_s
        finally:
            self.under_way -= 1

    async def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        """A chunk for each word, ``HELD`` words after the last until there are no more."""
        self.segments.append(segment)
        self.written.append(written)
        self.seen.append(seen := [])
        self.under_way += 1
        at_s = 0.0
        said = 0
        complete = False
        try:
            while not complete:
                text, complete = written.text, written.boundary is not None
                seen.append(text)
                words = list(WORD.finditer(text))
                certain = words if complete else words[:-HELD]
                for word in certain[said:]:
                    chunk = await self._say(word, at_s, segment)
                    yield chunk
                    at_s = chunk.end_s
                said = len(certain)
                if not complete:
                    await written.wait_for_more(len(text))
        finally:
            self.under_way -= 1

    async def _say(self, word: re.Match[str], at_s: float, segment: Segment) -> SpeechChunk:
        while self.allow is not None and self.steps >= self.allow:
            self.moved.clear()
            await self.moved.wait()
        self.steps += 1
        if word.group() == "kaputt":
            raise EngineFailed("the tone broke")
        self.words.append(word.group())
        rate = self.info.sample_rate
        count = round(len(word.group()) * LETTER_S / segment.speed * rate)
        pitch = 50 + sum(map(ord, word.group())) % 100
        level = LEVEL if segment.embedding is None else LEVEL * segment.embedding.values[0]
        samples = level * np.sin(2 * np.pi * pitch * np.arange(count) / rate)
        span = Span(word.start(), word.end(), at_s, at_s + count / rate)
        return SpeechChunk(samples.astype(np.float32), rate, at_s, (span,))


def tones(*infos: EngineInfo) -> list[ToneEngine]:
    """A tone engine for each ``info``, which it declares as its own."""
    engines = [ToneEngine() for _ in infos]
    for engine, info in zip(engines, infos, strict=True):
        engine.info = info
    return engines
