"""The contract of adapters: classes that speak or hear by a maker's package, in the worker's process.

An adapter's module imports no third package at its top but numpy; its package in ``load``. Its class takes no
arguments. The worker calls the methods for speech in one thread, where segments take turns after each value
that ``speak`` yields, and those for recognition in one of ``streams`` threads; methods that are coroutines or
asynchronous generators, which ``hear`` cannot be, run in the event loop instead, for packages that share a
model among streams.
"""

import secrets
import threading
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kani.core.engine import EngineInfo
from kani.core.recognizer import RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.types import Samples, Segment, Span
from kani.engines.plugin import Resources


@dataclass(slots=True)
class Utterance:
    segment: Segment
    text: str
    """The text, or, for an engine with ``accepts_partial_text``, what there is of it: it only grows, and not
    while ``speak`` runs."""
    complete: bool = True
    """False while ``text`` still grows."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set once nobody wants the speech any more: it ends at the model's next step."""

    @property
    def seed(self) -> int:
        """The request's seed, or one by chance."""
        seed = self.segment.sampling.seed
        return secrets.randbits(63) if seed is None else seed


Spoken = Samples | Span | None
"""An item that ``speak`` yields: audio, a word's span, or None where it needs more text than there is."""


class SpeechAdapter(Protocol):
    """Speaks by a maker's package."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        """Load the model; settings: what the package's ``find`` returned.

        Raises EngineUnavailable with the reason and the cure; any other error is told with the package's.
        """

    def speak(self, utterance: Utterance) -> Generator[Spoken, None, None] | AsyncGenerator[Spoken, None]:
        """Yield audio as it is made, with the model's own silence, which the worker trims.

        Where the package knows words' times (``EngineInfo.times_words``), it yields a span for each, in
        order, once it is known; its seconds count from the first sample, its characters in the text. It
        yields None where it needs more text. The worker ends an utterance that is longer than
        ``segment.max_seconds``. Raises InvalidRequest.
        """

    def embed(self, samples: Samples) -> Samples:
        """Return the embedding of a recording: float32 [n], at most ``MAX_EMBEDDING_VALUES``.

        samples: at the rate that ``find`` names, else the engine's. Called only where
        ``EngineInfo.cloning`` is "embedding". Raises NoSpeech.
        """


class LiveSession(Protocol):
    """One stream of live speech. Its methods may be coroutines."""

    pauses: tuple[float, ...]
    """Probabilities of the pauses of ``PAUSE_LENGTHS_S`` after the last audio; empty if it tells none."""
    pending: bool
    """True within a word, before its end is known."""

    def feed(self, samples: Samples) -> Sequence[TranscribedWord]:
        """Accept ``STEP_S`` of audio at ``RecognizerInfo.sample_rate``; return the words it decides.

        Words are in order, and never taken back; each comes within ``RecognizerInfo.live_delay_s``.
        """

    def finish(self) -> Sequence[TranscribedWord]:
        """Return the last words: no more audio comes."""

    def close(self) -> None:
        """Free the stream's place, whatever it has been fed. Not called while another method runs."""


class HearingAdapter(Protocol):
    """Hears by a maker's package. One of ``hear`` and ``listen`` is enough."""

    streams: int
    """Calls of ``hear``, and open live sessions, at once; valid once it is loaded. Others wait."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> RecognizerInfo:
        """Load the model, as ``SpeechAdapter.load`` does."""

    def hear(
        self, samples: Samples, options: TranscriptionOptions, stopped: threading.Event
    ) -> Sequence[TranscribedSegment]:
        """Return what is said in a recording, or in a stretch of one, at ``RecognizerInfo.sample_rate``.

        Its parts have their words, language and probability where the package tells them. It ends at the
        model's next step once ``stopped`` is set. Raises InvalidRequest for an option that the package lacks.
        """

    def listen(self, language: str | None) -> LiveSession:
        """Begin a live session."""


def check_finite(*models: Any) -> None:
    """Raise ValueError for NaN or infinite weights of torch's modules, which would only be heard."""
    for model in models:
        for name, weight in model.named_parameters():
            if not weight.isfinite().all():
                raise ValueError(f"{name} has NaN or infinite values")
