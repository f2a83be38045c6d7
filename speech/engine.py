"""What an engine is to the core: a few facts, and segments in, audio out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from speech.text.incremental_text import IncrementalText
from speech.types import Embedding, Recording, Segment, SpeechChunk, Voice

CloningKind = Literal["none", "nearest voice", "embedding"]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine can do.

    sample_rate: hertz of all its chunks. voices: those it speaks by itself; default_voices: the
    voice id for each primary language subtag it speaks (its keys are the engine's languages).
    speed_range: speeds it renders natively and intelligibly; the core stretches beyond. uses:
    names of ``SpeechRequest`` and ``Sampling`` fields and options that it takes into account
    (voice, language, speed and max_tokens are always taken care of). places: how many segments it
    speaks at once. streams_inside_segment: whether its first chunk of a segment comes early, so
    that whole sentences can be given to it. rests: whether a segment half spoken may be left lying
    at little cost, so that its place can be given to another while its reader is slow.
    takes_written_text: whether it is a ``StreamingInputEngine``. timing: whether each word has its span;
    else one span covers the segment. cloning: "none", or what a ``CloningEngine`` does: "embedding" where
    it speaks like a recording, "nearest voice" where it comes as near as its own voices allow; embedder:
    name and version of what makes its embeddings, so that those of another are made anew. manner: which of
    ``Manner``'s fields it renders natively, of pitch, pitch_range, loudness and brightness; the core
    filters for the others. takes_ipa: whether it says ``Segment.pronunciations``. normalizes: whether
    numbers, abbreviations and the like are best left to it. decoder: where sound can be made in several
    ways, the name of the one that the next segment's is made in. It and ``places`` are the only facts
    that may change.
    """

    name: str
    version: str
    sample_rate: int
    voices: tuple[Voice, ...]
    default_voices: Mapping[str, str]
    max_concurrency: int = 1
    speed_range: tuple[float, float] = (0.25, 4.0)
    supported_fields: frozenset[str] = field(default_factory=frozenset)
    streams_inside_segment: bool = False
    pausable: bool = False
    accepts_partial_text: bool = False
    times_words: bool = True
    cloning: CloningKind = "none"
    embedding_model: str = ""
    native_prosody: frozenset[str] = field(default_factory=frozenset)
    accepts_ipa: bool = False
    normalizes_text: bool = False
    decoder: str = ""


class Engine(Protocol):
    """One source of voices. It never blocks the event loop."""

    @property
    def info(self) -> EngineInfo:
        """Facts that are true once ``start`` has returned."""

    async def start(self) -> None:
        """Load what is needed. Raises EngineUnavailable with the reason and the cure."""

    async def stop(self) -> None:
        """Free everything; no synthesis is under way any more."""

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """Speak one segment.

        Yields chunks in order; their ``start_s`` and spans count from the segment's first sample
        and point into ``segment.text``. A span covers one word (its characters, no surrounding
        space); spans are in order and do not overlap. The engine leaves out its model's own
        silence before and after the speech (at most 50 ms stay): pauses are the session's.

        Cancelling the awaiting task or closing the generator stops the work within one step of
        the model, and returns only when the engine is free again. Raises EngineFailed.
        """


@runtime_checkable
class BackgroundLoadingEngine(Engine, Protocol):
    """An engine that speaks before it has loaded all."""

    async def wait_until_loaded(self) -> None:
        """Return once nothing is loaded behind the speech any more, and what the cache is for is in it."""


class StreamingInputEngine(Engine, Protocol):
    """An engine that can also speak a text while it is being written, a few words behind it."""

    def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        """Speak one segment whose text is ``written``, to the end that its boundary marks.

        As ``synthesize``, but spans point into ``written.text``, ``segment.text`` is what of it is
        there at the start, and ``segment.boundary`` says nothing. It waits for text in
        ``written.more`` and nowhere else, while the generator runs: meanwhile its place belongs
        to others.
        """


class CloningEngine(Engine, Protocol):
    """An engine that can speak like a recording, or near it: ``Segment.embedding``."""

    async def embed(self, recording: Recording) -> Embedding:
        """What the engine takes from a recording of 0.5–60 s at any rate; its client waits for that.

        Deterministic, and good for all languages that the engine speaks. Cancelling stops it soon. Raises
        InvalidRequest for ``reference`` where there is no speech in it to take anything from, and
        EngineFailed.
        """

    def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """Ever better embeddings than ``embed`` gave, for one language (BCP 47); none if there is no better.

        For the background: others' speech comes first. Closing the generator stops it soon. Raises
        EngineFailed.
        """
