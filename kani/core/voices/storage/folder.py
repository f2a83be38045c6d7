"""Stored voices and consents in a folder, which several processes and machines may share."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from kani.core.audio.pcm import MAX_RECORDING_BYTES
from kani.core.errors import InvalidRequest, NameTaken, Reason, StoreUnavailable, UnknownVoice
from kani.core.types import Embedding, Similarity
from kani.core.voices.store_disk import AtomicFolder
from kani.core.voices.store_files import (
    CONSENT_ID,
    MAX_EMBEDDING_BYTES,
    MAX_METADATA_BYTES,
    Consent,
    Renaming,
    StoredVoice,
    decode_embedding,
    decode_metadata,
    encode_embedding,
    encode_metadata,
    hashed_name,
    utc_now,
)
from kani_text.foreign.files import read_regular

log = logging.getLogger(__name__)

VERSION = 2
"""Format on disk. Version 1, without embeddings, spoken consent and renaming, is read too."""

_RECORDING, _CONSENT, _METADATA, _EMBEDDING = "recording", "consent", "voice.json", ".embedding.json"
_CONSENT_METADATA = "consent.json"
_VERSION = "version"
MAX_EMBEDDINGS = 64
"""Embeddings of a voice that are read: one an engine."""

_VOICE_FOLDER = re.compile(r"[0-9a-f]{32}")


def too_many_voices(limit: int) -> InvalidRequest:
    reason = f"no more than {limit} voices can be stored: delete one first"
    return InvalidRequest("name", reason, Reason("too_many_voices", {"limit": limit}))


def too_many_consents(limit: int) -> InvalidRequest:
    return InvalidRequest("name", f"no more than {limit} consents can be stored: delete one first")


class FolderBackend:
    """Keeps checked voices, each under a unique name, in a folder of its own below ``folder / "voices"``.

    A voice is kept completely or not at all, and a change that returned is durable. Safe for use by several
    threads and several processes. ``BucketBackend`` has the same methods, and raises StoreUnavailable where
    these raise OSError.
    A voice's folder is named by a hash of its name, so no name can be a path. Every read finds the files as
    they are now, those of other servers included. ``get`` and ``list`` read files too. Changes raise OSError
    where the disk is full, broken, or locked by other processes for ten seconds; the voice is then in its old
    or its new state.
    """

    def __init__(self, folder: Path) -> None:
        """Raises StoreUnavailable for what a newer version wrote."""
        self._folder = folder / "voices"
        self._files = AtomicFolder(self._folder)
        self.consents = FolderConsents(folder)
        self._check_version()
        self._files.remove_leftovers()

    def start(self) -> None:
        """Get ready to be read: there is nothing to prepare."""

    def stop(self) -> None:
        """End all background work: there is none."""

    def add(self, voice: StoredVoice, recording: bytes, consent: bytes | None, limit: int) -> None:
        """Keep a new voice.

        consent: the recording of it, if it was spoken; limit: largest number of voices. Raises NameTaken, and
        InvalidRequest for ``name`` at the limit.
        """
        files = {_RECORDING: recording, _METADATA: encode_metadata(voice)}
        if consent is not None:
            files[_CONSENT] = consent
        with self._writing():
            folder = self._free_folder(voice.name)
            if sum(1 for _ in self._voice_folders()) >= limit:
                raise too_many_voices(limit)
            self._files.add(folder, files)

    def list(self) -> list[StoredVoice]:
        """List all voices by name; a folder that cannot be read is logged and skipped."""
        voices = (self._read(folder) for folder in self._voice_folders())
        return sorted((voice for voice in voices if voice is not None), key=lambda voice: voice.name)

    def get(self, name: str) -> StoredVoice:
        """Find a voice by its name, without prefix. Raises UnknownVoice."""
        folder = self._folder_of(name)
        voice = self._read(folder) if folder.is_dir() else None
        if voice is None:
            raise UnknownVoice(name)
        return voice

    def recording(self, voice: StoredVoice) -> bytes:
        """Read a voice's recording, unverified. Raises UnknownVoice where it was deleted."""
        return self._read_file(voice.name, _RECORDING)

    def consent_recording(self, voice: StoredVoice) -> bytes:
        """Read the recording of a spoken consent. Raises UnknownVoice where it was deleted."""
        return self._read_file(voice.name, _CONSENT)

    def rename(self, name: str, new: str) -> StoredVoice:
        """Rename a voice. Raises UnknownVoice and NameTaken."""
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
            self._files.move(folder, target)
        return replace(voice, name=new, renamed_at=renaming.at)

    def delete(self, name: str) -> None:
        """Delete a voice, its recordings, and its embeddings. Raises UnknownVoice.

        After an OSError the voice may be gone already; the rest of its files goes with the next change.
        """
        folder = self._folder_of(name)
        if not folder.exists():
            raise UnknownVoice(name)
        with self._files.locked():
            try:
                self._files.remove(folder)
            except FileNotFoundError as error:
                raise UnknownVoice(name) from error

    def save_embedding(self, voice: StoredVoice, embedding: Embedding) -> None:
        """Keep an engine's embedding instead of its earlier one: see ``VoiceStore.save_embedding``."""
        content = encode_embedding(embedding, voice.sha256)
        folder = self._folder_of(voice.name)
        if not folder.is_dir():
            return
        with self._writing():
            current = self._read(folder) if folder.is_dir() else None
            if current is not None and current.sha256 == voice.sha256:
                self._files.replace(folder / (hashed_name(embedding.engine) + _EMBEDDING), content)

    def embeddings(self, voice: StoredVoice, model: str | None = None) -> tuple[Embedding, ...]:
        """Read the embeddings of a voice, or only those of a model: see ``VoiceStore.embeddings``."""
        if self.get(voice.name).sha256 != voice.sha256:
            raise UnknownVoice(voice.name)
        embeddings = []
        for path in sorted(self._folder_of(voice.name).glob("*" + _EMBEDDING))[:MAX_EMBEDDINGS]:
            try:
                embeddings.append(decode_embedding(read_regular(path, MAX_EMBEDDING_BYTES), voice.sha256))
            except FileNotFoundError:
                # The voice was deleted or renamed meanwhile.
                continue
            except (OSError, ValueError) as error:
                log.warning(
                    "skipping an unreadable embedding of stored voice %s: %s", path.parent.name, error
                )
        return tuple(one for one in embeddings if model in (None, one.model))

    def similarities(self, voice: StoredVoice) -> Mapping[str, Mapping[str, Similarity]]:
        """Similarities by primary language subtag, for each embedding by its model."""
        return {embedding.model: embedding.similarity for embedding in self.embeddings(voice)}

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
            version = read_regular(self._folder / _VERSION, MAX_METADATA_BYTES)
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

    def _folder_of(self, name: str) -> Path:
        return self._folder / hashed_name(name)

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
            return read_regular(self._folder_of(name) / file, MAX_RECORDING_BYTES)
        except FileNotFoundError as error:
            raise UnknownVoice(name) from error

    def _read(self, folder: Path) -> StoredVoice | None:
        try:
            voice = decode_metadata(read_regular(folder / _METADATA, MAX_METADATA_BYTES), folder.name)
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


class FolderConsents:
    """Keeps recordings of consents, each in a folder of its own below ``folder / "voice_consents"``.

    UnknownVoice is raised for an id without one. Changes raise OSError where the disk is full, broken, or
    locked by other processes for ten seconds.
    """

    def __init__(self, folder: Path) -> None:
        self._files = AtomicFolder(folder / "voice_consents")

    def add(self, consent: Consent, recording: bytes, limit: int) -> None:
        with self._files.locked():
            if sum(1 for _ in self._folders()) >= limit:
                raise too_many_consents(limit)
            files = {_RECORDING: recording, _CONSENT_METADATA: msgspec.json.encode(consent)}
            self._files.add(self._files.path / consent.id, files)

    def list(self) -> list[Consent]:
        """List all consents, in any order; one that cannot be read is logged and skipped."""
        found = []
        for folder in self._folders():
            try:
                found.append(self.get(folder.name))
            except UnknownVoice:
                # It was deleted meanwhile.
                continue
            except (OSError, ValueError) as error:
                log.warning("skipping stored consent %s: %s", folder.name, error)
        return found

    def get(self, consent_id: str) -> Consent:
        return msgspec.json.decode(self._read(consent_id, _CONSENT_METADATA), type=Consent)

    def recording(self, consent_id: str) -> bytes:
        return self._read(consent_id, _RECORDING)

    def rename(self, consent_id: str, name: str) -> Consent:
        with self._files.locked():
            consent = replace(self.get(consent_id), name=name)
            content = msgspec.json.encode(consent)
            self._files.replace(self._files.path / consent_id / _CONSENT_METADATA, content)
        return consent

    def delete(self, consent_id: str) -> None:
        self.get(consent_id)
        with self._files.locked():
            try:
                self._files.remove(self._files.path / consent_id)
            except FileNotFoundError as error:
                raise UnknownVoice(consent_id) from error

    def _folders(self) -> Iterator[Path]:
        path = self._files.path
        entries = path.iterdir() if path.is_dir() else ()
        return (entry for entry in entries if CONSENT_ID.fullmatch(entry.name))

    def _read(self, consent_id: str, file: str) -> bytes:
        if not CONSENT_ID.fullmatch(consent_id):
            raise UnknownVoice(consent_id)
        try:
            return read_regular(self._files.path / consent_id / file, MAX_RECORDING_BYTES)
        except FileNotFoundError as error:
            raise UnknownVoice(consent_id) from error
