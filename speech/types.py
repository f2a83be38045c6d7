"""The plain data that passes between dialects, the core and engines.

Everything here is frozen, holds no resource and can be pickled: an engine may live in another
process or on another machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Mono audio, float32 in [-1, 1]."""

OptionValue = bool | int | float | str


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A decoded reference recording: mono ``samples`` at ``sample_rate`` hertz."""

    samples: Samples
    sample_rate: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike two voices sound: the cosine of their speaker embeddings, at most 1.

    before: of the single voice that comes nearest; now: of what speaks instead; measured: whether it was
    measured on speech, or is foreseen.
    """

    before: float
    now: float
    measured: bool


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What an engine took from a recording, to speak like it.

    engine: its name; model: what made it and in which version, ``EngineInfo.embedder``: nothing else can read
    it; values: float32 [n], n at most ``MAX_EMBEDDING_VALUES``, which mean something to that model only;
    similarity: by primary language subtag, of engines that can only come near.
    """

    engine: str
    model: str
    values: Samples
    similarity: Mapping[str, Similarity] = field(default_factory=dict)


MAX_EMBEDDING_VALUES = 4096
"""Numbers of an embedding at most."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``[start, end)`` of a text, spoken from ``start_s`` to ``end_s``.

    Characters are code points; times are seconds of output audio. marks: when each of the characters
    begins, from ``start_s`` on and never falling; empty where nobody knows better than that they
    share the time evenly. said: what was said for them, "veintiuno" for "21", and "" for what is not said;
    None where nobody tells (an engine's spans).
    """

    start: int
    end: int
    start_s: float
    end_s: float
    character_starts: tuple[float, ...] = ()
    spoken_form: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """Characters ``[start, end)`` of a text, to be said as ``ipa`` says (IPA, stress marks and all)."""

    start: int
    end: int
    ipa: str


@dataclass(frozen=True, slots=True)
class Prosody:
    """How something is said, against how its voice says it by itself.

    rate: times as fast; pitch: semitones higher; pitch_range: times as far from the voice's mean, in
    semitones; loudness: decibels louder; brightness: decibels more above 2 kHz; pauses: times as long
    between segments (what ``rate`` does to them not counted).
    """

    rate: float = 1.0
    pitch: float = 0.0
    pitch_range: float = 1.0
    loudness: float = 0.0
    brightness: float = 0.0
    pauses: float = 1.0


NEUTRAL = Prosody()
"""As the voice says it by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeechChunk:
    """Some audio, and which characters begin to be spoken in it.

    ``start_s`` is the time of the first sample, in seconds since the stream (or, from an engine,
    the segment) began. ``spans`` point into the segment's text when an engine yields the chunk
    and into the client's text when a session does.
    """

    samples: Samples
    sample_rate: int
    start_s: float
    spans: tuple[Span, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def end_s(self) -> float:
        """When the chunk's last sample ends, in seconds."""
        return self.start_s + self.duration_s


class Boundary(Enum):
    """What ends a segment, and so how long a reader would pause after it."""

    PARAGRAPH = "paragraph"
    SENTENCE = "sentence"
    CLAUSE = "clause"
    WORD = "word"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a sampling engine draws its tokens; ``None`` is the engine's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What a client asks for, validated once by ``speech.request.validate``.

    ``None`` means "not given": what was given and is of no use to the engine is named in the
    answer. The text itself is fed to the session.

    voice: a voice id (``ef_dora``, ``espeak:ar``, ``custom:NAME``); language: a BCP 47 tag; languages: tags
    of those that the client speaks, in its order, for a text that does not tell its language clearly;
    emotion: one of ``speech.emotions`` or a blend ("happy:0.5,calm:0.5"); emotion_strength: 0–1 of it;
    speed: 0.25–4.0; duration_s: how long all of it is to be, in place of a speed; max_tokens: longest
    speech of one segment, at 50 tokens a second; lexicon: words and how they are said, as
    ``speech.text.lexicon`` reads them, before those of the server's own; normalize: whether numbers,
    abbreviations and the like are spelled out; options: what only some engines know.
    """

    voice: str | None = None
    language: str | None = None
    languages: tuple[str, ...] = ()
    emotion: str | None = None
    emotion_strength: float | None = None
    speed: float | None = None
    duration_s: float | None = None
    max_tokens: int | None = None
    lexicon: Mapping[str, str] = field(default_factory=dict)
    normalize: bool = True
    sampling: Sampling = Sampling()
    reference: Recording | tuple[Embedding, ...] | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Segment:
    """One breath of speech, as an engine gets it.

    text: what is to be said, at least one speakable character, no control characters; voice: an
    id among the engine's own; language: BCP 47; speed: within the engine's ``speed_range``, the manner's
    rate included; manner: what of it the engine renders (``EngineInfo.manner``), the rest is neutral;
    pronunciations: parts of the text that are said otherwise than they are written, in order, where the
    engine takes IPA;
    max_seconds: the engine may stop there, the session cuts there in any case. Of a text that is
    still being written (``WritingEngine.stream``) ``text`` is what is there at the start, and
    ``boundary`` says nothing. embedding: whom it is to sound like, made by the engine itself; ``voice`` is
    then who speaks the language otherwise. request_id: for whom it is spoken, as logs name it.
    """

    text: str
    voice: str
    language: str
    speed: float = 1.0
    prosody: Prosody = NEUTRAL
    max_seconds: float = 24.0
    boundary: Boundary = Boundary.SENTENCE
    pronunciations: tuple[Pronunciation, ...] = ()
    sampling: Sampling = Sampling()
    embedding: Embedding | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that clients can name.

    id: unique over all engines; language: BCP 47 tag of the speaker, empty if a kept voice was
    given none; gender: "female", "male" or ""; engine: who speaks it.
    """

    id: str
    name: str
    language: str
    engine: str
    gender: str = ""
