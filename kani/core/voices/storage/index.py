"""The index of a bucket: one object that lists all voices, so that one conditional write changes them.

The other objects are below ``voices/ID/``, ID being 32 random hexadecimal digits: the recordings of a voice
or a consent, which never change, and an embedding for each engine. What is below an ID that the index does
not list was left by a writer that did not come to its end, or was still to be deleted.
"""

import secrets
from typing import Annotated, Self

import msgspec

from kani.core.errors import NameTaken, StoreUnavailable, UnknownVoice
from kani.core.types import Similarity
from kani.core.voices.store_files import Consent, StoredVoice, hashed_name

VERSION = 2
"""Format of the index and of what it lists."""

MAX_INDEX_BYTES = 16 << 20
"""Longest index that is read and written: 16 KiB for each of a thousand voices, where 3 KiB are usual."""

Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class IndexedEmbedding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An engine's embedding."""

    model: str
    similarity: dict[str, Similarity] = {}


class IndexedVoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voice; its objects are below ``id``."""

    voice: StoredVoice
    id: Id
    embeddings: dict[str, IndexedEmbedding] = {}  # embeddings by the names of their engines


class IndexedConsent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A consent; its recording is below ``id``."""

    consent: Consent
    id: Id


class Index(msgspec.Struct, forbid_unknown_fields=True):
    """Everything that the bucket holds. A change is made in a copy, which then takes its place."""

    version: int = VERSION
    revision: str = ""  # random, so that no two states are equal
    voices: dict[str, IndexedVoice] = {}  # voices, by the hashes of their names
    consents: dict[str, IndexedConsent] = {}  # consents, by their ids

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Decode an index. Raises StoreUnavailable for one that this version cannot read."""
        try:
            version = msgspec.json.decode(content, type=_Version).version
            if version != VERSION:
                raise StoreUnavailable(
                    "the stored voices in KANI_VOICE_BUCKET were written by another version of this server "
                    f"(format {version}; this one reads {VERSION}): start that one, or name another bucket"
                )
            return msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise StoreUnavailable(
                f"the index of the stored voices in KANI_VOICE_BUCKET is damaged ({error}): restore it, "
                "or name another bucket"
            ) from error

    def encode(self) -> bytes:
        """Encode the index, with a new revision."""
        return msgspec.json.encode(msgspec.structs.replace(self, revision=secrets.token_hex(8)))

    def copy(self) -> Self:
        """Return an index of the same entries, to be changed."""
        return msgspec.structs.replace(self, voices=dict(self.voices), consents=dict(self.consents))

    @property
    def ids(self) -> set[str]:
        """Ids of all that is listed."""
        consents = {one.id for one in self.consents.values()}
        return {one.id for one in self.voices.values()} | consents

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


class _Version(msgspec.Struct):
    version: int
