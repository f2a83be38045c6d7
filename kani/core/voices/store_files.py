"""File formats of a stored voice: its metadata and its embeddings."""

import hashlib
import math
import re
import unicodedata
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from kani.core.types import MAX_EMBEDDING_VALUES, Embedding, Similarity

CUSTOM_PREFIX = "custom:"

MAX_METADATA_BYTES = 64 << 10
"""Longest metadata of a voice: consent, description and advice have some thousand characters."""

MAX_EMBEDDING_BYTES = 4 * -(-4 * MAX_EMBEDDING_VALUES // 3) + MAX_METADATA_BYTES
"""Longest embedding that is read: base64 of its float32 values, and the other fields."""

CONSENT_ID = re.compile(r"cons_[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class StoredVoice:
    """A stored voice without its recording."""

    name: str
    language: str | None  # BCP 47, or None
    description: str
    consent: str  # the consent in words; empty where it was spoken
    consent_at: str  # when the consent came: UTC, ISO 8601
    origin: str  # the protocol it came by
    sha256: str  # of the recording
    size: int  # bytes of the recording
    duration_s: float  # of the recording
    sample_rate: int  # hertz, of the recording
    consent_sha256: str = ""  # of the recorded consent; empty where there is none
    advice: tuple[str, ...] = ()  # sentences on what would make a better recording
    renamed_at: str | None = None  # when it got its present name: UTC, ISO 8601; None if never renamed

    @property
    def id(self) -> str:
        """The voice id in requests: ``custom:NAME``."""
        return CUSTOM_PREFIX + self.name

    @property
    def has_consent_recording(self) -> bool:
        """The consent was spoken, and its recording is stored too."""
        return bool(self.consent_sha256)


@dataclass(frozen=True, slots=True)
class Consent:
    """A stored consent without its recording; ``created_at``: seconds since 1970."""

    id: str
    name: str
    language: str
    created_at: int


_METADATA_FIELDS = frozenset(field.name for field in fields(StoredVoice))


class Renaming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rename in progress: it counts once the folder is named by the hash of ``name``."""

    name: str
    at: str


class _EmbeddingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    engine: str
    model: str
    made_at: str
    recording: str  # sha256
    values: bytes  # float32, little-endian (base64 in the JSON)
    similarity: dict[str, Similarity]


def utc_now() -> str:
    """The time, UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def hashed_name(name: str) -> str:
    """File name for a voice or an engine: 32 hexadecimal digits, so no name can be a path.

    Composed and decomposed spellings of one name give one hash.
    """
    plain = unicodedata.normalize("NFC", name)
    return hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()[:32]


def encode_metadata(voice: StoredVoice, renaming: Renaming | None = None) -> bytes:
    """Encode a voice's metadata file; renaming: the name it is about to get."""
    metadata = asdict(voice)
    if renaming is not None:
        metadata["renaming"] = renaming
    return msgspec.json.format(msgspec.json.encode(metadata), indent=2)


def decode_metadata(content: bytes, folder: str) -> StoredVoice:
    """Decode a metadata file; the hashed name in ``folder`` decides if a renaming counts.

    Raises ValueError for anything else.
    """
    metadata = msgspec.json.decode(content, type=dict[str, Any])
    renaming = metadata.pop("renaming", None)
    if renaming is not None:
        new = msgspec.convert(renaming, Renaming)
        if hashed_name(new.name) == folder:
            metadata |= {"name": new.name, "renamed_at": new.at}
    if unknown := metadata.keys() - _METADATA_FIELDS:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    voice = msgspec.convert(metadata, StoredVoice)
    if hashed_name(voice.name) != folder:
        raise ValueError("the folder is named for another voice")
    return voice


def encode_embedding(embedding: Embedding, recording: str) -> bytes:
    """Encode an embedding file; recording: the sha256 of the recording it was made of.

    Raises ValueError for an embedding that ``decode_embedding`` would refuse.
    """
    values = _checked(embedding.values)
    similarity = {language: _checked_similarity(one) for language, one in embedding.similarity.items()}
    return msgspec.json.encode(
        _EmbeddingFile(
            embedding.engine,
            embedding.model,
            utc_now(),
            recording,
            values.astype("<f4", copy=False).tobytes(),
            similarity,
        )
    )


def decode_embedding(content: bytes, recording: str) -> Embedding:
    """Decode an embedding file made of the recording with this sha256. Raises ValueError."""
    found = msgspec.json.decode(content, type=_EmbeddingFile)
    if found.recording != recording:
        raise ValueError("the embedding was made of another recording")
    values = _checked(np.frombuffer(found.values, "<f4").astype(np.float32, copy=False))
    for one in found.similarity.values():
        _checked_similarity(one)
    return Embedding(found.engine, found.model, values, found.similarity)


def _checked(values: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    if values.dtype != np.float32 or values.ndim != 1 or not 1 <= len(values) <= MAX_EMBEDDING_VALUES:
        raise ValueError(f"an embedding has 1-{MAX_EMBEDDING_VALUES} float32 values in one dimension")
    if not np.isfinite(values).all():
        raise ValueError("an embedding's values must be finite")
    return values


def _checked_similarity(similarity: Similarity) -> Similarity:
    if not all(math.isfinite(one) for one in (similarity.before, similarity.now)):
        raise ValueError("a similarity must be finite")
    return similarity
