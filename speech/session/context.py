"""Settings, services and callbacks that a session gets from the service that opens it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from speech.observer import Observer
from speech.request import Limits
from speech.session.admission import Admission
from speech.session.priority import SessionPriority
from speech.session.voice_resolver import VoiceResolver
from speech.text.lexicon_file import LexiconFile
from speech.timing.reference_voice import ReferenceVoice
from speech.types import Recording
from speech.voices.cloning import VoiceCloner

Prepare = Callable[[], Awaitable[Recording | None]]
"""Work that a session awaits before it speaks; returns the recording to be cloned, if any."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What one session works with."""

    limits: Limits
    admission: Admission
    observer: Observer
    cloner: VoiceCloner
    priority: SessionPriority
    """The session's rank among those of its connection."""
    voices: VoiceResolver
    languages: Collection[str]
    """Primary subtags of the languages that an engine speaks."""
    closed: Callable[[], None]
    """Called once nothing of the session is left."""
    low_latency: bool = True
    """Whether the client plays the audio while it is made; otherwise it waits for all of it."""
    prepare: Prepare | None = None
    reference_voice: ReferenceVoice | None = None
    """Finds the words in the audio of engines that do not time them; without it one span covers a segment."""
    lexicon: LexiconFile | None = None
    """The server's own pronunciations."""
    announce_code: bool = True
    """Whether blocks of code are announced; otherwise they are skipped in silence."""
