"""Stored voices and consents in a bucket, which any number of servers share."""

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec

from kani.core.audio.pcm import MAX_RECORDING_BYTES
from kani.core.errors import InvalidRequest, StoreUnavailable, UnknownVoice
from kani.core.types import Embedding, Similarity
from kani.core.voices.storage.folder import too_many_consents, too_many_voices
from kani.core.voices.storage.index import (
    REMOVED_AFTER_S,
    Index,
    IndexedConsent,
    IndexedEmbedding,
    IndexedVoice,
)
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

_RECORDING, _CONSENT, _EMBEDDING = "recording", "consent", "embedding"


class BucketBackend:
    """See ``FolderBackend``. ``get``, ``list`` and ``similarities`` read a copy in memory.

    A change of another server is seen within two seconds, after one of a long index within eleven. A server
    that cannot reach the bucket refuses its voices after half a minute, as they may have been deleted.
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
                index.keep(id_)
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
        content, id_ = encode_embedding(embedding, voice.sha256), secrets.token_hex(16)
        try:
            entry = self._index.view().find_same(voice)
        except UnknownVoice:
            return
        folder = f"{folder_of(entry.id)}/{id_}"
        with self._index.transfer() as objects:
            objects.write(f"{folder}/{_EMBEDDING}", content)
        obsolete: list[str] = []

        def change(index: Index) -> None:
            found = index.voices.get(hashed_name(voice.name))
            if found is None or found.id != entry.id:
                obsolete[:] = [id_]
            elif all(one.id != id_ for one in found.embeddings):
                obsolete[:] = [one.id for one in found.embeddings if one.engine == embedding.engine]
                others = (one for one in found.embeddings if one.engine != embedding.engine)
                added = IndexedEmbedding(embedding.engine, embedding.model, id_, dict(embedding.similarity))
                changed = msgspec.structs.replace(found, embeddings=(*others, added))
                index.voices[hashed_name(voice.name)] = changed

        self._index.change(change)
        with self._index.transfer() as objects:
            for one in obsolete:
                objects.delete_below(f"{folder_of(entry.id)}/{one}")

    def embeddings(self, voice: StoredVoice, model: str | None = None) -> tuple[Embedding, ...]:
        entry = self._index.view().find_same(voice)
        wanted = [one for one in entry.embeddings if model in (None, one.model)]
        found = [self._embedding(entry, one) for one in wanted]
        return tuple(one for one in found if one is not None)

    def similarities(self, voice: StoredVoice) -> Mapping[str, Mapping[str, Similarity]]:
        entry = self._index.view().find_same(voice)
        return {one.model: one.similarity for one in entry.embeddings}

    def _embedding(self, entry: IndexedVoice, indexed: IndexedEmbedding) -> Embedding | None:
        """Read an embedding; None if another server has replaced it, or it cannot be read."""
        path = f"{folder_of(entry.id)}/{indexed.id}/{_EMBEDDING}"
        try:
            with self._index.transfer() as objects:
                found = objects.read(path, MAX_EMBEDDING_BYTES)
            return decode_embedding(found.content, entry.voice.sha256) if found is not None else None
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
                index.keep(id_)
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
    return found.content


def _upload(
    index: SharedIndex,
    files: Mapping[str, bytes],
    check: Callable[[Index], None],
    commit: Callable[[Index, str], None],
) -> None:
    """Write recordings below a new id, and list them.

    check: called before the recordings are written, which may be long; commit: lists the id. Both raise
    InvalidRequest; nothing is left of the recordings then.
    """
    id_ = secrets.token_hex(16)

    def begin(state: Index) -> None:
        check(state)
        state.removed.setdefault(id_, time.time() + REMOVED_AFTER_S)

    index.change(begin)
    try:
        with index.transfer() as objects:
            for file, content in files.items():
                objects.write(f"{folder_of(id_)}/{file}", content)
        index.change(lambda state: commit(state, id_))
    except InvalidRequest:
        # They are to be removed as yet: a failure only delays it.
        with suppress(StoreUnavailable), index.transfer() as objects:
            objects.delete_below(folder_of(id_))
        raise


def _delete(index: SharedIndex, entries: Callable[[Index], dict[str, Any]], key: str, name: str) -> None:
    """Take the entry ``key`` out of some entries of the index, and delete its objects.

    Raises UnknownVoice for ``name`` where there is none.
    After StoreUnavailable the entry may be gone already; the rest of its objects goes within some minutes of
    the bucket's return.
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
        # Once more after the last moment when another server may write an embedding.
        state.removed[id_] = time.time() + REMOVED_AFTER_S

    index.change(change)
    with index.transfer() as objects:
        objects.delete_below(folder_of(id_))
