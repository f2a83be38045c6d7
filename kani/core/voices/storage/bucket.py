"""Stored voices in a bucket, which any number of servers share."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping

from kani.core.errors import UnknownVoice
from kani.core.types import MAX_EMBEDDING_VALUES, Embedding, Similarity
from kani.core.voices.storage.backend import ConsentBackend
from kani.core.voices.storage.bucket_consents import BucketConsents
from kani.core.voices.storage.index import (
    REMOVED_AFTER_S,
    Index,
    IndexedEmbedding,
    IndexedVoice,
    renamed,
    similarities_of,
    with_embedding,
)
from kani.core.voices.storage.objects import ObjectStore
from kani.core.voices.storage.shared_index import SharedIndex, folder_of
from kani.core.voices.storage.transfers import read_recording, upload
from kani.core.voices.store_files import StoredVoice, decode_embedding, encode_embedding, hashed_name, utc_now

log = logging.getLogger(__name__)

MAX_EMBEDDING_BYTES = 4 * -(-4 * MAX_EMBEDDING_VALUES // 3) + (64 << 10)
"""Longest embedding that is read: base64 of its float32 values, and 64 KiB for the other fields."""

_RECORDING, _CONSENT, _EMBEDDING = "recording", "consent", "embedding"


class BucketBackend:
    """See ``VoiceBackend``. ``get``, ``list`` and ``similarities`` read a copy in memory.

    A change of another server is seen within two seconds. A server that cannot reach the bucket refuses its
    voices after half a minute, as they may have been deleted.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._index = SharedIndex(objects)
        self.consents: ConsentBackend = BucketConsents(self._index)

    def start(self) -> None:
        """See ``VoiceBackend.start``; a bucket that does not answer is waited for."""
        self._index.start()

    def stop(self) -> None:
        self._index.stop()

    def add(self, voice: StoredVoice, recording: bytes, consent: bytes | None, limit: int) -> None:
        files = {_RECORDING: recording} | ({} if consent is None else {_CONSENT: consent})

        def check(index: Index) -> None:
            index.check_addable(voice.name, limit)

        def commit(index: Index, id_: str) -> Index:
            found = index.voices.get(hashed_name(voice.name))
            if found is not None and found.id == id_:
                return index
            check(index)
            return index.keeping(id_).with_voice(IndexedVoice(voice, id_))

        upload(self._index, files, check, commit)

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

        def change(index: Index) -> Index:
            nonlocal id_
            target = index.voices.get(hashed_name(new))
            if target is not None and target.id == id_:
                return index
            entry = index.find(name)
            if new == entry.voice.name:
                return index
            index.check_free(new)
            id_ = entry.id
            return index.without_voice(name).with_voice(renamed(entry, new, at))

        return self._index.change(change).find(new).voice

    def delete(self, name: str) -> None:
        """See ``VoiceBackend.delete``.

        After StoreUnavailable the voice may be gone already; the rest of its objects goes within some minutes
        of the bucket's return.
        """
        id_ = ""

        def change(index: Index) -> Index:
            nonlocal id_
            found = index.voices.get(hashed_name(name))
            if id_ and (found is None or found.id != id_):
                return index
            id_ = index.find(name).id
            # Once more after the last moment when another server may write an embedding.
            return index.without_voice(name).removing([id_], time.time() + REMOVED_AFTER_S)

        self._index.change(change)
        with self._index.transfer() as objects:
            objects.delete_below(folder_of(id_))

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

        def change(index: Index) -> Index:
            found = index.voices.get(hashed_name(voice.name))
            if found is None or found.id != entry.id:
                obsolete[:] = [id_]
                return index
            if any(one.id == id_ for one in found.embeddings):
                return index
            obsolete[:] = [one.id for one in found.embeddings if one.engine == embedding.engine]
            return index.with_voice(with_embedding(found, embedding, id_))

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
        return similarities_of(self._index.view().find_same(voice))

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
        return read_recording(self._index, entry.id, file, voice.name)
