"""What is in the files of a kept voice: the facts about it, and what engines took from its recording."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from speech.types import MAX_EMBEDDING_VALUES, Embedding, Similarity

CUSTOM_PREFIX = "custom:"

_SIMILARITY_BOUND = 1.0 + 1e-3


@dataclass(frozen=True, slots=True)
class StoredVoice:
    """A kept voice, without its recording.

    language: BCP 47 tag, or None if none was given; consent: in the words of who gave it, empty where it
    was spoken; consent_at: when it came, UTC, ISO 8601; origin: the protocol it came by; sha256, size
    (bytes), duration_s and sample_rate (hertz) are the recording's; consent_sha256: of the recording in
    which the consent is spoken, empty where there is none; advice: what would make a better voice, in
    sentences; renamed_at: when it got the name it has, as ``consent_at``, None if it always had it.
    """

    name: str
    language: str | None
    description: str
    consent: str
    consent_at: str
    origin: str
    sha256: str
    size: int
    duration_s: float
    sample_rate: int
    consent_sha256: str = ""
    advice: tuple[str, ...] = ()
    renamed_at: str | None = None

    @property
    def id(self) -> str:
        """What a request calls it: ``custom:NAME``."""
        return CUSTOM_PREFIX + self.name

    @property
    def has_consent_recording(self) -> bool:
        """Whether the consent was spoken, and that recording is kept too."""
        return bool(self.consent_sha256)


_FACTS = frozenset(field.name for field in fields(StoredVoice))


class Renaming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name that a voice has from the moment on in which its folder is called so, and when that was."""

    name: str
    at: str


class _EmbeddingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An embedding on disk. recording: its sha256; values: float32, little-endian (base64 in the JSON)."""

    engine: str
    model: str
    made_at: str
    recording: str
    values: bytes
    similarity: dict[str, Similarity]


def utc_now() -> str:
    """The time, UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def hashed_name(name: str) -> str:
    """A file name for the name of a voice or an engine: 32 hexadecimal digits, so no name can be a path.

    One name in composed and in decomposed letters is one.
    """
    plain = unicodedata.normalize("NFC", name)
    return hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()[:32]


def encode_metadata(voice: StoredVoice, renaming: Renaming | None = None) -> bytes:
    """The file of facts about a voice; renaming: the name that it is about to get."""
    facts = asdict(voice)
    if renaming is not None:
        facts["renaming"] = renaming
    return msgspec.json.format(msgspec.json.encode(facts), indent=2)


def decode_metadata(content: bytes, folder: str) -> StoredVoice:
    """The voice whose file of facts this is, in a folder of that name, which tells its name from others.

    Raises ValueError for what is no such file.
    """
    facts = msgspec.json.decode(content, type=dict[str, Any])
    renaming = facts.pop("renaming", None)
    if renaming is not None:
        new = msgspec.convert(renaming, Renaming)
        if hashed_name(new.name) == folder:
            facts |= {"name": new.name, "renamed_at": new.at}
    if unknown := facts.keys() - _FACTS:
        raise ValueError(f"unknown facts {sorted(unknown)}")
    voice = msgspec.convert(facts, StoredVoice)
    if hashed_name(voice.name) != folder:
        raise ValueError("it is in the folder of another voice")
    return voice


def encode_embedding(embedding: Embedding, recording: str) -> bytes:
    """The file of an embedding; recording: the sha256 of what it was made of.

    Raises ValueError for one that ``read_embedding`` would not take.
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
    """The embedding in such a file, made of the recording with that sha256. Raises ValueError."""
    found = msgspec.json.decode(content, type=_EmbeddingFile)
    if found.recording != recording:
        raise ValueError("it was made of another recording")
    values = _checked(np.frombuffer(found.values, "<f4").astype(np.float32, copy=False))
    for one in found.similarity.values():
        _checked_similarity(one)
    return Embedding(found.engine, found.model, values, found.similarity)


def media_type(recording: bytes) -> str:
    """The type of a kept recording, told by its first bytes: audio/wav, ogg, flac, mp4 or mpeg."""
    if recording[:4] == b"RIFF":
        return "audio/wav"
    if recording[:4] == b"OggS":
        return "audio/ogg"
    if recording[:4] == b"fLaC":
        return "audio/flac"
    return "audio/mp4" if recording[4:8] == b"ftyp" else "audio/mpeg"


def _checked(values: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    if values.dtype != np.float32 or values.ndim != 1 or not 1 <= len(values) <= MAX_EMBEDDING_VALUES:
        raise ValueError(f"an embedding is 1-{MAX_EMBEDDING_VALUES} float32 in a row")
    if not np.isfinite(values).all():
        raise ValueError("an embedding's values are finite")
    return values


def _checked_similarity(similarity: Similarity) -> Similarity:
    if not all(math.isfinite(one) for one in (similarity.before, similarity.now)):
        raise ValueError("a similarity is finite")
    return similarity
