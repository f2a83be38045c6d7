"""Errors of the speech core.

Protocols map them to their own error messages. ``str(error)`` is fit for a client: it names the field and the
limit, never a path or a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason as a code and values, for programs that translate it; the sentence beside it is English."""

    code: str
    values: Mapping[str, float | str] = field(default_factory=dict)
    """Limits and what else the sentence quotes, by name."""

    def as_json(self) -> dict[str, Any]:
        """Return the object that is sent."""
        return {"code": self.code, "values": dict(self.values)}


class SpeechError(Exception):
    """Base of all errors that may be reported to a client."""


class InvalidRequest(SpeechError):
    """A request that cannot be spoken as it stands.

    ``field`` is the request's field (``text``, ``speed``, ``reference`` …), which a protocol may replace by
    its own name for it; ``reason`` is the rest of the sentence, ``details`` the same for programs: None for
    what only a faulty client sends.
    """

    def __init__(self, field: str, reason: str, details: Reason | None = None) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.details = details

    def about(self, field: str) -> InvalidRequest:
        """Return the same error of another field."""
        return InvalidRequest(field, self.reason, self.details)


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


class UnsupportedLanguage(InvalidRequest):
    """A language that no engine supports, or that does not exist."""

    def __init__(self, language: str, known: str = "") -> None:
        hint = f" (known: {known})" if known else ""
        reason = f"unsupported language {language!r}{hint}"
        super().__init__("language", reason, Reason("unsupported_language", {"language": language}))
        self.language = language


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


class EngineUnavailable(SpeechError):
    """An engine cannot start; the message holds the reason and the remedy."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        """passing: see the property."""
        super().__init__(message)
        self._passing = passing

    @property
    def passing(self) -> bool:
        """True if a later start may succeed with nothing changed here.

        A network, another machine, memory or the room on a disk was lacking, here or in its cause.
        """
        return self._passing or getattr(self.__cause__, "passing", False)


class StoreUnavailable(SpeechError):
    """The stored voices cannot be read; the message holds the reason and the remedy."""


class SpeechCancelled(SpeechError):
    """The client cancelled the session, or the server stopped."""

    def __init__(self) -> None:
        super().__init__("cancelled")
