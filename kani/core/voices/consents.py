"""Stores recordings of speakers' spoken consent, which voices are made with later."""

from __future__ import annotations

import secrets
import time

from kani.core.audio.pcm import decode_recording
from kani.core.errors import InvalidRequest
from kani.core.voices.storage.backend import ConsentBackend
from kani.core.voices.store_files import Consent
from kani.text import languages

__all__ = ["Consent", "ConsentStore"]

MAX_CONSENTS = 1000
MAX_NAME = 200
"""Characters of a label."""

MIN_RECORDING_S = 1.0


class ConsentStore:
    """Stored consents: checks what is stored.

    A consent is stored completely or not at all. All methods block on files or the network: call them in a
    thread. They raise OSError or StoreUnavailable where those fail. UnknownVoice is raised for an id without
    a consent.
    """

    def __init__(self, backend: ConsentBackend) -> None:
        self._backend = backend

    def add(self, name: str, language: str, recording: bytes) -> Consent:
        """Store a recording (an audio file of 1-60 s, at most 10 MiB).

        name: a label; language: a tag or a name. Raises InvalidRequest for ``name`` or ``recording``, and
        UnsupportedLanguage.
        """
        _check_name(name)
        tag = languages.resolve(language)
        try:
            decoded = decode_recording(recording)
            if decoded.duration_s < MIN_RECORDING_S:
                raise InvalidRequest("reference", f"too short (at least {MIN_RECORDING_S:g} s)")
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
        _check_name(name)
        return self._backend.rename(consent_id, name)

    def delete(self, consent_id: str) -> None:
        """Delete a consent. Voices that were made with it keep a copy of its recording."""
        self._backend.delete(consent_id)


def _check_name(name: str) -> None:
    if not name.strip():
        raise InvalidRequest("name", "is needed")
    if len(name) > MAX_NAME:
        raise InvalidRequest("name", f"too long (at most {MAX_NAME} characters)")
