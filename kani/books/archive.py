"""Reads files out of a ZIP archive into memory, all of it bounded; nothing is unpacked to the disk."""

import io
import posixpath
import struct
import unicodedata
import zipfile
import zlib
from typing import IO, Self
from urllib.parse import unquote

from kani.books.book import UnreadableBook

MAX_ARCHIVE_BYTES = 512 << 20
MAX_FILES = 10_000
MAX_DIRECTORY_BYTES = 4 << 20
MAX_FILE_BYTES = 16 << 20
MAX_READ_BYTES = 128 << 20
"""Bytes of all files that are read from one archive."""

MAX_EXPANSION = 200
"""Largest expansion of a file of more than 1 MiB: its size ÷ that in the archive. Text has 3 to 10."""

ENCRYPTED = "is encrypted: only books without copy protection (DRM) can be read"

_END = struct.Struct("<4s4H2LH")
_END_MARK, _ZIP64_MARK, _ZIP64_BYTES = b"PK\5\6", b"PK\6\7", 20


class Archive:
    """An open archive; use it in ``with``. Raises UnreadableBook for one that is damaged or not bounded."""

    def __init__(self, file: IO[bytes]) -> None:
        _check_directory(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise UnreadableBook(f"is a damaged archive ({error}): get it again") from error
        self._files: dict[str, zipfile.ZipInfo] = {}
        self._names: dict[str, str] = {}
        self._places: dict[str, list[str]] = {}
        self._left = MAX_READ_BYTES
        for info in self._zip.infolist():
            name = info.filename.replace("\\", "/")
            if name.startswith("/") or ".." in name.split("/") or ":" in name.split("/")[0]:
                raise UnreadableBook(f"names a file outside itself ({name[:80]!r}): do not trust it")
            self._files.setdefault(name, info)
            self._names.setdefault(_folded(name), name)
            self._places.setdefault(_folded(posixpath.basename(name)), []).append(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def join(self, folder: str, reference: str) -> str:
        """Return the name of what a file in ``folder`` refers to: that of a file, if one fits.

        It may differ in case and in how accents are written, as file systems forgive, and a reference that
        begins with "/" counts from the top of the archive. Raises UnreadableBook where it leads outside.
        """
        reference = reference.replace("\\", "/")
        folder, reference = ("" if reference.startswith("/") else folder), reference.lstrip("/")
        for each in (unquote(reference), reference):
            name = posixpath.normpath(posixpath.join(folder, each))
            if name.startswith(("../", "/")) or name == "..":
                raise UnreadableBook(f"refers to a file outside itself ({reference[:80]!r}): do not trust it")
            if found := name if name in self._files else self._names.get(_folded(name)):
                return found
        return posixpath.normpath(posixpath.join(folder, unquote(reference)))

    def named(self, name: str) -> str:
        """Return the only file of this name in any folder, "" if there is none."""
        places = self._places.get(_folded(unquote(name)), [])
        return places[0] if name and len(places) == 1 else ""

    def read(self, name: str, limit: int = MAX_FILE_BYTES) -> bytes:
        """Return a file of ``limit`` bytes at most."""
        info = self._files.get(name)
        if info is None:
            raise UnreadableBook(f"lacks its file {name[:80]!r}: get it again")
        if info.flag_bits & 1:
            raise UnreadableBook(ENCRYPTED)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableBook(f"packs {name[:80]!r} by a method that EPUB does not have: convert it")
        allowed = min(limit, self._left, max(1 << 20, info.compress_size * MAX_EXPANSION))
        try:
            with self._zip.open(info) as packed:
                data = packed.read(allowed + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise UnreadableBook(f"has a damaged file {name[:80]!r} ({error}): get it again") from error
        if len(data) > allowed:
            raise UnreadableBook(
                f"expands too far at {name[:80]!r} (at most {MAX_FILE_BYTES >> 20} MiB a file, "
                f"{MAX_READ_BYTES >> 20} MiB in all, {MAX_EXPANSION} times the packed size): do not trust it"
            )
        self._left -= len(data)
        return data


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _check_directory(file: IO[bytes]) -> None:
    """Check what the end of the archive says, as the module zipfile reads the whole directory at once."""
    size = file.seek(0, io.SEEK_END)
    if size > MAX_ARCHIVE_BYTES:
        raise UnreadableBook(f"has more than {MAX_ARCHIVE_BYTES >> 20} MiB: take the pictures out")
    start = max(size - (1 << 16) - _END.size - _ZIP64_BYTES, 0)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) - at < _END.size:
        raise UnreadableBook("is no EPUB, or was cut off: get it again")
    _, _, _, _, count, directory_bytes, _, _ = _END.unpack_from(tail, at)
    large = count > MAX_FILES or directory_bytes > MAX_DIRECTORY_BYTES
    if large or tail[max(at - _ZIP64_BYTES, 0) : at].startswith(_ZIP64_MARK):
        raise UnreadableBook(f"holds more than {MAX_FILES:,} files: do not trust it")
    file.seek(0)
