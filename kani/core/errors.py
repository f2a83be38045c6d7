"""Errors of the speech core.

Protocols map them to their own error messages. ``str(error)`` is fit for a client: it names the field and the
limit, never a path or a traceback.
"""

from kani_text.errors import EngineUnavailable as EngineUnavailable
from kani_text.errors import InvalidRequest as InvalidRequest
from kani_text.errors import Reason as Reason
from kani_text.errors import SpeechError as SpeechError
from kani_text.errors import UnsupportedLanguage as UnsupportedLanguage


class NoSpeech(InvalidRequest):
    """An engine found no speech in a recording, the request's ``reference``."""

    def __init__(self) -> None:
        reason = "there is no speech in the recording: record some sentences of the voice"
        super().__init__("reference", reason, Reason("no_speech"))


class TextTooLong(InvalidRequest):
    """More text than the limit allows (``limit`` in characters)."""

    def __init__(self, limit: int) -> None:
        super().__init__("text", f"too long (at most {limit} characters)")
        self.limit = limit


class UnknownVoice(InvalidRequest):
    """No voice has that id."""

    def __init__(self, voice: str) -> None:
        super().__init__("voice", f"unknown voice {voice!r}")
        self.voice = voice


class NameTaken(InvalidRequest):
    """Another voice has that name."""

    def __init__(self, name: str) -> None:
        super().__init__("name", f"there is a voice {name!r} already: delete it, or choose another")
        self.name = name


class Busy(SpeechError):
    """Too many sessions or waiting segments; the client may try again later."""


class RateLimited(Busy):
    """A client opened more sessions than the limit allows (``limit`` per minute)."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"too many requests (at most {limit} a minute)")
        self.limit = limit


class ServerStopping(Busy):
    """The server takes no more requests, as it stops; another one, or the next one, may."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down")


class TimedOut(SpeechError):
    """The client waited longer for its audio than the limit allows (``seconds``)."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the speech was not ready in time (at most {seconds:g} s)")
        self.seconds = seconds


class EngineFailed(SpeechError):
    """An engine failed during synthesis or recognition. The cause is logged, never sent.

    ``logged``: whether the engine has logged it already.
    """

    def __init__(self, message: str, *, logged: bool = False) -> None:
        super().__init__(message)
        self.logged = logged


class EngineLost(EngineFailed):
    """The process of an engine has ended, and is being started again: the same request may succeed."""


class StoreUnavailable(SpeechError):
    """The stored voices cannot be read; the message holds the reason and the remedy."""


class SpeechCancelled(SpeechError):
    """The client cancelled the session, or the server stopped."""

    def __init__(self) -> None:
        super().__init__("cancelled")
