"""Stored consents in a bucket, listed in the index of its voices."""

from __future__ import annotations

import time
from dataclasses import replace

from kani.core.errors import UnknownVoice
from kani.core.voices.storage.backend import too_many_consents
from kani.core.voices.storage.index import REMOVED_AFTER_S, Index, IndexedConsent
from kani.core.voices.storage.shared_index import SharedIndex, folder_of
from kani.core.voices.storage.transfers import read_recording, upload
from kani.core.voices.store_files import Consent

_RECORDING = "recording"


class BucketConsents:
    """See ``ConsentBackend``. ``get`` and ``list`` read a copy in memory."""

    def __init__(self, index: SharedIndex) -> None:
        self._index = index

    def add(self, consent: Consent, recording: bytes, limit: int) -> None:

        def check(index: Index) -> None:
            if len(index.consents) >= limit:
                raise too_many_consents(limit)

        def commit(index: Index, id_: str) -> Index:
            if consent.id in index.consents:
                return index
            check(index)
            return index.keeping(id_).with_consent(IndexedConsent(consent, id_))

        upload(self._index, {_RECORDING: recording}, check, commit)

    def list(self) -> list[Consent]:
        return [entry.consent for entry in self._index.view().consents.values()]

    def get(self, consent_id: str) -> Consent:
        return _find(self._index.view(), consent_id).consent

    def recording(self, consent_id: str) -> bytes:
        entry = _find(self._index.view(), consent_id)
        return read_recording(self._index, entry.id, _RECORDING, consent_id)

    def rename(self, consent_id: str, name: str) -> Consent:

        def change(index: Index) -> Index:
            entry = _find(index, consent_id)
            return index.with_consent(IndexedConsent(replace(entry.consent, name=name), entry.id))

        return _find(self._index.change(change), consent_id).consent

    def delete(self, consent_id: str) -> None:
        """See ``ConsentBackend.delete``; after StoreUnavailable its objects go within some minutes."""
        id_ = ""

        def change(index: Index) -> Index:
            nonlocal id_
            if id_ and consent_id not in index.consents:
                return index
            id_ = _find(index, consent_id).id
            return index.without_consent(consent_id).removing([id_], time.time() + REMOVED_AFTER_S)

        self._index.change(change)
        with self._index.transfer() as objects:
            objects.delete_below(folder_of(id_))


def _find(index: Index, consent_id: str) -> IndexedConsent:
    found = index.consents.get(consent_id)
    if found is None:
        raise UnknownVoice(consent_id)
    return found
