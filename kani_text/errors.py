"""Errors that the work on texts raises; ``kani.core.errors`` has them too, with those of the core."""

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

    def about(self, field: str) -> "InvalidRequest":
        """Return the same error of another field."""
        return InvalidRequest(field, self.reason, self.details)


class UnsupportedLanguage(InvalidRequest):
    """A language that no engine supports, or that does not exist."""

    def __init__(self, language: str, known: str = "") -> None:
        hint = f" (known: {known})" if known else ""
        reason = f"unsupported language {language!r}{hint}"
        super().__init__("language", reason, Reason("unsupported_language", {"language": language}))
        self.language = language


class EngineUnavailable(SpeechError):
    """An engine, or a model that texts need, cannot start; the message holds the reason and the remedy."""

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
