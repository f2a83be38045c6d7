"""What becomes of one session: told to the observer as it happens, and to the log when it has ended."""

from __future__ import annotations

import logging
import time

from speech import request_ids
from speech.engine import EngineInfo
from speech.errors import Busy, EngineFailed, InvalidRequest, SpeechCancelled, SpeechError, TimedOut
from speech.observer import Observer
from speech.session.context import ResolvedVoice

log = logging.getLogger(__name__)

TEXT_LOG = logging.getLogger("speech.text")
"""Where what clients want said is logged. It is nobody's business until an operator asks for it."""
TEXT_LOG.disabled = True

COMPLETED, CANCELLED = "completed", "cancelled"


def outcome_of(error: SpeechError) -> str:
    """How a session ended that met with ``error``, in one word."""
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


class SessionReport:
    """The account of one session of ``protocol``; ``request_id`` is what logs call it."""

    def __init__(self, protocol: str, observer: Observer) -> None:
        self.request_id = request_ids.current()
        self.protocol = protocol
        self._observer = observer
        self._opened_at = time.perf_counter()
        self._first_text_at: float | None = None
        self._first_audio_s: float | None = None
        self._waited_s = 0.0
        self._characters = 0
        self._audio_s = 0.0
        self._outcome: str | None = None
        log.debug("opened for %s", protocol)

    def text_received(self, text: str) -> None:
        """The client wrote ``text``."""
        if self._first_text_at is None:
            self._first_text_at = time.perf_counter()
        self._characters += len(text)
        TEXT_LOG.info("%r", text)

    def slot_acquired(self, engine: str, waited_s: float) -> None:
        """A segment got its engine's place, after so many seconds."""
        self._waited_s += waited_s
        self._observer.slot_acquired(self.protocol, engine, waited_s)

    def audio_made(self, engine: EngineInfo, samples: int) -> None:
        """So many samples were made."""
        if self._first_audio_s is None and self._first_text_at is not None:
            self._first_audio_s = time.perf_counter() - self._first_text_at
            self._observer.first_audio(self.protocol, engine.name, self._first_audio_s)
        self._audio_s += samples / engine.sample_rate

    def segment_synthesized(self, engine: str, wall_s: float, audio_s: float) -> None:
        """A segment was spoken: what it took, and how long it is."""
        self._observer.segment_synthesized(self.protocol, engine, wall_s, audio_s)
        log.debug("%s spoke %.2f s in %.3f s", engine, audio_s, wall_s)

    def timing_estimated(self, engine: str, why: str) -> None:
        """The times of a segment's words are not found, but estimated."""
        self._observer.timing_estimated(self.protocol, engine)
        log.warning("engine %s: %s", engine, why)

    def engine_failed(self, engine: str, error: BaseException) -> None:
        """The engine failed, or what speaks with it."""
        self._outcome = "failed"
        self._observer.engine_failed(self.protocol, engine)
        if isinstance(error, EngineFailed) and error.logged:
            log.error("engine %s failed: %s", engine, error)
        else:
            log.error("engine %s failed", engine, exc_info=error)

    def ended(self, error: SpeechError | None = None) -> None:
        """Its reader has all of it, or was told why not; only the first call counts."""
        self._outcome = self._outcome or (outcome_of(error) if error is not None else COMPLETED)

    def close(self, speaker: ResolvedVoice | None) -> None:
        """It is over; where nobody ended it, its client has gone."""
        outcome = self._outcome or CANCELLED
        if outcome == CANCELLED:
            self._observer.session_cancelled(self.protocol)
        seconds = time.perf_counter() - self._opened_at
        self._observer.synthesis_ended(self.protocol, outcome, seconds, self._characters)
        first = self._first_audio_s
        facts = {
            "protocol": self.protocol,
            "outcome": outcome,
            "engine": speaker.engine.info.name if speaker is not None else None,
            "voice": speaker.voice if speaker is not None else None,
            "language": speaker.language if speaker is not None else None,
            "characters": self._characters,
            "audio_s": round(self._audio_s, 3),
            "first_audio_s": round(first, 4) if first is not None else None,
            "waited_s": round(self._waited_s, 4),
            "seconds": round(seconds, 3),
        }
        told = " ".join(f"{name}={fact}" for name, fact in facts.items() if fact is not None)
        log.info("%s", told, extra={"facts": facts})
