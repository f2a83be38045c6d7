"""Interface for the transcription of whole recordings: samples in, timed segments out."""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from kani.core.errors import EngineFailed
from kani.core.recognizer import STEP_S, RecognitionEvent, RecognizedWord, Step
from kani.core.types import Samples
from kani_text.heard.scripts import CONTEXT, written, written_words

MAX_CHARACTERS_PER_S, MORE_CHARACTERS = 400, 10_000
"""Characters of a transcript for each second of its audio, and beyond that; a word or a step counts as one
more. Nobody speaks a tenth as fast."""

MAX_BEYOND_S = 1.0
"""Seconds after the end of the audio at which a time may be; later ones are moved there."""

IMPOSSIBLE = -100.0
"""Log probability instead of one that is no finite number."""


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """Options of one recording."""

    language: str | None = None
    """Primary language subtag; None detects it from the speech. To open a session, as of ``spoken``."""
    candidates: frozenset[str] = frozenset()
    """Such languages that detection chooses from; empty for every language."""
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


@runtime_checkable
class CoreSharing(Protocol):
    """A recogniser that transcribes recordings in this process, on the cores that speech is made on."""

    def leave_core(self) -> None:
        """Leave one core to speech for some seconds; called whenever speech is asked for."""


class HeardCheck:
    """Checks what a recogniser yields for one stream or recording, where it enters.

    Times are put in order within the audio, and texts in the letters that were asked for. Raises EngineFailed
    for times that are not finite, more text than can be spoken, and steps of audio that was not given.
    """

    def __init__(self, varieties: Iterable[str] = ()) -> None:
        """varieties: languages that may be spoken, as ``kani_text.heard.scripts.variety`` returns them."""
        self._varieties = {one.partition("-")[0]: one for one in sorted(varieties)}
        self._before = ""  # the words so far, as the recogniser wrote them
        self._given_s = 0.0
        self._left = float(MORE_CHARACTERS)
        self._segment_s = self._word_s = 0.0  # start of the last one

    def give(self, seconds: float) -> None:
        """Note that the recogniser gets audio, or a mark of no length."""
        self._given_s += seconds
        self._left += MAX_CHARACTERS_PER_S * seconds + 1

    def event(self, event: RecognitionEvent) -> RecognitionEvent:
        """Return a live event as it can be relied on."""
        match event:
            case RecognizedWord():
                self._count(len(event.text) + 1)
                start_s, end_s = times = self._placed(event.start_s, event.end_s, self._word_s)
                self._word_s = start_s
                text = written(event.text, self._variety(event.language), self._before)
                self._before = (self._before + event.text)[-CONTEXT:]
                if (text, *times) != (event.text, event.start_s, event.end_s):
                    return replace(event, text=text, start_s=start_s, end_s=end_s)
            case Step():
                self._count(1)
                if not 0 <= event.index * STEP_S <= self._given_s + MAX_BEYOND_S:
                    raise EngineFailed("the recogniser heard more audio than there is")
                self._check_finite(*event.pause_probabilities, *event.voices)
            case _:
                self._count(1)
        return event

    def segment(self, segment: TranscribedSegment) -> TranscribedSegment:
        """Return a segment of a recording as it can be relied on."""
        self._count(len(segment.words) + len(segment.tokens) + len(segment.text) + 1)
        self._count(sum(len(word.text) for word in segment.words))
        start_s, end_s = self._placed(segment.start_s, segment.end_s, self._segment_s)
        self._segment_s = start_s
        variety = self._variety(segment.language)
        text = written(segment.text, variety)
        words = written_words([word.text for word in segment.words], segment.text, text)
        words = words or [written(word.text, variety) for word in segment.words]
        return replace(
            segment,
            text=text,
            start_s=start_s,
            end_s=end_s,
            seek_s=self._placed(segment.seek_s, segment.seek_s, 0.0)[0],
            words=tuple(map(self._word, segment.words, words)),
            log_probability=_finite(segment.log_probability),
        )

    def _variety(self, language: str) -> str:
        """Return the variety of what was heard; language: primary subtag, "" for the one that was given."""
        if not language and len(self._varieties) == 1:
            return next(iter(self._varieties.values()))
        return self._varieties.get(language, language)

    def _word(self, word: TranscribedWord, text: str) -> TranscribedWord:
        start_s, end_s = self._placed(word.start_s, word.end_s, self._word_s)
        self._word_s = start_s
        return replace(
            word, text=text, start_s=start_s, end_s=end_s, log_probability=_finite(word.log_probability)
        )

    def _placed(self, start_s: float, end_s: float, least_s: float) -> tuple[float, float]:
        """Return times that begin at ``least_s`` or later, and are not beyond the audio."""
        self._check_finite(start_s, end_s)
        most_s = max(self._given_s + MAX_BEYOND_S, least_s)
        start_s = min(max(start_s, least_s), most_s)
        return start_s, min(max(end_s, start_s), most_s)

    def _check_finite(self, *values: float) -> None:
        if not all(map(math.isfinite, values)):
            raise EngineFailed("the recogniser gave a number that is not finite")

    def _count(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise EngineFailed("the recogniser gave more text than its audio can hold")


def _finite(log_probability: float) -> float:
    return log_probability if math.isfinite(log_probability) else IMPOSSIBLE
