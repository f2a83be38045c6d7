"""Error codes of Wyoming's ``error`` events; the protocol leaves them to the server."""

from __future__ import annotations

from kani.core.errors import Busy, InvalidRequest, SpeechCancelled, SpeechError, TimedOut
from kani.protocols.shared.errors import BadMessage


def code_of(error: BadMessage | SpeechError) -> str:
    """Return the code of an error."""
    match error:
        case BadMessage() | InvalidRequest():
            return "invalid-request"
        case Busy():
            return "busy"
        case TimedOut():
            return "timed-out"
        case SpeechCancelled():
            return "stopping"
    return "engine-failed"


def text_of(error: BadMessage | SpeechError) -> str:
    """Return the sentence of an error."""
    return "the server is stopping" if isinstance(error, SpeechCancelled) else str(error)
