"""What a session is given by the service that opens it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speech.engine import Engine
from speech.observer import Observer
from speech.request import Limits
from speech.session.admission import Admission
from speech.text.lexicon_file import LexiconFile
from speech.timing.reference_voice import ReferenceVoice
from speech.types import Recording, SpeechRequest
from speech.voices.cloning import VoiceCloner
from speech.voices.store import StoredVoice

if TYPE_CHECKING:
    from speech.session.session import SpeechSession

Prepare = Callable[[], Awaitable[Recording | None]]
"""What has to be done before a session speaks; gives the recording that it is to sound like, if any."""


@dataclass(frozen=True, slots=True)
class ResolvedVoice:
    """Who speaks a session: the engine, its voice, and the language it speaks.

    kept: the voice that it is to sound like, if that is a kept one.
    """

    engine: Engine
    voice: str
    language: str
    kept: StoredVoice | None = None


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What a session needs of its service.

    find_speaker: the speaker for a request, given the text so far, which its language may have
    to be told from, and whether that is all there is; None while it cannot be told; raises
    InvalidRequest. speaker_of: the speaker for a request in a language; successor: the one for a
    request's next segment, given its speaker: the same, unless an engine has joined that comes first;
    languages: those that somebody speaks (primary subtags). cloning: what makes a speaker sound like
    somebody else. closed: told once nothing of the session is left. renderer: by whom the words of engines
    are found that do not time them; without one a segment is timed as a whole. lexicon: how words are said
    that the server knows better; announce_code: whether blocks of code are announced.
    """

    limits: Limits
    admission: Admission
    observer: Observer
    resolve_voice: Callable[[SpeechRequest, str, bool], ResolvedVoice | None]
    voice_for_language: Callable[[SpeechRequest, str], ResolvedVoice]
    next_voice: Callable[[SpeechRequest, ResolvedVoice], ResolvedVoice]
    languages: Collection[str]
    cloning: VoiceCloner
    closed: Callable[[SpeechSession], None]
    reference_voice: ReferenceVoice | None = None
    lexicon: LexiconFile | None = None
    announce_code: bool = True
