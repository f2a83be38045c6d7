"""Settings, services and callbacks that a session gets from the service that opens it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from kani.core.observer import Observer
from kani.core.session.admission import Admission, Limits
from kani.core.session.budget import Share
from kani.core.session.priority import SessionPriorities
from kani.core.session.voice_resolver import VoiceResolver
from kani.core.timing.reference_voice import ReferenceVoice
from kani.core.types import Recording
from kani.core.voices.cloning import VoiceCloner
from kani_text.lexicon_file import LexiconFile

Prepare = Callable[[], Awaitable[Recording | None]]
"""Work that a session awaits before it speaks; returns the recording to be cloned, if any."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """Everything that a session uses but does not own."""

    limits: Limits
    admission: Admission
    observer: Observer
    cloner: VoiceCloner
    priorities: SessionPriorities | None  # those of the connection's sessions, if some may supersede others
    voices: VoiceResolver
    languages: Collection[str]  # primary subtags of the languages that an engine speaks
    closed: Callable[[Any], None]  # called with the session once nothing of it is left
    memory: Share  # of the recording to imitate, until it is embedded
    low_latency: bool = True
    """True if the client plays the audio while it is made; otherwise it waits for all of it."""
    prepare: Prepare | None = None
    reference_voice: ReferenceVoice | None = None
    """Finds the words in the audio of engines that do not time them; without it one span covers a segment."""
    lexicon: LexiconFile | None = None  # the server's own pronunciations
    melody: float = 1.0  # of questions, where the request has none
