"""Interfaces of the speech engines: a description, and segments in, audio out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from kani.core.types import Embedding, Recording, Segment, SpeechChunk, Voice

if TYPE_CHECKING:
    # The text core's libraries are not in every worker's environment.
    from kani_text.incremental_text import IncrementalText

CloningKind = Literal["none", "nearest voice", "embedding"]


@dataclass(frozen=True, slots=True)
class LightVoices:
    """Voices that an engine also speaks by a light network of their own (``Segment.light``)."""

    languages: Mapping[str, str]
    """Primary subtag of the one language that each speaks so, by voice id."""
    slots: int
    """Segments that the light networks synthesize at the same time, beside ``EngineInfo.max_concurrency``."""
    always: bool
    """True if they are always spoken so; otherwise in the sessions that begin while no slot is free, if slots
    are streams."""

    def speak(self, voice: str, language: str) -> bool:
        """Return True if ``voice`` has a light network for ``language`` (BCP 47)."""
        return self.languages.get(voice) == language.partition("-")[0]

    @property
    def when(self) -> str:
        """Sessions that they speak in: "always" or "while no slot is free"."""
        return "always" if self.always else "while no slot is free"


@dataclass(frozen=True, slots=True)
class VoiceRules:
    """Rules of the voices, where not each one speaks its own language in one network of all."""

    accented: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Voice ids for each of its languages that it speaks with a foreign accent: other voices of its own are
    harder to understand in them. The first is the default voice."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Name of the network that speaks a language, where that is not the engine's first one. A voice speaks
    only languages of its own network."""
    mixes: bool = False
    """True if ``Segment.voice`` may be a mix of its voices (``kani.core.voices.names``)."""
    kept: bool = False
    """True if it chooses the voice of a session with the first segment, and keeps it for the next ones: of
    several workers, the one that spoke the session's last segment is to speak the next."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Parts of a segment's text that an engine reads by itself."""

    ipa: bool = False
    """True if it uses ``Segment.pronunciations``."""
    by_espeak: bool = False
    """True if its pronunciation is espeak-ng's: then ``kani_text.pronunciations`` has words for it."""
    emphasizes: bool = False
    """True if it uses ``Segment.emphases``; otherwise emphasized words are segments of their own."""
    normalizes: bool = False
    """True if numbers, abbreviations and the like are best left to it."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Ways in which sessions share an engine's slots."""

    by_deadline: bool = False
    """True if ``EngineInfo.max_concurrency`` is the number of streams that it synthesizes in real time: a
    session keeps its slot while it has text (``SlotQueue``)."""
    pausable: bool = False
    """True if a segment can be left half synthesized at little cost, and its slot given to another session,
    while its reader is slow."""


@dataclass(frozen=True, slots=True)
class Cloning:
    """Manner in which a ``CloningEngine`` imitates recordings."""

    kind: CloningKind = "none"
    """Here "embedding" if it speaks like the recording, "nearest voice" if it only comes as near as its own
    voices allow."""
    model: str = ""
    """Name and version of the model of its embeddings; those of another model are computed anew."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Description of an engine. Only ``max_concurrency`` and the choice of ``light`` may change once it has
    started.
    """

    name: str
    version: str
    sample_rate: int
    """Hertz of all its chunks."""
    voices: tuple[Voice, ...]
    """Voices of its own."""
    default_voices: Mapping[str, str]
    """Voice id for each primary language subtag; its keys are the engine's languages."""
    voice_rules: VoiceRules = VoiceRules()
    max_concurrency: int = 1
    """Segments that it synthesizes at the same time."""
    sharing: Sharing = Sharing()
    speed_range: tuple[float, float] = (0.25, 4.0)
    """Speeds that it renders intelligibly; the core stretches beyond."""
    supported_fields: frozenset[str] = field(default_factory=frozenset)
    """Names of the fields of ``SpeechRequest`` and ``Sampling``, and of the options, that it uses. Voice,
    language, speed and max_tokens are always used."""
    streams_inside_segment: bool = False
    """True if the first chunk of a segment comes early, so that whole sentences can be given to it."""
    accepts_partial_text: bool = False
    """True if it is a ``StreamingInputEngine``."""
    times_words: bool = True
    """True if each word has a span; otherwise one span covers the segment."""
    cloning: Cloning = Cloning()
    reading: Reading = Reading()
    native_prosody: frozenset[str] = field(default_factory=frozenset)
    """Fields of ``Prosody`` that it renders, of pitch, pitch_range, loudness and brightness; the core filters
    for the others."""
    light: LightVoices | None = None
    """Voices with a light network, if it has any."""

    def network_of(self, voice: Voice) -> str:
        """Return the name of a voice's network; "" for the first one."""
        return self.voice_rules.networks.get(voice.language.partition("-")[0], "")

    def voices_for(self, language: str) -> list[Voice]:
        """List the voices of a primary language subtag, its default voice first; none if it is not spoken."""
        suited = self.voice_rules.accented.get(language, ())
        default = suited[0] if suited else self.default_voices.get(language)
        spoken = [
            voice
            for voice in self.voices
            if voice.id in suited or (not suited and voice.language.partition("-")[0] == language)
        ]
        return sorted(spoken, key=lambda voice: voice.id != default)


class Engine(Protocol):
    """A speech synthesizer. It never blocks the event loop."""

    @property
    def info(self) -> EngineInfo:
        """Description; valid once ``start`` has returned."""

    async def start(self) -> None:
        """Load what is needed. Raises EngineUnavailable with the reason and the remedy."""

    async def stop(self) -> None:
        """Free everything. Called when no synthesis is running."""

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """Synthesize one segment.

        Yields chunks in order; their ``start_s`` and spans count from the segment's first sample and point
        into ``segment.text``. A span covers one word (its characters, no surrounding space); spans are in
        order and do not overlap. The model's own silence before and after the speech is trimmed to 50 ms at
        most: pauses are added by the session. ``kani.core.audio.checked`` is what checks all this: samples
        that are not finite mono float32, say, end the segment as EngineFailed.

        Cancelling the awaiting task or closing the generator stops within one step of the model, and returns
        only when the engine is free again. Raises EngineFailed.
        """


class Described:
    """Base of engines: their description, from the start on."""

    _info: EngineInfo | None = None

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        if self._info is None:
            raise RuntimeError("the engine has not been started")
        return self._info


@runtime_checkable
class Unloadable(Protocol):
    """An engine or a recogniser that can give its memory back while nothing needs it."""

    @property
    def loaded(self) -> bool:
        """False while it is unloaded, or on the way to or from there."""

    def unload_after(self, idle_s: float) -> None:
        """Unload it whenever nothing has used it for ``idle_s`` seconds; the next use loads it again."""


class StreamingInputEngine(Engine, Protocol):
    """An engine that can also synthesize text while it is being written, a few words after it."""

    def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        """Synthesize one segment, its text being ``written``, until its boundary is known.

        As ``synthesize``, but spans point into ``written.text``, ``segment.text`` is the start of it, and
        ``segment.boundary`` is meaningless. Waits for text only in ``written.wait_for_more``, while the
        generator runs: its slot is lent to other sessions meanwhile.
        """


class CloningEngine(Engine, Protocol):
    """An engine that imitates recordings, exactly or approximately: ``Segment.embedding``."""

    async def embed(self, recording: Recording) -> Embedding:
        """Compute the embedding of a recording of 0.5-60 s at any sample rate, while its client waits.

        Deterministic, and valid for all languages of the engine. Cancelling stops it soon. Raises
        InvalidRequest for ``reference`` where there is no speech in it, and EngineFailed.
        """


class RefiningEngine(CloningEngine, Protocol):
    """An engine that comes nearer to a recording the longer it works: ``Cloning.kind`` "nearest voice"."""

    def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """Yield ever better embeddings for one language (BCP 47).

        Runs in the background: speech comes first. Closing the generator stops it soon. Raises EngineFailed.
        """
