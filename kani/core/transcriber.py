"""Interface for the transcription of whole recordings: samples in, timed segments out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kani.core.types import Samples


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """Options of one recording."""

    language: str | None = None
    """Primary language subtag; None detects it from the speech."""
    candidates: frozenset[str] = frozenset()
    """Primary subtags that detection chooses from; empty for every language."""
    translate: bool = False
    """True to translate the text into English."""
    prompt: str = ""
    """Text that may precede the recording, for its names and its spelling."""
    temperature: float = 0.0
    """Sampling temperature, 0 to 1; 0 takes the likeliest text, the same in each run."""
    waited_for: bool = False
    """True if someone who has just spoken waits for it: it comes before other recordings."""


@dataclass(frozen=True, slots=True)
class TranscribedWord:
    """A word with its punctuation, without spaces; times in seconds since the recording began."""

    text: str
    start_s: float
    end_s: float
    log_probability: float
    """Log probability of its least likely token."""

    @property
    def bare(self) -> str:
        """The word without the punctuation around it; a word of nothing else as it is."""
        kept = [at for at, letter in enumerate(self.text) if letter.isalnum()]
        return self.text[kept[0] : kept[-1] + 1] if kept else self.text


@dataclass(frozen=True, slots=True)
class TranscribedSegment:
    """A sentence, or a part of a long one; times in seconds since the recording began."""

    text: str
    """Text, with the space that divides it from the one before; the texts together are the transcript."""
    start_s: float
    end_s: float
    words: tuple[TranscribedWord, ...] = ()
    tokens: tuple[int, ...] = ()
    """The model's tokens of the text, where they are known."""
    seek_s: float = 0.0
    """Start of the audio that was transcribed at once."""
    temperature: float = 0.0
    """Temperature that the text was sampled with."""
    log_probability: float = 0.0
    """Mean of the tokens'."""
    compression_ratio: float = 1.0
    """Length of the text relative to its compressed form: large for a text that repeats itself."""
    no_speech_probability: float = 0.0
    """Mean probability that its audio holds no voice."""
    language: str = ""
    """Primary subtag of what is spoken: given, or detected; empty if unknown."""
    language_probability: float = 1.0
    """1 for a language that was given."""
    speaker: int | None = None
    """Number of who speaks, from 0 on; None where speakers are not told apart."""


@runtime_checkable
class Transcriber(Protocol):
    """A recogniser that also transcribes recordings, with the whole of a sentence before it decides."""

    def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """Transcribe ``audio``: pieces of any length, mono, at the recogniser's sample rate.

        Pulls no more audio than it works on, so that memory is bounded however long the recording is.
        Yields segments in order. Live recognition comes first where both want the same core. Cancelling the
        awaiting task or closing the generator stops the work within one step of the model. Raises
        EngineFailed, and what ``audio`` raises.
        """
