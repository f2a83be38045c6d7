"""The index of a bucket: one object that lists all voices, so that one conditional write changes them.

The other objects are below ``voices/ID/``, ID being 32 random hexadecimal digits: a voice's recordings and
embeddings. They never change. An ID is listed in the index as long as it has objects: with its voice, or
among those to be removed, from before the first of them is written until after the last one is deleted.
"""

import re
import secrets
from typing import Self

import msgspec

from kani.core.errors import NameTaken, StoreUnavailable, UnknownVoice
from kani.core.types import Similarity
from kani.core.voices.store_files import Consent, StoredVoice, hashed_name

VERSION = 1
"""Format of the index and of what it lists."""

MAX_INDEX_BYTES = 16 << 20
"""Longest index that is read and written: 16 KiB for each of a thousand voices, where 3 KiB are usual."""

REMOVED_AFTER_S = 600
"""Seconds after which objects that are to be removed are removed for good: no upload takes as long."""

BEING_REMOVED = 0.0

_ID = re.compile(r"[0-9a-f]{32}")


class IndexedEmbedding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An embedding, which object ``id`` of its voice holds."""

    engine: str
    model: str
    id: str
    similarity: dict[str, Similarity] = {}


class IndexedVoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voice; its objects are below ``id``."""

    voice: StoredVoice
    id: str
    embeddings: tuple[IndexedEmbedding, ...] = ()


class IndexedConsent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A consent; its recording is below ``id``."""

    consent: Consent
    id: str


class Index(msgspec.Struct, forbid_unknown_fields=True):
    """Everything that the bucket holds. A change is made in a copy, which then takes its place."""

    version: int = VERSION
    revision: str = ""  # random, so that no two states are equal
    voices: dict[str, IndexedVoice] = {}  # voices, by the hashes of their names
    consents: dict[str, IndexedConsent] = {}  # consents, by their ids
    removed: dict[str, float] = {}
    """Ids with objects to be removed, and the time when they are (seconds since 1970);
    ``BEING_REMOVED`` once that has begun."""

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Decode an index. Raises StoreUnavailable for one that this version cannot read."""
        try:
            version = msgspec.json.decode(content, type=_Version).version
            if version > VERSION:
                raise StoreUnavailable(
                    "the stored voices in KANI_VOICE_BUCKET were written by a newer version of this server "
                    f"(format {version}; this one reads up to {VERSION}): start that one, or name another one"
                )
            index = msgspec.json.decode(content, type=cls)
            if not all(_ID.fullmatch(one) for one in index._ids()):
                raise ValueError("an invalid id")
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise StoreUnavailable(
                f"the index of the stored voices in KANI_VOICE_BUCKET is damaged ({error}): restore it, "
                "or name another bucket"
            ) from error
        return index

    def _ids(self) -> list[str]:
        embeddings = [each.id for one in self.voices.values() for each in one.embeddings]
        voices = [one.id for one in self.voices.values()]
        return [*voices, *embeddings, *(one.id for one in self.consents.values()), *self.removed]

    def encode(self) -> bytes:
        """Encode the index, with a new revision."""
        return msgspec.json.encode(msgspec.structs.replace(self, revision=secrets.token_hex(8)))

    def copy(self) -> Self:
        """Return an index of the same entries, to be changed."""
        voices, consents, removed = dict(self.voices), dict(self.consents), dict(self.removed)
        return msgspec.structs.replace(self, voices=voices, consents=consents, removed=removed)

    def find(self, name: str) -> IndexedVoice:
        """Find a voice by its name. Raises UnknownVoice."""
        found = self.voices.get(hashed_name(name))
        if found is None:
            raise UnknownVoice(name)
        return found

    def find_same(self, voice: StoredVoice) -> IndexedVoice:
        """Find a voice with the same recording. Raises UnknownVoice."""
        found = self.find(voice.name)
        if found.voice.sha256 != voice.sha256:
            raise UnknownVoice(voice.name)
        return found

    def check_free(self, name: str) -> None:
        if hashed_name(name) in self.voices:
            raise NameTaken(name)

    def due(self, now: float) -> set[str]:
        """Return the ids with objects that are to be removed by ``now`` (seconds since 1970)."""
        return {id_ for id_, at in self.removed.items() if at <= now}

    def keep(self, id_: str) -> None:
        """Keep uploaded objects, which were to be removed. Raises StoreUnavailable if late."""
        if self.removed.get(id_, BEING_REMOVED) == BEING_REMOVED:
            raise StoreUnavailable("the upload to the place of the stored voices took too long: try again")
        del self.removed[id_]


class _Version(msgspec.Struct):
    version: int
