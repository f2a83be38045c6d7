"""Stores the voices that clients make: recordings with the speaker's consent."""

import hashlib
import logging
import re
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kani.core.audio.pcm import MAX_RECORDING_BYTES, MAX_RECORDING_S, decode_recording
from kani.core.errors import InvalidRequest, Reason, StoreUnavailable, UnknownVoice
from kani.core.types import Embedding, Recording, Similarity
from kani.core.voices.storage.bucket import BucketBackend, BucketConsents
from kani.core.voices.storage.folder import FolderBackend, FolderConsents
from kani.core.voices.store_files import CUSTOM_PREFIX, Consent, StoredVoice, utc_now
from kani_text import languages

MAX_CONSENTS = 1000
MAX_CONSENT_NAME = 200
"""Characters of a consent's label."""


class ConsentStore:
    """Stored consents: checks what is stored.

    A consent is stored completely or not at all. All methods block on files or the network: call them in a
    thread. They raise OSError or StoreUnavailable where those fail. UnknownVoice is raised for an id without
    a consent.
    """

    def __init__(self, backend: FolderConsents | BucketConsents) -> None:
        self._backend = backend

    def add(self, name: str, language: str, recording: bytes) -> Consent:
        """Store a recording (an audio file of 1-60 s, at most 10 MiB).

        name: a label; language: a tag or a name. Raises InvalidRequest for ``name`` or ``recording``, and
        UnsupportedLanguage.
        """
        _check_label(name)
        tag = languages.resolve(language)
        try:
            decoded = decode_recording(recording)
            if decoded.duration_s < MIN_CONSENT_S:
                raise InvalidRequest("reference", f"too short (at least {MIN_CONSENT_S:g} s)")
        except InvalidRequest as error:
            raise error.about("recording") from error
        consent = Consent(f"cons_{secrets.token_hex(12)}", name, tag, int(time.time()))
        self._backend.add(consent, recording, MAX_CONSENTS)
        return consent

    def list(self) -> list[Consent]:
        """List all consents, the newest first."""
        return sorted(self._backend.list(), key=lambda consent: (-consent.created_at, consent.id))

    def get(self, consent_id: str) -> Consent:
        return self._backend.get(consent_id)

    def recording(self, consent_id: str) -> bytes:
        return self._backend.recording(consent_id)

    def rename(self, consent_id: str, name: str) -> Consent:
        """Change a consent's label. Raises InvalidRequest for ``name``."""
        _check_label(name)
        return self._backend.rename(consent_id, name)

    def delete(self, consent_id: str) -> None:
        """Delete a consent. Voices that were made with it keep a copy of its recording."""
        self._backend.delete(consent_id)


def _check_label(name: str) -> None:
    if not name.strip():
        raise InvalidRequest("name", "is needed")
    if len(name) > MAX_CONSENT_NAME:
        raise InvalidRequest("name", f"too long (at most {MAX_CONSENT_NAME} characters)")


__all__ = ["CUSTOM_PREFIX", "Consent", "StoredVoice"]

log = logging.getLogger(__name__)

CheckRecording = Callable[[Recording], tuple[str, ...]]
"""Returns advice on a better recording. Raises InvalidRequest for ``reference`` where it holds no speech."""

MAX_VOICES = 1000
MIN_RECORDING_S, MIN_CONSENT_S = 3.0, 1.0
MAX_NAME = 64
MAX_TEXT = 2000
"""Characters of a consent or a description at most."""


@dataclass(frozen=True, slots=True)
class NewVoice:
    """A voice to be stored."""

    name: str  # 1–64 letters, digits, ``_`` and ``-``
    recording: bytes = field(repr=False)  # an audio file of 3–60 s, at most 10 MiB; kept byte for byte
    origin: str  # the protocol
    consent: str = ""  # the speaker's, in words; or in ``consent_recording``, or both
    consent_recording: bytes | None = field(default=None, repr=False)
    """An audio file as ``recording``, but from 1 s on."""
    language: str | None = None  # a tag or a name
    description: str = ""


class VoiceStore:
    """Stored voices: checks what is stored, and finds voices by their names.

    A voice is stored completely or not at all, even if the process is killed while writing; a change that
    returned is durable. Every name is accepted with or without ``custom:``. All methods but ``get`` and
    ``list`` of a bucket block on files or the network: call them in a thread. Safe for use by several
    threads, and by several processes with one place.
    Changes raise OSError or StoreUnavailable where the place is full, broken, away, or locked by others for
    ten seconds; the voice is then in its old or its new state.
    """

    def __init__(self, place: Path | BucketBackend, check_recording: CheckRecording | None = None) -> None:
        """place: a folder for the data, or another place; check_recording: called for each recording before
        it is stored. Raises StoreUnavailable for a folder that a newer version wrote.
        """
        self._backend = FolderBackend(place) if isinstance(place, Path) else place
        self._judge = check_recording
        self.consents = ConsentStore(self._backend.consents)
        """Recordings of consents, which voices are made with later."""

    def start(self) -> None:
        """Get ready to be read. Raises StoreUnavailable for what cannot be read by this version."""
        self._backend.start()

    def stop(self) -> None:
        self._backend.stop()

    def add(self, new: NewVoice) -> StoredVoice:
        """Store a voice.

        Raises InvalidRequest for ``name`` (NameTaken if it is in use), ``audio``, ``consent``,
        ``consent_recording`` or ``description``, and UnsupportedLanguage.
        """
        name, recording, consent_recording = _checked_name(new.name), new.recording, new.consent_recording
        if not new.consent.strip() and consent_recording is None:
            raise InvalidRequest("consent", "the speaker's consent is required, in words or as a recording")
        for named, words in (("consent", new.consent), ("description", new.description)):
            _check_words(named, words)
        tag = languages.resolve(new.language) if new.language else None
        if consent_recording is not None:
            self._decoded("consent_recording", consent_recording, MIN_CONSENT_S)
        decoded, advice = self._decoded("audio", recording, MIN_RECORDING_S)
        voice = StoredVoice(
            name=name,
            language=tag,
            description=new.description,
            consent=new.consent,
            consent_at=utc_now(),
            origin=new.origin,
            sha256=hashlib.sha256(recording).hexdigest(),
            size=len(recording),
            duration_s=round(decoded.duration_s, 3),
            sample_rate=decoded.sample_rate,
            consent_sha256="" if consent_recording is None else hashlib.sha256(consent_recording).hexdigest(),
            advice=advice,
        )
        self._backend.add(voice, recording, consent_recording, MAX_VOICES)
        return voice

    def list(self) -> list[StoredVoice]:
        """List all stored voices by name; one that cannot be read is logged and skipped."""
        return self._backend.list()

    def list_reachable(self) -> Sequence[StoredVoice]:
        """List as ``list`` does; nothing while the place of the voices is away, which is logged."""
        try:
            return self.list()
        except StoreUnavailable as error:
            log.warning("a list is answered without the stored voices: %s", error)
            return ()

    def get(self, name: str) -> StoredVoice:
        """Find a voice by its name. Raises UnknownVoice."""
        try:
            return self._backend.get(_plain(name))
        except UnknownVoice as error:
            raise UnknownVoice(name) from error

    def recording(self, voice: StoredVoice) -> bytes:
        """Read a voice's recording. Raises UnknownVoice where it was deleted or replaced."""
        recording = self._backend.recording(voice)
        if hashlib.sha256(recording).hexdigest() != voice.sha256:
            raise UnknownVoice(voice.name)
        return recording

    def consent_recording(self, name: str) -> bytes | None:
        """Read the recording of the spoken consent, if there is one. Raises UnknownVoice."""
        voice = self.get(name)
        return self._backend.consent_recording(voice) if voice.has_consent_recording else None

    def rename(self, name: str, new: str) -> StoredVoice:
        """Rename a voice atomically; everything else about it stays.

        Raises UnknownVoice, and InvalidRequest for ``name`` as ``add`` does for the new one.
        """
        new = _checked_name(new)
        try:
            return self._backend.rename(_plain(name), new)
        except UnknownVoice as error:
            raise UnknownVoice(name) from error

    def delete(self, name: str) -> None:
        """Delete the voice, its recordings, and its embeddings. Raises UnknownVoice.

        After an error the voice may be gone already; the rest of it follows.
        """
        try:
            self._backend.delete(_plain(name))
        except UnknownVoice as error:
            raise UnknownVoice(name) from error

    def save_embedding(self, voice: StoredVoice, embedding: Embedding) -> None:
        """Store an engine's embedding of the voice's recording, instead of its earlier one.

        Does nothing for a voice that was deleted, renamed, or replaced by another recording. Raises
        ValueError for values that are not finite or too many.
        """
        self._backend.save_embedding(voice, embedding)

    def embeddings(self, voice: StoredVoice) -> tuple[Embedding, ...]:
        """Read the stored embeddings of the voice; those that cannot be read are logged and skipped.

        Raises UnknownVoice where the voice was deleted or replaced.
        """
        return self._backend.embeddings(voice)

    def embedding(self, voice: StoredVoice, model: str) -> Embedding | None:
        """The voice's embedding by ``model`` (``EngineInfo.cloning.model``), if stored. Raises as
        ``embeddings``."""
        return next(iter(self._backend.embeddings(voice, model)), None)

    def similarities(self, voice: StoredVoice) -> Mapping[str, Mapping[str, Similarity]]:
        """Similarities by primary language subtag, for each stored embedding by its model. Raises as
        ``embeddings``."""
        return self._backend.similarities(voice)

    def _decoded(self, field: str, recording: bytes, min_s: float) -> tuple[Recording, tuple[str, ...]]:
        """Decode and check a recording; also returns the advice. Raises InvalidRequest for ``field``."""
        try:
            decoded = decode_recording(recording, MAX_RECORDING_BYTES, MAX_RECORDING_S)
            if decoded.duration_s < min_s:
                reason = f"too short (at least {min_s:g} s)"
                raise InvalidRequest("reference", reason, Reason("too_short", {"seconds": min_s}))
            return decoded, () if self._judge is None else self._judge(decoded)
        except InvalidRequest as error:
            raise error.about(field) from error


def _plain(name: str) -> str:
    return name.removeprefix(CUSTOM_PREFIX)


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    # A combining mark, as in हिन्दी, is no letter by itself.
    letters = "".join(c for c in name if not unicodedata.category(c).startswith("M"))
    if len(name) > MAX_NAME or not re.fullmatch(r"[\w-]+", letters) or name[0] not in letters:
        reason = f"must be 1-{MAX_NAME} letters, digits, '_' and '-'"
        raise InvalidRequest("name", reason, Reason("bad_name", {"limit": MAX_NAME}))
    return name


def _check_words(field: str, words: str) -> None:
    if len(words) > MAX_TEXT:
        raise InvalidRequest(field, f"too long (at most {MAX_TEXT} characters)")
    if any(unicodedata.category(c) in ("Cs", "Cc") and c not in "\n\t\r" for c in words):
        raise InvalidRequest(field, "must not contain control characters")
