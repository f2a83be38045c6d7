"""Settings, services and callbacks that a session gets from the service that opens it."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from kani.core.observer import Observer
from kani.core.session.admission import Admission, Limits
from kani.core.session.budget import Share
from kani.core.session.priority import SessionPriorities
from kani.core.session.voice_resolver import DEFAULT_LANGUAGE, VoiceResolver
from kani.core.timing.reference_voice import ReferenceVoice
from kani.core.types import Recording
from kani.core.voices.cloning import VoiceCloner
from kani_text.lexicon_file import LexiconFile

Prepare = Callable[[], Awaitable[Recording | None]]
"""Work that a session awaits before it speaks; returns the recording to be cloned, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Conditions of one session that its protocol sets, beside the speech."""

    low_latency: bool = True
    """True if the client plays the audio while it is made; otherwise it waits for all of it."""
    rate_limited: bool = True
    """True if the rate limit counts the session; it does not count a request's further ones."""
    fallback_language: str = DEFAULT_LANGUAGE
    """BCP 47 tag, where nothing tells the text's."""
    max_text: int | None = None
    """Characters, instead of the server's limit."""
    timeout_s: float | None = None
    """Seconds, where the client waits less long than the server's limit."""
    timeout_factor: float = 1.0
    """Factor of the server's limit, for a text that is longer than usual."""
    prepare: Prepare | None = None
    """Awaited before anything is spoken (a recording that has to be fetched, say): its time counts as
    waiting, it is cancelled with the session, and it may raise a SpeechError."""
    clones: bool = False
    """True if ``prepare`` returns a recording to be imitated."""
    priorities: SessionPriorities | None = None
    """Those of the connection's sessions, if some may supersede others."""

    def limits(self, limits: Limits) -> Limits:
        """Return the server's limits with those of the session."""
        longest_s = limits.request_timeout * self.timeout_factor or self.timeout_s or 0.0
        timeout_s = min(longest_s, self.timeout_s or longest_s)
        return replace(limits, max_text=self.max_text or limits.max_text, request_timeout=timeout_s)


USUAL = Terms()


@dataclass(frozen=True, slots=True)
class SessionContext:
    """Everything that a session uses but does not own."""

    limits: Limits
    admission: Admission
    observer: Observer
    cloner: VoiceCloner
    voices: VoiceResolver
    languages: Collection[str]  # primary subtags of the languages that an engine speaks
    closed: Callable[[Any], None]  # called with the session once nothing of it is left
    memory: Share  # of the recording to imitate, until it is embedded
    terms: Terms
    reference_voice: ReferenceVoice | None = None
    """Finds the words in the audio of engines that do not time them; without it one span covers a segment."""
    lexicon: LexiconFile | None = None  # the server's own pronunciations
    melody: float = 1.0  # of questions, where the request has none
