"""Stores the voices that clients make: recordings with the speaker's consent, on disk."""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from speech.audio.pcm import MAX_RECORDING_BYTES, MAX_RECORDING_S, decode_recording
from speech.errors import InvalidRequest, NameTaken, StoreUnavailable, UnknownVoice
from speech.text import languages
from speech.types import Embedding, Recording
from speech.voices import store_disk
from speech.voices.store_files import (
    CUSTOM_PREFIX,
    Renaming,
    StoredVoice,
    decode_embedding,
    decode_metadata,
    encode_embedding,
    encode_metadata,
    hashed_name,
    utc_now,
)

__all__ = ["CUSTOM_PREFIX", "MAX_VOICES", "CheckRecording", "StoredVoice", "VoiceStore"]

log = logging.getLogger(__name__)

CheckRecording = Callable[[Recording], tuple[str, ...]]
"""Returns advice on a better recording. Raises InvalidRequest for ``reference`` where it holds no speech."""

VERSION = 2
"""Format on disk. Version 1, without embeddings, spoken consent and renaming, is read too."""

MAX_VOICES = 1000
MIN_RECORDING_S, MIN_CONSENT_S = 3.0, 1.0
MAX_NAME = 64
MAX_TEXT = 2000
"""Characters of a consent or a description at most."""

_RECORDING, _CONSENT, _METADATA, _EMBEDDING = "recording", "consent", "voice.json", ".embedding.json"
_VERSION = "version"
_VOICE_FOLDER = re.compile(r"[0-9a-f]{32}")


class VoiceStore:
    """Stored voices, each in a folder of its own below ``folder / "voices"``.

    A voice's folder is named by a hash of its name, so no name can be a path. A voice is stored completely or
    not at all, even if the process is killed while writing; a change that returned is on disk.

    check_recording: called for each recording before it is stored. All methods block on files: call them in a
    thread. Safe for use by several threads, and by several processes with one folder. Changes raise OSError
    where the disk is full, broken, or locked by other processes for ten seconds; the voice is then in its old
    or its new state. StoreUnavailable is raised for what a newer version wrote.
    """

    def __init__(self, folder: Path, check_recording: CheckRecording | None = None) -> None:
        self._folder = folder / "voices"
        self._files = store_disk.AtomicFolder(self._folder)
        self._judge = check_recording
        self._check_version()
        self._files.remove_leftovers()

    def add(
        self,
        name: str,
        recording: bytes,
        consent: str = "",
        *,
        origin: str,
        consent_recording: bytes | None = None,
        language: str | None = None,
        description: str = "",
    ) -> StoredVoice:
        """Store ``recording`` (an audio file of 3–60 s, at most 10 MiB; kept byte for byte).

        name: 1–64 letters, digits, ``_`` and ``-``; consent: the speaker's, in words, or in
        ``consent_recording`` (as ``recording``, but from 1 s on), or both; origin: the protocol; language: a
        tag or a name. Raises InvalidRequest for ``name`` (NameTaken if it is in use), ``audio``, ``consent``,
        ``consent_recording`` or ``description``, and UnsupportedLanguage.
        """
        name = _checked_name(name)
        if not consent.strip() and consent_recording is None:
            raise InvalidRequest("consent", "the speaker's consent is required, in words or as a recording")
        for field, words in (("consent", consent), ("description", description)):
            _check_words(field, words)
        tag = languages.resolve(language) if language else None
        if consent_recording is not None:
            self._decoded("consent_recording", consent_recording, MIN_CONSENT_S)
        decoded, advice = self._decoded("audio", recording, MIN_RECORDING_S)
        voice = StoredVoice(
            name=name,
            language=tag,
            description=description,
            consent=consent,
            consent_at=utc_now(),
            origin=origin,
            sha256=hashlib.sha256(recording).hexdigest(),
            size=len(recording),
            duration_s=round(decoded.duration_s, 3),
            sample_rate=decoded.sample_rate,
            consent_sha256="" if consent_recording is None else hashlib.sha256(consent_recording).hexdigest(),
            advice=advice,
        )
        files = {_RECORDING: recording, _METADATA: encode_metadata(voice)}
        if consent_recording is not None:
            files[_CONSENT] = consent_recording
        with self._writing():
            folder = self._free_folder(name)
            if sum(1 for _ in self._voice_folders()) >= MAX_VOICES:
                raise InvalidRequest(
                    "name", f"no more than {MAX_VOICES} voices can be stored: delete one first"
                )
            temporary = self._files.temporary_path()
            store_disk.make_folder(temporary, files)
            store_disk.move(temporary, folder)
        return voice

    def list(self) -> list[StoredVoice]:
        """List all stored voices by name; a folder that cannot be read is logged and skipped."""
        voices = (self._read(folder) for folder in self._voice_folders())
        return sorted((voice for voice in voices if voice is not None), key=lambda voice: voice.name)

    def get(self, name: str) -> StoredVoice:
        """Find a voice by its name, with or without ``custom:``. Raises UnknownVoice."""
        folder = self._folder_of(name)
        voice = self._read(folder) if folder.is_dir() else None
        if voice is None:
            raise UnknownVoice(name)
        return voice

    def recording(self, voice: StoredVoice) -> bytes:
        """Read a voice's recording. Raises UnknownVoice where it was deleted or replaced."""
        recording = self._read_file(voice.name, _RECORDING)
        if hashlib.sha256(recording).hexdigest() != voice.sha256:
            raise UnknownVoice(voice.name)
        return recording

    def consent_recording(self, name: str) -> bytes | None:
        """Read the recording of the spoken consent, if there is one. Raises UnknownVoice."""
        return self._read_file(name, _CONSENT) if self.get(name).has_consent_recording else None

    def rename(self, name: str, new: str) -> StoredVoice:
        """Rename a voice atomically; everything else about it stays.

        Raises UnknownVoice, and InvalidRequest for ``name`` as ``add`` does for the new one.
        """
        new = _checked_name(new)
        self.get(name)
        with self._writing():
            # Read again: another process may have changed it before the lock was held.
            voice = self.get(name)
            if new == voice.name:
                return voice
            target = self._free_folder(new)
            renaming = Renaming(new, utc_now())
            folder = self._folder_of(name)
            # The old name still counts: the new one counts once the folder is named by it.
            self._files.replace(folder / _METADATA, encode_metadata(voice, renaming))
            store_disk.move(folder, target)
        return replace(voice, name=new, renamed_at=renaming.at)

    def delete(self, name: str) -> None:
        """Delete the voice, its recordings, and its embeddings. Raises UnknownVoice.

        After an OSError the voice may be gone already; the rest of its files goes with the next change.
        """
        folder = self._folder_of(name)
        if not folder.exists():
            raise UnknownVoice(name)
        with self._files.locked():
            temporary = self._files.temporary_path()
            try:
                store_disk.move(folder, temporary)
            except FileNotFoundError as error:
                raise UnknownVoice(name) from error
            store_disk.remove(temporary)

    def save_embedding(self, voice: StoredVoice, embedding: Embedding) -> None:
        """Store an engine's embedding of the voice's recording, in place of that engine's earlier one.

        Does nothing for a voice that was deleted, renamed, or replaced by another recording. Raises
        ValueError for values that are not finite or too many.
        """
        content = encode_embedding(embedding, voice.sha256)
        folder = self._folder_of(voice.name)
        if not folder.is_dir():
            return
        with self._writing():
            current = self._read(folder) if folder.is_dir() else None
            if current is not None and current.sha256 == voice.sha256:
                self._files.replace(folder / (hashed_name(embedding.engine) + _EMBEDDING), content)

    def embeddings(self, voice: StoredVoice) -> tuple[Embedding, ...]:
        """Read the stored embeddings of the voice.

        A file that cannot be read is logged and skipped. Raises UnknownVoice where the voice was deleted or
        replaced.
        """
        if self.get(voice.name).sha256 != voice.sha256:
            raise UnknownVoice(voice.name)
        embeddings = []
        for path in sorted(self._folder_of(voice.name).glob("*" + _EMBEDDING)):
            try:
                embeddings.append(decode_embedding(path.read_bytes(), voice.sha256))
            except FileNotFoundError:
                # The voice was deleted or renamed meanwhile.
                continue
            except (OSError, ValueError) as error:
                log.warning(
                    "skipping an unreadable embedding of stored voice %s: %s", path.parent.name, error
                )
        return tuple(embeddings)

    def embedding(self, voice: StoredVoice, model: str) -> Embedding | None:
        """The voice's embedding by ``model`` (``EngineInfo.embedding_model``), if stored. Raises as
        ``embeddings``."""
        return next((one for one in self.embeddings(voice) if one.model == model), None)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Lock the store against other writers, and mark it as being of this version."""
        with self._files.locked():
            if self._check_version() != VERSION:
                self._files.replace(self._folder / _VERSION, f"{VERSION}\n".encode())
            yield

    def _check_version(self) -> int | None:
        """Read the format version, None if there is none. Raises StoreUnavailable for an unreadable one."""
        try:
            version = (self._folder / _VERSION).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(
                f"the stored voices cannot be read ({error.strerror}): "
                "let the server read its data folder, or set KANI_DATA_DIR to another one"
            ) from error
        if not re.fullmatch(rb"[0-9]{1,9}\n?", version):
            raise StoreUnavailable(
                f"the stored voices are damaged: voices/{_VERSION} in the data folder should say {VERSION}; "
                "restore it, or set KANI_DATA_DIR to another folder"
            )
        if int(version) > VERSION:
            raise StoreUnavailable(
                f"the stored voices were written by a newer version of this server (format {int(version)}; "
                f"this one reads up to {VERSION}): start that one, or set KANI_DATA_DIR to another folder"
            )
        return int(version)

    def _decoded(self, field: str, recording: bytes, min_s: float) -> tuple[Recording, tuple[str, ...]]:
        """Decode and check a recording; also returns the advice. Raises InvalidRequest for ``field``."""
        try:
            decoded = decode_recording(recording, MAX_RECORDING_BYTES, MAX_RECORDING_S)
            if decoded.duration_s < min_s:
                raise InvalidRequest("reference", f"too short (at least {min_s:g} s)")
            return decoded, () if self._judge is None else self._judge(decoded)
        except InvalidRequest as error:
            raise InvalidRequest(field, error.reason) from error

    def _folder_of(self, name: str) -> Path:
        return self._folder / hashed_name(name.removeprefix(CUSTOM_PREFIX))

    def _free_folder(self, name: str) -> Path:
        folder = self._folder_of(name)
        if folder.exists():
            raise NameTaken(name)
        return folder

    def _voice_folders(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from (path for path in self._folder.iterdir() if _VOICE_FOLDER.fullmatch(path.name))

    def _read_file(self, name: str, file: str) -> bytes:
        try:
            return (self._folder_of(name) / file).read_bytes()
        except FileNotFoundError as error:
            raise UnknownVoice(name) from error

    def _read(self, folder: Path) -> StoredVoice | None:
        try:
            voice = decode_metadata((folder / _METADATA).read_bytes(), folder.name)
            complete = (folder / _RECORDING).stat().st_size == voice.size
            if voice.has_consent_recording:
                complete = complete and (folder / _CONSENT).is_file()
        except (OSError, ValueError) as error:
            # A voice that was deleted or renamed meanwhile is not worth a log line.
            if folder.exists():
                log.warning("skipping stored voice %s: %s", folder.name, error)
            return None
        if not complete:
            log.warning("skipping stored voice %s: its files do not match", folder.name)
            return None
        return voice


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    # A combining mark, as in हिन्दी, is no letter by itself.
    letters = "".join(c for c in name if not unicodedata.category(c).startswith("M"))
    if len(name) > MAX_NAME or not re.fullmatch(r"[\w-]+", letters) or name[0] not in letters:
        raise InvalidRequest("name", f"must be 1-{MAX_NAME} letters, digits, '_' and '-'")
    return name


def _check_words(field: str, words: str) -> None:
    if len(words) > MAX_TEXT:
        raise InvalidRequest(field, f"too long (at most {MAX_TEXT} characters)")
    if any(unicodedata.category(c) in ("Cs", "Cc") and c not in "\n\t\r" for c in words):
        raise InvalidRequest(field, "must not contain control characters")
