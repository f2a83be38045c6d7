"""Stored voices and consents in a bucket, which any number of servers share."""

import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec

from kani.core.audio.pcm import MAX_RECORDING_BYTES
from kani.core.errors import InvalidRequest, StoreUnavailable, UnknownVoice
from kani.core.types import Embedding, Similarity
from kani.core.voices.storage.folder import too_many_consents, too_many_voices
from kani.core.voices.storage.index import Index, IndexedConsent, IndexedEmbedding, IndexedVoice
from kani.core.voices.storage.objects import ObjectStore
from kani.core.voices.storage.shared_index import SharedIndex, folder_of
from kani.core.voices.store_files import (
    MAX_EMBEDDING_BYTES,
    Consent,
    StoredVoice,
    decode_embedding,
    encode_embedding,
    hashed_name,
    utc_now,
)

log = logging.getLogger(__name__)

_RECORDING, _CONSENT = "recording", "consent"


class BucketBackend:
    """See ``FolderBackend``. ``get``, ``list`` and ``similarities`` read a copy in memory.

    A change of another server is seen within two seconds. A server that cannot reach the bucket refuses its
    voices after half a minute, as they may have been deleted.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._index = SharedIndex(objects)
        self.consents = BucketConsents(self._index)

    def start(self) -> None:
        """See ``FolderBackend.start``; a bucket that does not answer now is used once it does."""
        self._index.start()

    def stop(self) -> None:
        self._index.stop()

    def add(self, voice: StoredVoice, recording: bytes, consent: bytes | None, limit: int) -> None:
        files = {_RECORDING: recording} | ({} if consent is None else {_CONSENT: consent})

        def check(index: Index) -> None:
            index.check_free(voice.name)
            if len(index.voices) >= limit:
                raise too_many_voices(limit)

        def commit(index: Index, id_: str) -> None:
            found = index.voices.get(hashed_name(voice.name))
            if found is None or found.id != id_:
                check(index)
                index.voices[hashed_name(voice.name)] = IndexedVoice(voice, id_)

        _upload(self._index, files, check, commit)

    def list(self) -> list[StoredVoice]:
        voices = (entry.voice for entry in self._index.view().voices.values())
        return sorted(voices, key=lambda voice: voice.name)

    def get(self, name: str) -> StoredVoice:
        return self._index.view().find(name).voice

    def recording(self, voice: StoredVoice) -> bytes:
        return self._read(voice, _RECORDING)

    def consent_recording(self, voice: StoredVoice) -> bytes:
        return self._read(voice, _CONSENT)

    def rename(self, name: str, new: str) -> StoredVoice:
        at, id_ = utc_now(), ""

        def change(index: Index) -> None:
            nonlocal id_
            target = index.voices.get(hashed_name(new))
            if target is not None and target.id == id_:
                return
            entry = index.find(name)
            if new == entry.voice.name:
                return
            index.check_free(new)
            id_ = entry.id
            del index.voices[hashed_name(name)]
            voice = replace(entry.voice, name=new, renamed_at=at)
            index.voices[hashed_name(new)] = msgspec.structs.replace(entry, voice=voice)

        return self._index.change(change).find(new).voice

    def delete(self, name: str) -> None:
        """See ``FolderBackend.delete``; after StoreUnavailable as ``_delete`` says."""
        _delete(self._index, lambda index: index.voices, hashed_name(name), name)

    def save_embedding(self, voice: StoredVoice, embedding: Embedding) -> None:
        content = encode_embedding(embedding, voice.sha256)
        try:
            id_ = self._index.view().find_same(voice).id
        except UnknownVoice:
            return
        with self._index.transfer() as objects:
            objects.write(_embedding_path(id_, embedding.engine), content)

        def change(index: Index) -> None:
            found = index.voices.get(hashed_name(voice.name))
            if found is not None and found.id == id_:
                added = {embedding.engine: IndexedEmbedding(embedding.model, dict(embedding.similarity))}
                changed = msgspec.structs.replace(found, embeddings=found.embeddings | added)
                index.voices[hashed_name(voice.name)] = changed

        if id_ not in self._index.change(change).ids:
            with self._index.transfer() as objects:
                objects.delete_below(folder_of(id_))

    def embeddings(self, voice: StoredVoice, model: str | None = None) -> tuple[Embedding, ...]:
        entry = self._index.view().find_same(voice)
        wanted = [engine for engine, one in entry.embeddings.items() if model in (None, one.model)]
        found = [self._embedding(entry, engine) for engine in wanted]
        return tuple(one for one in found if one is not None and model in (None, one.model))

    def similarities(self, voice: StoredVoice) -> Mapping[str, Mapping[str, Similarity]]:
        entry = self._index.view().find_same(voice)
        return {one.model: one.similarity for one in entry.embeddings.values()}

    def _embedding(self, entry: IndexedVoice, engine: str) -> Embedding | None:
        """Read an embedding; None if the voice was deleted, or it cannot be read."""
        try:
            with self._index.transfer() as objects:
                content = objects.read(_embedding_path(entry.id, engine), MAX_EMBEDDING_BYTES)
            return None if content is None else decode_embedding(content, entry.voice.sha256)
        except ValueError as error:
            log.warning("skipping an unreadable embedding of stored voice %s: %s", entry.id, error)
            return None

    def _read(self, voice: StoredVoice, file: str) -> bytes:
        entry = self._index.view().find_same(voice)
        return _read_recording(self._index, entry.id, file, voice.name)


class BucketConsents:
    """See ``FolderConsents``. ``get`` and ``list`` read a copy in memory."""

    def __init__(self, index: SharedIndex) -> None:
        self._index = index

    def add(self, consent: Consent, recording: bytes, limit: int) -> None:

        def check(index: Index) -> None:
            if len(index.consents) >= limit:
                raise too_many_consents(limit)

        def commit(index: Index, id_: str) -> None:
            if consent.id not in index.consents:
                check(index)
                index.consents[consent.id] = IndexedConsent(consent, id_)

        _upload(self._index, {_RECORDING: recording}, check, commit)

    def list(self) -> list[Consent]:
        return [entry.consent for entry in self._index.view().consents.values()]

    def get(self, consent_id: str) -> Consent:
        return _consent(self._index.view(), consent_id).consent

    def recording(self, consent_id: str) -> bytes:
        entry = _consent(self._index.view(), consent_id)
        return _read_recording(self._index, entry.id, _RECORDING, consent_id)

    def rename(self, consent_id: str, name: str) -> Consent:

        def change(index: Index) -> None:
            entry = _consent(index, consent_id)
            index.consents[consent_id] = IndexedConsent(replace(entry.consent, name=name), entry.id)

        return _consent(self._index.change(change), consent_id).consent

    def delete(self, consent_id: str) -> None:
        """See ``FolderConsents.delete``; after StoreUnavailable as ``_delete`` says."""
        _delete(self._index, lambda index: index.consents, consent_id, consent_id)


def _consent(index: Index, consent_id: str) -> IndexedConsent:
    found = index.consents.get(consent_id)
    if found is None:
        raise UnknownVoice(consent_id)
    return found


def _read_recording(index: SharedIndex, id_: str, file: str, name: str) -> bytes:
    """Read a recording. Raises UnknownVoice for ``name`` where it was deleted."""
    try:
        with index.transfer() as objects:
            found = objects.read(f"{folder_of(id_)}/{file}", MAX_RECORDING_BYTES)
    except ValueError as error:
        raise StoreUnavailable(f"a stored recording is damaged: {error}") from error
    if found is None:
        raise UnknownVoice(name)
    return found


def _embedding_path(id_: str, engine: str) -> str:
    return f"{folder_of(id_)}/{hashed_name(engine)}"


def _upload(
    index: SharedIndex,
    files: Mapping[str, bytes],
    check: Callable[[Index], None],
    commit: Callable[[Index, str], None],
) -> None:
    """Write recordings below a new id, and list them.

    check: called before the recordings are written, which may be long; commit: lists the id. Both raise
    InvalidRequest; nothing is left of the recordings then. Other failures leave them to the next sweep.
    """
    id_ = secrets.token_hex(16)
    check(index.view())
    try:
        with index.transfer() as objects:
            for file, content in files.items():
                objects.write(f"{folder_of(id_)}/{file}", content)
        index.change(lambda state: commit(state, id_))
    except InvalidRequest:
        # A failure leaves it to the next sweep.
        with suppress(StoreUnavailable), index.transfer() as objects:
            objects.delete_below(folder_of(id_))
        raise


def _delete(index: SharedIndex, entries: Callable[[Index], dict[str, Any]], key: str, name: str) -> None:
    """Take the entry ``key`` out of some entries of the index, and delete its objects.

    Raises UnknownVoice for ``name`` where there is none.
    After StoreUnavailable the entry may be gone already; its objects go with the next sweep.
    """
    id_ = ""

    def change(state: Index) -> None:
        nonlocal id_
        found = entries(state).get(key)
        if found is None and not id_:
            raise UnknownVoice(name)
        if found is None or id_ not in ("", found.id):
            return
        id_ = found.id
        del entries(state)[key]

    index.change(change)
    with index.transfer() as objects:
        objects.delete_below(folder_of(id_))
