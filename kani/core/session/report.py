"""Reports one session: metrics while it runs, one log line when it ends."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from kani.core import request_ids, tracing
from kani.core.errors import Busy, EngineFailed, InvalidRequest, SpeechCancelled, SpeechError, TimedOut
from kani.core.observer import Observer
from kani.core.voices.catalogue import ResolvedVoice
from kani_text.foreign_passages import ForeignPassage
from kani_text.incremental_text import IncrementalText
from kani_text.segmenter import TextSegment

log = logging.getLogger("speech.account")
"""The logger that docs/monitoring.md documents; monitoring may filter by its name."""

COMPLETED, CANCELLED = "completed", "cancelled"


def outcome_of(error: SpeechError) -> str:
    """Outcome of a session that ended by ``error``, as ``Observer.synthesis_ended`` lists them."""
    match error:
        case SpeechCancelled():
            return CANCELLED
        case TimedOut():
            return "timeout"
        case Busy():
            return "refused"
        case InvalidRequest():
            return "invalid"
    return "failed"


class SessionTrace:
    """Spans of one session: its own, and those of the engine's and the protocol's work in it."""

    def __init__(self, protocol: str, request_id: str) -> None:
        self.span = tracing.current().child("speech", {"speech.protocol": protocol, "request.id": request_id})
        self._engine = tracing.UNRECORDED
        self._encode: tracing.Span | None = None
        self._audible = False  # True once the current segment's engine has yielded audio
        self._given_at = 0.0
        self._encoded_s = 0.0  # seconds for which the protocol had chunks in hand

    @contextmanager
    def synthesizing(self, voice: ResolvedVoice, text: IncrementalText) -> Iterator[None]:
        """Trace the engine's work on a segment while the body runs."""
        attributes = {
            "speech.engine": voice.engine.info.name,
            "speech.voice": voice.voice,
            "speech.language": voice.language,
        }
        with self.span.child("engine", attributes) as span:
            self._engine, self._audible = span, False
            try:
                yield
            finally:
                span.set({"speech.characters": len(text.written)})

    def segment_audible(self) -> None:
        """Note that the segment's engine has yielded audio."""
        if not self._audible:
            self._audible = True
            self._engine.event("first audio")

    def chunk_given(self) -> None:
        """Note that the protocol has a chunk, to encode and send it."""
        if self._encode is None:
            self._encode = self.span.child("encode")
        self._given_at = time.perf_counter()

    def chunk_sent(self) -> None:
        """Note that the protocol asks for more."""
        self._encoded_s += time.perf_counter() - self._given_at

    def segment_synthesized(self, wall_s: float, audio_s: float) -> None:
        self._engine.set({"speech.audio_s": round(audio_s, 3), "speech.slot_s": round(wall_s, 4)})

    def close(self, outcome: str, fields: tracing.Attributes) -> None:
        """End the spans."""
        if self._encode is not None:
            self._encode.set({"speech.busy_s": round(self._encoded_s, 4)})
            self._encode.end()
        self.span.set({f"speech.{name}": value for name, value in fields.items()})
        if outcome not in (COMPLETED, CANCELLED):
            self.span.fail(outcome)
        self.span.end()


class SessionReport:
    """Reports one session: metrics while it runs, one log line when it ends."""

    def __init__(self, protocol: str, observer: Observer) -> None:
        self.request_id = request_ids.current()  # id of the session in logs
        self.protocol = protocol
        self.foreign_passages: list[ForeignPassage] = []
        """Passages spoken so far by another voice than the session's: one for another language, or one of an
        engine that has joined."""
        self._observer = observer
        self._opened_at = time.perf_counter()
        self._first_text_at: float | None = None
        self._first_audio_s: float | None = None
        self._waited_s = 0.0
        self._characters = 0
        self._audio_s = 0.0
        self._outcome: str | None = None
        self.trace = SessionTrace(protocol, self.request_id)
        log.debug("opened for %s", protocol)

    def text_received(self, text: str) -> None:
        """Count ``text``, and log it where the operator asks for texts."""
        if self._first_text_at is None:
            self._first_text_at = time.perf_counter()
        self._characters += len(text)
        request_ids.TEXT_LOG.info("%r", text)

    def foreign_passage(self, segment: TextSegment, voice: ResolvedVoice) -> None:
        """Record a segment that another voice speaks; neighbours of the same voice are one passage."""
        end, engine = segment.start + len(segment.text), voice.engine.info.name
        passage = ForeignPassage(segment.start, end, voice.language, voice.voice, engine)
        before = self.foreign_passages[-1] if self.foreign_passages else None
        if before is not None and before == replace(passage, start=before.start, end=segment.start):
            passage = replace(passage, start=self.foreign_passages.pop().start)
        self.foreign_passages.append(passage)

    def slot_acquired(self, engine: str, waited_s: float) -> None:
        self._waited_s += waited_s
        self._observer.slot_acquired(self.protocol, engine, waited_s)

    def audio_made(self, engine: str, seconds: float) -> None:
        if self._first_audio_s is None and self._first_text_at is not None:
            self._first_audio_s = time.perf_counter() - self._first_text_at
            self._observer.first_audio(self.protocol, engine, self._first_audio_s)
        self._audio_s += seconds

    def segment_synthesized(self, engine: str, wall_s: float, audio_s: float) -> None:
        """Report the speed of one segment: seconds it took, and seconds of its audio."""
        self.trace.segment_synthesized(wall_s, audio_s)
        self._observer.segment_synthesized(self.protocol, engine, wall_s, audio_s)
        log.debug("%s synthesized %.2f s in %.3f s", engine, audio_s, wall_s)

    def timing_estimated(self, engine: str, reason: str) -> None:
        self._observer.timing_estimated(self.protocol, engine)
        log.warning("engine %s: %s", engine, reason)

    def engine_failed(self, engine: str, error: BaseException) -> None:
        """Report an error of the engine, or of the synthesis around it."""
        self._outcome = "failed"
        self._observer.engine_failed(self.protocol, engine)
        if isinstance(error, EngineFailed) and error.logged:
            log.error("engine %s failed: %s", engine, error)
        else:
            log.error("engine %s failed", engine, exc_info=error)

    def ended(self, error: SpeechError | None = None) -> None:
        """Record that the reader got all audio, or ``error``; only the first call counts."""
        self._outcome = self._outcome or (outcome_of(error) if error is not None else COMPLETED)

    def close(self, voice: ResolvedVoice | None) -> None:
        """Write the log line; a session that never ended was left by its client."""
        outcome = self._outcome or CANCELLED
        if outcome == CANCELLED:
            self._observer.session_cancelled(self.protocol)
        seconds = time.perf_counter() - self._opened_at
        self._observer.synthesis_ended(self.protocol, outcome, seconds, self._characters)
        first_s = self._first_audio_s
        fields: dict[str, tracing.Attribute | None] = {
            "protocol": self.protocol,
            "outcome": outcome,
            "engine": voice.engine.info.name if voice is not None else None,
            "voice": voice.voice if voice is not None else None,
            "language": voice.language if voice is not None else None,
            "light": True if voice is not None and voice.light else None,
            "characters": self._characters,
            "audio_s": round(self._audio_s, 3),
            "first_audio_s": round(first_s, 4) if first_s is not None else None,
            "waited_s": round(self._waited_s, 4),
            "seconds": round(seconds, 3),
        }
        line = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
        log.info("%s", line, extra={"facts": fields})
        self.trace.close(outcome, fields)
