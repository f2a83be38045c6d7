"""Input and result of one recognition pass over a stretch of audio; independent of the model."""

from dataclasses import dataclass, replace

from kani.core.types import Samples
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.recording_chunks import Chunk


@dataclass(frozen=True, slots=True, eq=False)
class PassInput:
    """A stretch of audio that may hold words."""

    samples: Samples  # 16 kHz
    language: str | None  # primary subtag; None to detect it
    prefix: tuple[int, ...] = ()  # tokens of its words that are decided already
    expected: str | None = None  # language of the speech before, which detection prefers
    speech_s: float = 0.0  # end of the detected speech
    before: tuple[int, ...] = ()  # tokens of text that may precede the speech
    decisive: bool = False  # whether its words are decided whatever they are: a wrong guess would lose them
    start: int = 0  # of the samples, in samples of the stream


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word with its times, in seconds since the start of the audio of the pass."""

    word: HypothesisWord
    start_s: float
    end_s: float
    probability: float  # of its least likely token
    last_token: tuple[str, float] | None = None  # of several: its text, and its start after the word's


def moved(timed: TimedWord, by_s: float) -> TimedWord:
    """Return a word with its times later by some seconds."""
    return replace(timed, start_s=timed.start_s + by_s, end_s=timed.end_s + by_s)


@dataclass(frozen=True, slots=True)
class PassResult:
    """Words that a pass recognised after its prefix."""

    words: tuple[TimedWord, ...]  # times never decrease
    language: str  # given, or detected
    language_probability: float  # 1 if it was given
    has_speech: bool  # False where the model's answer cannot be speech
    untold_s: float | None = None  # from where the audio has speech that no word tells, if there is any


@dataclass(frozen=True, slots=True)
class ChunkInput:
    """A stretch of a recording, to be transcribed with nothing before it."""

    chunk: Chunk
    language: str | None  # primary subtag; None to detect it
    detected: bool  # whether it is detected: ``language`` is that of stretches before, and only expected
    candidates: frozenset[str]  # of the detection; empty for every language
    translate: bool  # into English
    prompt: str  # text that may precede it
    temperature: float  # of sampling; 0 takes the likeliest answer


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """Transcript of a stretch, or of a part of it."""

    chunk: Chunk  # what ``words`` count their times from
    words: tuple[TimedWord, ...]  # times never decrease
    language: str  # given, or detected
    language_probability: float  # 1 if it was given
    temperature: float  # that the words were sampled with
    log_probability: float  # mean of the tokens'
    has_speech: bool  # False where the model's answer is not likely to be speech
