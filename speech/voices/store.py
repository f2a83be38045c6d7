"""The voices that clients made: recordings with the consent of who speaks in them, kept on disk."""

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
"""Tells in sentences what would make a better recording. Raises InvalidRequest for ``reference`` where nobody
speaks in it."""

VERSION = 2
"""Of what is on disk: 1 knew neither embeddings, nor spoken consent, nor other names, and is read too."""

MAX_VOICES = 1000
MIN_RECORDING_S, MIN_CONSENT_S = 3.0, 1.0
MAX_NAME = 64
MAX_TEXT = 2000
"""Characters of a consent or a description at most."""

_RECORDING, _CONSENT, _FACTS, _EMBEDDING = "recording", "consent", "voice.json", ".embedding.json"
_VERSION = "version"
_VOICE_FOLDER = re.compile(r"[0-9a-f]{32}")


class VoiceStore:
    """Kept voices, each a folder of its own below ``folder / "voices"``.

    A voice's folder is named by a hash of its name, so no name can be a path. A voice is there
    whole or not at all, whatever happens while it is written; what was told to be done is on the disk.
    judge: asked about each recording before it is kept. Everything here blocks on files: call it in a
    thread. Safe to call from any thread, and for several processes with one folder. Whatever changes
    something raises OSError where the disk is full, broken, or held by others for ten seconds: what was
    to be changed is as it was then, or as it was to be. Raises StoreUnavailable for what a newer version
    wrote.
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
        """Keep ``recording`` (an audio file of 3–60 s, at most 10 MiB; kept as it came).

        name: 1–64 letters, digits, ``_`` and ``-``; consent: that of the person who speaks, in words, or in
        ``consent_recording`` (as ``recording``, but from 1 s on), or both; origin: the protocol; language:
        a tag or a name. Raises InvalidRequest for ``name`` (NameTaken where there is one so called),
        ``audio``, ``consent``, ``consent_recording`` or ``description``, and UnsupportedLanguage.
        """
        name = _checked_name(name)
        if not consent.strip() and consent_recording is None:
            raise InvalidRequest("consent", "the speaker's consent is required, in words or as a recording")
        for field, words in (("consent", consent), ("description", description)):
            _check_words(field, words)
        tag = languages.resolve(language) if language else None
        if consent_recording is not None:
            self._heard("consent_recording", consent_recording, MIN_CONSENT_S)
        decoded, advice = self._heard("audio", recording, MIN_RECORDING_S)
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
        files = {_RECORDING: recording, _FACTS: encode_metadata(voice)}
        if consent_recording is not None:
            files[_CONSENT] = consent_recording
        with self._writing():
            folder = self._free_folder(name)
            if sum(1 for _ in self._voice_folders()) >= MAX_VOICES:
                raise InvalidRequest("name", f"no more than {MAX_VOICES} voices are kept: delete one first")
            made = self._files.temporary_path()
            store_disk.make_folder(made, files)
            store_disk.move(made, folder)
        return voice

    def list(self) -> list[StoredVoice]:
        """All kept voices by name; a folder that cannot be read is logged and left out."""
        voices = (self._read(folder) for folder in self._voice_folders())
        return sorted((voice for voice in voices if voice is not None), key=lambda voice: voice.name)

    def get(self, name: str) -> StoredVoice:
        """The voice of that name, with ``custom:`` before it or not. Raises UnknownVoice."""
        folder = self._folder_of(name)
        voice = self._read(folder) if folder.is_dir() else None
        if voice is None:
            raise UnknownVoice(name)
        return voice

    def recording(self, voice: StoredVoice) -> bytes:
        """The recording as it came. Raises UnknownVoice where it is gone, or another's by now."""
        recording = self._content(voice.name, _RECORDING)
        if hashlib.sha256(recording).hexdigest() != voice.sha256:
            raise UnknownVoice(voice.name)
        return recording

    def consent_recording(self, name: str) -> bytes | None:
        """The recording in which the consent is spoken, as it came, if there is one. Raises UnknownVoice."""
        return self._content(name, _CONSENT) if self.get(name).has_consent_recording else None

    def rename(self, name: str, new: str) -> StoredVoice:
        """Call a voice otherwise, at once; everything else about it stays.

        Raises UnknownVoice, and InvalidRequest for ``name`` as ``add`` does for the new one.
        """
        new = _checked_name(new)
        self.get(name)
        with self._writing():
            # As it is now that nobody else can change it.
            voice = self.get(name)
            if new == voice.name:
                return voice
            target = self._free_folder(new)
            renaming = Renaming(new, utc_now())
            folder = self._folder_of(name)
            # It has the old name still: the new one counts once the folder is called by it.
            self._files.replace(folder / _FACTS, encode_metadata(voice, renaming))
            store_disk.move(folder, target)
        return replace(voice, name=new, renamed_at=renaming.at)

    def delete(self, name: str) -> None:
        """Remove the voice, every copy of its recording, and what was made of it. Raises UnknownVoice.

        After an OSError the voice may be gone already, and the rest of it goes with the next change.
        """
        folder = self._folder_of(name)
        if not folder.exists():
            raise UnknownVoice(name)
        with self._files.locked():
            gone = self._files.temporary_path()
            try:
                store_disk.move(folder, gone)
            except FileNotFoundError as error:
                raise UnknownVoice(name) from error
            store_disk.remove(gone)

    def save_embedding(self, voice: StoredVoice, embedding: Embedding) -> None:
        """Keep what an engine took from the voice's recording, in place of what it took before.

        Does nothing for a voice that is gone, or has another name by now, or another recording. Raises
        ValueError for values that are not finite or too many.
        """
        content = encode_embedding(embedding, voice.sha256)
        folder = self._folder_of(voice.name)
        if not folder.is_dir():
            return
        with self._writing():
            there = self._read(folder) if folder.is_dir() else None
            if there is not None and there.sha256 == voice.sha256:
                self._files.replace(folder / (hashed_name(embedding.engine) + _EMBEDDING), content)

    def embeddings(self, voice: StoredVoice) -> tuple[Embedding, ...]:
        """What each engine took from the voice, as far as it is kept.

        A file that cannot be read is logged and left out. Raises UnknownVoice where the voice is gone, or
        its name is another one's by now.
        """
        if self.get(voice.name).sha256 != voice.sha256:
            raise UnknownVoice(voice.name)
        found = []
        for path in sorted(self._folder_of(voice.name).glob("*" + _EMBEDDING)):
            try:
                found.append(decode_embedding(path.read_bytes(), voice.sha256))
            except FileNotFoundError:
                # It was deleted or got another name meanwhile.
                continue
            except (OSError, ValueError) as error:
                log.warning("an embedding of kept voice %s left out: %s", path.parent.name, error)
        return tuple(found)

    def embedding(self, voice: StoredVoice, model: str) -> Embedding | None:
        """What ``model`` (``EngineInfo.embedder``) made of the voice, if it is kept.

        Raises as ``embeddings``.
        """
        return next((one for one in self.embeddings(voice) if one.model == model), None)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep everybody else from changing the store, which has this version from now on."""
        with self._files.locked():
            if self._check_version() != VERSION:
                self._files.replace(self._folder / _VERSION, f"{VERSION}\n".encode())
            yield

    def _check_version(self) -> int | None:
        """The version that is stated, if any is. Raises StoreUnavailable for one that cannot be read."""
        try:
            stated = (self._folder / _VERSION).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(
                f"the kept voices cannot be read ({error.strerror}): "
                "let the server read its data folder, or set KANI_DATA_DIR to another one"
            ) from error
        if not re.fullmatch(rb"[0-9]{1,9}\n?", stated):
            raise StoreUnavailable(
                f"the kept voices are damaged: voices/{_VERSION} in the data folder should say {VERSION}; "
                "restore it, or set KANI_DATA_DIR to another folder"
            )
        if int(stated) > VERSION:
            raise StoreUnavailable(
                f"the kept voices were written by a newer version of this server (format {int(stated)}; this "
                f"one reads up to {VERSION}): start that one, or set KANI_DATA_DIR to another folder"
            )
        return int(stated)

    def _heard(self, field: str, recording: bytes, least_s: float) -> tuple[Recording, tuple[str, ...]]:
        """A recording and what is to be said about it. Raises InvalidRequest for ``field``."""
        try:
            decoded = decode_recording(recording, MAX_RECORDING_BYTES, MAX_RECORDING_S)
            if decoded.duration_s < least_s:
                raise InvalidRequest("reference", f"too short (at least {least_s:g} s)")
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

    def _content(self, name: str, file: str) -> bytes:
        try:
            return (self._folder_of(name) / file).read_bytes()
        except FileNotFoundError as error:
            raise UnknownVoice(name) from error

    def _read(self, folder: Path) -> StoredVoice | None:
        try:
            voice = decode_metadata((folder / _FACTS).read_bytes(), folder.name)
            whole = (folder / _RECORDING).stat().st_size == voice.size
            if voice.has_consent_recording:
                whole = whole and (folder / _CONSENT).is_file()
        except (OSError, ValueError) as error:
            # One that was deleted or got another name meanwhile is no more to be told of.
            if folder.exists():
                log.warning("kept voice %s left out: %s", folder.name, error)
            return None
        if not whole:
            log.warning("kept voice %s left out: its files do not belong together", folder.name)
            return None
        return voice


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    # What stands above, below or around a letter, as in हिन्दी, is no letter by itself.
    letters = "".join(c for c in name if not unicodedata.category(c).startswith("M"))
    if len(name) > MAX_NAME or not re.fullmatch(r"[\w-]+", letters) or name[0] not in letters:
        raise InvalidRequest("name", f"must be 1-{MAX_NAME} letters, digits, '_' and '-'")
    return name


def _check_words(field: str, words: str) -> None:
    if len(words) > MAX_TEXT:
        raise InvalidRequest(field, f"too long (at most {MAX_TEXT} characters)")
    if any(unicodedata.category(c) in ("Cs", "Cc") and c not in "\n\t\r" for c in words):
        raise InvalidRequest(field, "holds control characters")
