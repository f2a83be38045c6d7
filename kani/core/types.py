"""The plain data that passes between protocols, the core and engines.

Everything here is frozen, holds no resource and can be pickled: an engine may live in another
process or on another machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kani.core.errors import InvalidRequest, Reason
from kani_text.types import Boundary as Boundary
from kani_text.types import Emphasis as Emphasis
from kani_text.types import Pronunciation as Pronunciation

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
    """Similarity of two voices: the cosine of their speaker embeddings, at most 1."""

    before: float
    """Similarity of the nearest single voice of the engine."""
    now: float
    """Similarity of the mix of voices that is used instead."""
    measured: bool
    """True if it was measured on speech; otherwise it is predicted."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Speaker embedding of a recording, made by one engine for its own use."""

    engine: str
    model: str
    """``EngineInfo.cloning.model`` of the engine; no other model can read the values."""
    values: Samples
    """Float32 [n], n at most ``MAX_EMBEDDING_VALUES``."""
    similarity: Mapping[str, Similarity] = field(default_factory=dict)
    """Similarity by primary language subtag, of an engine that only approximates a voice."""


MAX_EMBEDDING_VALUES = 200_000
"""Most values of an embedding: some are all the latents of a recording of a minute."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``[start, end)`` of a text, spoken from ``start_s`` to ``end_s``.

    Characters are code points; times are seconds of output audio.
    """

    start: int
    end: int
    start_s: float
    end_s: float
    character_starts: tuple[float, ...] = ()
    """Time at which each character begins, never falling; empty where they share the time evenly."""
    spoken_form: str | None = field(default=None, compare=False)
    """The spoken characters, "veintiuno" for "21", and "" for what is not spoken; None in an engine's
    spans."""


@dataclass(frozen=True, slots=True)
class TimedMark:
    """An SSML document's mark, at the character ``at`` of the client's text and ``time_s`` of the audio."""

    name: str
    at: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Prosody:
    """Speaking style, relative to the voice's own."""

    rate: float = 1.0
    """Factor of the speed."""
    pitch: float = 0.0
    """Semitones added."""
    pitch_range: float = 1.0
    """Factor of the pitch's distance from the voice's mean, in semitones."""
    loudness: float = 0.0
    """Decibels added."""
    brightness: float = 0.0
    """Decibels added above 2 kHz."""
    pauses: float = 1.0
    """Factor of the pauses, apart from the effect of ``rate``."""
    melody: float = 1.0
    """Factor of the melody of questions, lists and exclamations."""


NEUTRAL = Prosody()
"""The voice's own style."""


JOINED_S = 0.4
"""Most seconds of audio that wait for a reader and are given to it as one chunk: five frames of the Kani
model. A chunk costs the server and the network the same, however short it is."""

MESSAGE_S = 0.5
"""Most seconds of audio in a message: a joined chunk's 0.4 s and what resampling adds fit."""


# Not frozen: that would take four times as long to make, and a second of a stream makes some 50.
@dataclass(slots=True, eq=False)
class SpeechChunk:
    """Audio, and the spans of the text that begin in it. Not to be changed."""

    samples: Samples
    sample_rate: int
    start_s: float
    """Time of the first sample, in seconds since the stream (from an engine: the segment) began."""
    spans: tuple[Span, ...] = ()
    """Spans of the client's text in a session's chunks, of the segment's text in an engine's."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def end_s(self) -> float:
        """Time at which the last sample ends, in seconds."""
        return self.start_s + self.duration_s

    @staticmethod
    def joined(pieces: Sequence[SpeechChunk]) -> SpeechChunk:
        """Return consecutive chunks, at least one, as one."""
        first = pieces[0]
        if len(pieces) == 1:
            return first
        spans = tuple(span for piece in pieces for span in piece.spans)
        samples = np.concatenate([piece.samples for piece in pieces])
        return SpeechChunk(samples, first.sample_rate, first.start_s, spans)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters; ``None`` is the engine's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """A closed range of numbers."""

    low: float
    high: float

    def __str__(self) -> str:
        """Return the range in plain numbers, as "between 0.25 and 4"."""
        low, high = (int(limit) if limit == int(limit) else limit for limit in (self.low, self.high))
        return f"between {low} and {high}"

    def check(self, field: str, value: float) -> None:
        """Raise InvalidRequest unless ``value`` is within the range; NaN is not."""
        if not self.low <= value <= self.high:
            limits = {"low": self.low, "high": self.high}
            raise InvalidRequest(field, f"must be {self}", Reason("out_of_range", limits))


OPTION_RANGES = {
    "cfg_value": Range(0.1, 10.0),
    "inference_timesteps": Range(1, 50),
    "retry_badcase_max_times": Range(0, 10),
    "retry_badcase_ratio_threshold": Range(1.0, 20.0),
    "cfg_alpha": Range(0.0, 10.0),
}
"""Ranges of the numbers among ``SpeechRequest.options``: VoxCPM's, and Kyutai's guidance."""


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A client's request, validated once by ``kani.core.request.validate``.

    ``None`` means "not given". Fields that were given and are of no use to the engine are named in the
    answer. The text itself is fed to the session.
    """

    voice: str | None = None
    """Voice id: ``ef_dora``, ``espeak:ar``, ``custom:NAME``."""
    voices: Mapping[str, str] = field(default_factory=dict)
    """Voice ids by primary language subtag, instead of the default voices where ``voice`` is None."""
    language: str | None = None
    """BCP 47 tag."""
    languages: tuple[str, ...] = ()
    """BCP 47 tags of the client's languages, in its order: hints for the detection of the text's language."""
    emotion: str | None = None
    """A name of ``kani.core.emotions``, or a blend ("happy:0.5,calm:0.5")."""
    emotion_strength: float | None = None
    """0-1."""
    speed: float | None = None
    """0.25-4.0."""
    pitch: float = 0.0
    """Semitones added to the voice's own pitch and the emotion's, -12 to 12."""
    melody: float | None = None
    """Factor of the melody of questions, lists and exclamations, 0-1; None is the server's."""
    duration_s: float | None = None
    """Seconds that the whole is to last, instead of a speed."""
    max_tokens: int | None = None
    """Longest speech of one segment, at 50 tokens a second."""
    lexicon: Mapping[str, str] = field(default_factory=dict)
    """Words and their pronunciations, as ``kani_text.lexicon`` reads them; before the server's own."""
    normalize: bool = True
    """True if numbers, abbreviations and the like are spelled out."""
    quotations: bool = True
    """True if quotations and sentences in another language are spoken in that."""
    sampling: Sampling = Sampling()
    reference: Recording | tuple[Embedding, ...] | None = None
    """Voice to be imitated."""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    """Settings that only some engines have."""
    ssml: bool | None = None
    """True if the text is SSML, with or without ``<speak>``; False if none of it is; None where a text that
    begins with ``<speak>`` is."""
    timed: bool = True
    """True if the times of words and marks are wanted. Otherwise they are only what the engine reports."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of text, as an engine gets it."""

    text: str
    """At least one speakable character, no control characters. For ``StreamingInputEngine.stream``: the
    start."""
    voice: str
    """Id of one of the engine's own voices."""
    language: str
    """BCP 47 tag."""
    speed: float = 1.0
    """Within the engine's ``speed_range``; includes the rate of the prosody."""
    prosody: Prosody = NEUTRAL
    """The part of it that the engine renders (``EngineInfo.native_prosody``); the rest is neutral."""
    max_seconds: float = 24.0
    """The engine may stop there; the session cuts there in any case."""
    boundary: Boundary = Boundary.SENTENCE
    """Meaningless for ``StreamingInputEngine.stream``."""
    pronunciations: tuple[Pronunciation, ...] = ()
    """In order; empty where the engine does not accept IPA."""
    emphases: tuple[Emphasis, ...] = ()
    """In order; empty where the engine does not emphasize words."""
    sampling: Sampling = Sampling()
    embedding: Embedding | None = None
    """Voice to be imitated instead of ``voice``; made by the engine itself."""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    request_id: str = ""
    """Id of the request in logs; sessions of one connection may share it."""
    session: str = field(default="", compare=False)
    """Unique id of its session; "" if it belongs to none."""
    light: bool = False
    """True if the voice's light network is to speak (``EngineInfo.light``)."""
    ahead_s: float = field(default=0.0, compare=False)
    """Seconds of audio that the listener has left when synthesis begins; infinite if none is awaited."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that clients can name."""

    id: str
    """Unique over all engines."""
    name: str
    language: str
    """BCP 47 tag; empty for a stored voice without one."""
    engine: str
    """Name of the engine that speaks it."""
    gender: str = ""
    """"female", "male" or "" (unknown)."""
    pitch_hz: float = 0.0
    """Median F0 of its speech; 0 if unknown."""
    pitch_range: float = 0.0
    """Semitones: for a third of the time its F0 is at least as far from the median; 0 if unknown."""
    pace: float = 0.0
    """Speed of its speech, beside the median of its language's voices (1); 0 if unknown."""
    brightness_db: float = 0.0
    """Level from 2 kHz on, in decibels below all of its sound; 0 if unknown."""
