"""What a recogniser is to the core: samples in, words and pauses out, while someone speaks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from speech.types import Samples

STEP_S = 0.08
"""Seconds of audio that one ``Step`` stands for."""

PAUSE_LENGTHS_S = (0.5, 1.0, 2.0, 3.0)
"""The lengths of pause, in seconds, whose probability each ``Step`` tells."""


@dataclass(frozen=True, slots=True)
class RecognizedWord:
    """A word that is decided: its marks attached, no spaces; seconds since the stream began."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """``STEP_S`` more of the audio were taken in; ``index`` counts from 0.

    pauses: for each length of ``PAUSES_S`` the probability, in [0, 1], that the speaker pauses so
    long from the end of what was said last; 0 while someone speaks. 1 before anybody has.
    """

    index: int
    pause_probabilities: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the audio, which comes back once every word before it is decided."""

    number: int


RecognitionEvent = RecognizedWord | Step | Mark


@dataclass(frozen=True, slots=True)
class RecognizerInfo:
    """What a recogniser can do: hertz of the samples it takes, primary subtags of its languages."""

    name: str
    version: str
    sample_rate: int
    languages: frozenset[str]


class Recognizer(Protocol):
    """Someone who listens. It never blocks the event loop."""

    @property
    def info(self) -> RecognizerInfo:
        """Facts; true also before ``start``."""

    async def start(self) -> None:
        """Load what is needed. Raises EngineUnavailable with the reason and the cure."""

    async def stop(self) -> None:
        """Free everything; no recognition is under way any more."""

    def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """Hear ``audio``: pieces of any length, mono, at ``info.sample_rate``, as they come in.

        language: a primary subtag of ``info.languages``, or None to tell it from the speech.

        Yields a ``Step`` for each ``STEP_S`` of audio, in order, as soon as it is there; words in
        order, none of which is ever taken back; and each mark once the words before it are decided,
        which takes some audio behind it, or the end of ``audio``. Where a pause is likely the words
        before it come first: no Step whose probability of a 2 s pause is 0.6 or more comes before
        the last word that was said. Audio that is there already is heard faster than it was spoken,
        as far as the cores allow, and is asked for no faster than it is heard. At the end of
        ``audio`` all that was said is decided, and the generator ends.

        Cancelling the awaiting task or closing the generator stops the work within one step of the
        model. Raises EngineFailed.
        """
