"""Interface of the speech recognisers: samples in, words and pause probabilities out, in real time."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from inspect import signature
from typing import Protocol, runtime_checkable

from kani.core.types import Samples
from kani_text.writing import space_between

STEP_S = 0.08
"""Seconds of audio for each ``Step``."""

VOICE_CHUNK_S = 0.032
"""Seconds of audio for each of ``Step.voices``."""

PAUSE_LENGTHS_S = (0.5, 1.0, 2.0, 3.0)
"""Lengths of pause, in seconds; each ``Step`` has a probability for each."""

NO_WORDS = "speech was heard, but no words in it: speak up, or name the language"
"""Message for a turn of speech in which no word was recognised."""


@dataclass(frozen=True, slots=True)
class RecognizedWord:
    """A decided word with its punctuation, without spaces; times in seconds since the stream began."""

    text: str
    start_s: float
    end_s: float
    language: str = field(default="", compare=False)
    """Primary language subtag; empty if unknown."""
    log_probability: float | None = field(default=None, compare=False)
    """Of its least likely token, up to 0; None if unknown."""


def text_of(words: Iterable[RecognizedWord]) -> str:
    """Return the text of words, with the spaces that their scripts have between them."""
    text = ""
    for word in words:
        text += space_between(text, word.text) + word.text
    return text


@dataclass(frozen=True, slots=True)
class Step:
    """``STEP_S`` more of the audio were processed."""

    index: int
    """Counts from 0."""
    pause_probabilities: tuple[float, float, float, float]
    """For each of ``PAUSE_LENGTHS_S`` the probability, in [0, 1], that a pause of that length follows the
    last speech; 0 during speech, 1 before any."""
    voices: tuple[float, ...] = field(default=(), compare=False)
    """Probability of a voice in each ``VOICE_CHUNK_S`` of audio completed since the step before, if known."""
    settled: bool = field(default=False, compare=False)
    """True if every word that was spoken so far has been yielded."""
    completeness: float | None = field(default=None, compare=False)
    """Probability that the speaker has said all, where ``complete`` tells."""
    complete: bool | None = field(default=None, compare=False)
    """True if the speaker has said all, in a session that judges turns; None in speech, and if unknown."""

    def voiced_s(self, threshold: float) -> float:
        """Return the seconds with a voice of a probability from ``threshold`` on."""
        if not self.voices:
            return STEP_S if max(self.pause_probabilities) == 0 else 0.0
        return VOICE_CHUNK_S * sum(voice >= threshold for voice in self.voices)


@dataclass(frozen=True, slots=True)
class Mark:
    """A position in the audio, which is yielded once every word before it is decided."""

    number: int


RecognitionEvent = RecognizedWord | Step | Mark


@dataclass(frozen=True, slots=True)
class RecognizerInfo:
    """Description of a recogniser."""

    name: str
    version: str
    sample_rate: int
    """Hertz of the samples that it accepts."""
    languages: frozenset[str]
    """Primary language subtags."""
    unavailable_reason: str = ""
    """Reason why it cannot be started, and the remedy; empty as far as is known before it is."""
    recordings_only: str = ""
    """Reason why it recognises no live speech, and the remedy; empty if it does, and before it is known."""
    live_delay_s: float | None = None
    """Seconds from the end of a word until it is decided, measured at the start; None if it was not."""
    hears_again: bool = False
    """True if it transcribes by passes that wait for all live ones: each turn is heard once more."""


class Recognizer(Protocol):
    """A speech recogniser. It never blocks the event loop."""

    @property
    def info(self) -> RecognizerInfo:
        """Description; valid also before ``start``."""

    async def start(self) -> None:
        """Load what is needed. Raises EngineUnavailable with the reason and the remedy."""

    async def stop(self) -> None:
        """Free everything. Called when no recognition is running."""

    def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """Recognise ``audio``: pieces of any length, mono, at ``info.sample_rate``, as they come in.

        language: a primary subtag of ``info.languages``, or None to detect it from the speech.

        Yields a ``Step`` for each ``STEP_S`` of audio, in order, as soon as it is there; words in order,
        never taken back; and each mark once the words before it are decided, which takes some audio after it,
        or the end of ``audio``. Where a pause is likely the words before it come first: a Step with a
        probability of 0.6 or more for a 2 s pause comes only after the last word that was spoken. Audio that
        is there already is processed faster than real time, as far as the cores allow, and is pulled no
        faster than it is processed. At the end of ``audio`` all words are decided, and the generator ends.

        Cancelling the awaiting task or closing the generator stops the work within one step of the
        model. Raises EngineFailed.
        """


@runtime_checkable
class PromptedRecognizer(Protocol):
    """A recogniser that can be told which words to expect; others recognise without them.

    A class that inherits from it recognises without a prompt, too.
    """

    def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """Recognise audio without a prompt."""
        return self.recognize_prompted(audio, language, "")

    def recognize_prompted(
        self,
        audio: AsyncIterator[Samples | Mark],
        language: str | None,
        prompt: str,
        *candidates: str,
        expected: str | None = None,
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """Recognise ``audio`` as ``Recognizer.recognize`` does.

        prompt: text that may precede the speech, for its names and its spelling; none of it is yielded unless
        it is spoken; candidates: languages that detection chooses from where it can, empty for every one;
        expected: the language of the speech before, which detection prefers where it can.
        """


def recognition(
    recognizer: Recognizer,
    audio: AsyncIterator[Samples | Mark],
    language: str | None,
    prompt: str,
    candidates: Collection[str],
    expected: str | None,
) -> AsyncGenerator[RecognitionEvent, None]:
    """Begin a recognition, and tell the recogniser what to expect where it can be told.

    The arguments are those of ``PromptedRecognizer.recognize_prompted``.
    """
    told = prompt or candidates or expected
    if not told or not isinstance(recognizer, PromptedRecognizer):
        return recognizer.recognize(audio, language)
    # A package's recogniser may be older than this keyword.
    takes_expected = "expected" in signature(recognizer.recognize_prompted).parameters
    known = {"expected": expected} if takes_expected else {}
    return recognizer.recognize_prompted(audio, language, prompt, *candidates, **known)
