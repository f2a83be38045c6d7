"""Interface of a place that keeps stored voices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from kani.core.errors import InvalidRequest, Reason
from kani.core.types import Embedding, Similarity
from kani.core.voices.store_files import Consent, StoredVoice


class ConsentBackend(Protocol):
    """Keeps recordings of consents, as ``VoiceBackend`` keeps voices."""

    def add(self, consent: Consent, recording: bytes, limit: int) -> None:
        """Keep a new consent; limit: of consents kept. Raises InvalidRequest for ``name`` at the limit."""

    def list(self) -> list[Consent]:
        """List all consents, in any order."""

    def get(self, consent_id: str) -> Consent:
        """Find a consent. Raises UnknownVoice, as the others do."""

    def recording(self, consent_id: str) -> bytes:
        """Read a consent's recording."""

    def rename(self, consent_id: str, name: str) -> Consent:
        """Change a consent's label."""

    def delete(self, consent_id: str) -> None:
        """Delete a consent."""


class VoiceBackend(Protocol):
    """Keeps checked voices, each under a unique name.

    A voice is kept completely or not at all, and a change that returned is durable. Safe for use by several
    threads and several processes. All methods may block on files or the network; of a bucket, ``get``,
    ``list`` and ``similarities`` do not. They raise OSError or StoreUnavailable where those fail.
    """

    consents: ConsentBackend

    def start(self) -> None:
        """Get ready to be read. Raises StoreUnavailable for what cannot be read by this version."""

    def stop(self) -> None:
        """End all background work."""

    def add(self, voice: StoredVoice, recording: bytes, consent: bytes | None, limit: int) -> None:
        """Keep a new voice.

        consent: the recording of it, if it was spoken; limit: largest number of voices. Raises NameTaken, and
        InvalidRequest for ``name`` at the limit.
        """

    def list(self) -> list[StoredVoice]:
        """List all voices by name."""

    def get(self, name: str) -> StoredVoice:
        """Find a voice by its name, without prefix. Raises UnknownVoice."""

    def recording(self, voice: StoredVoice) -> bytes:
        """Read a voice's recording, unverified. Raises UnknownVoice where it was deleted."""

    def consent_recording(self, voice: StoredVoice) -> bytes:
        """Read the recording of a spoken consent. Raises UnknownVoice where it was deleted."""

    def rename(self, name: str, new: str) -> StoredVoice:
        """Rename a voice. Raises UnknownVoice and NameTaken."""

    def delete(self, name: str) -> None:
        """Delete a voice, its recordings, and its embeddings. Raises UnknownVoice."""

    def save_embedding(self, voice: StoredVoice, embedding: Embedding) -> None:
        """Keep an engine's embedding instead of its earlier one.

        Does nothing for a voice that was deleted, renamed, or replaced by another recording. Raises
        ValueError for values that are not finite or too many.
        """

    def embeddings(self, voice: StoredVoice, model: str | None = None) -> tuple[Embedding, ...]:
        """Read the embeddings of a voice; those that cannot be read are logged and skipped.

        model: only those of this model. Raises UnknownVoice where the voice was deleted or replaced.
        """

    def similarities(self, voice: StoredVoice) -> Mapping[str, Mapping[str, Similarity]]:
        """Similarities by primary language subtag, for each embedding by its model.

        Raises as ``embeddings``.
        """


def too_many_voices(limit: int) -> InvalidRequest:
    reason = f"no more than {limit} voices can be stored: delete one first"
    return InvalidRequest("name", reason, Reason("too_many_voices", {"limit": limit}))


def too_many_consents(limit: int) -> InvalidRequest:
    return InvalidRequest("name", f"no more than {limit} consents can be stored: delete one first")
