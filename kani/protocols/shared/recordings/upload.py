"""Receives audio files that clients upload, as a form or within JSON, into a temporary file."""

import asyncio
import logging
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Annotated, Any, TypeVar

import msgspec
import python_multipart  # noqa: F401 - Starlette misses it at the first upload only, with a traceback
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from kani.core.errors import InvalidRequest, StoreUnavailable
from kani.core.session.budget import Budget, Share
from kani.protocols.shared.calls.bodies import read_form, unknown_fields, unused_header, wrong_fields
from kani_text import foreign

T = TypeVar("T", bound=msgspec.Struct)
log = logging.getLogger(__name__)

MAX_RECORDING_S = 14_400.0
"""Seconds of one recording; its bytes are limited by a setting."""

MAX_JSON_FILE = 25 << 20
"""Bytes of a recording within JSON, which is parsed in memory."""

MAX_FIELDS = 1_100
MAX_FIELD_BYTES = 16 * 1024
FORM_BYTES = 2**20
"""Room for all other fields of a form, and for what divides them."""

MAX_JSON_VALUES = 10_000
MAX_FILES = 1  # of a form
_IN_MEMORY_BYTES = 64 * 1024
"""Bytes of an upload that stay in memory and need no thread; of other bodies as many are not counted."""

_INDEX = re.compile(r"\[\d*\]$")

_JsonValue = str | bool | int | float | list[str] | None


class FileTooLarge(InvalidRequest):
    """An audio file with more bytes than the limit."""


class _InputAudio(msgspec.Struct):
    data: Annotated[bytes, msgspec.Meta(min_length=1)]  # base64 in the message
    format: str = ""


class _Audio(msgspec.Struct):
    input_audio: _InputAudio


@dataclass(frozen=True, slots=True)
class AudioUpload:
    """An upload that is complete."""

    file: IO[bytes] | None  # at its start; None if the request has none
    fields: Mapping[str, tuple[str, ...]]  # by their names without brackets, in the order they came
    name: str = ""  # of the file, as the client has it

    def get(self, name: str) -> str | None:
        """Return the last value of a field; None if it is missing or empty, as forms leave fields empty."""
        return (self.fields.get(name) or ("",))[-1] or None

    def read(self, kind: type[T]) -> tuple[IO[bytes], T, dict[str, str]]:
        """Return the file, the fields, and the header that names those without effect.

        Raises InvalidRequest, also without a file.
        """
        if self.file is None:
            raise InvalidRequest("file", "is missing: send the recording as a form's file")
        given = (name for name, values in self.fields.items() if any(values))
        unused = unknown_fields(given, kind.__struct_fields__)
        return self.file, read_form(self.fields, kind), unused_header(unused)


@dataclass(eq=False)
class AudioUploads:
    """Receives the uploads of one protocol."""

    max_bytes: int  # of a file
    field_bytes: int = MAX_FIELD_BYTES  # of the longest field of a form
    form_bytes: int = FORM_BYTES  # of all that is not the file
    part: str = "file"  # name of the file in a form
    _decoding: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)

    @property
    def max_body(self) -> int:
        """Bytes of the longest body of a request."""
        return max(map(self._limit, (False, True)))

    def _limit(self, is_json: bool) -> int:
        """Bytes of the longest body that is a form, or JSON with the file in base64."""
        file = min(self.max_bytes, MAX_JSON_FILE) * 4 // 3 if is_json else self.max_bytes
        return file + self.form_bytes

    def _too_large(self, is_json: bool = False) -> FileTooLarge:
        limit = f"at most {self.max_bytes >> 20} MB, the server's KANI_MAX_UPLOAD"
        if is_json and self.max_bytes > MAX_JSON_FILE:
            limit = f"at most {MAX_JSON_FILE >> 20} MB in JSON; in a form {limit}"
        return FileTooLarge(self.part, f"too large ({limit})")

    @asynccontextmanager
    async def receive(self, request: Request, files: Budget) -> AsyncIterator[AudioUpload]:
        """Read the body of ``request``; its file is deleted at the end of the ``async with`` block.

        files: room on the disk for those of all requests. Raises InvalidRequest, with ``body`` for one
        that cannot be parsed, FileTooLarge and Busy.
        """
        content_type = request.headers.get("content-type", "").lower()
        is_json = content_type.startswith("application/json")
        if int(request.headers.get("content-length", 0)) > self._limit(is_json):
            raise self._too_large(is_json)  # before it is sent
        with files.share() as disk:
            if is_json:
                async with self._json(request, disk) as upload:
                    yield upload
            elif content_type.startswith("multipart/form-data"):
                async with self._form(request, disk) as upload:
                    yield upload
            else:
                raise InvalidRequest("body", "must be multipart/form-data with a file, or application/json")

    @asynccontextmanager
    async def _form(self, request: Request, disk: Share) -> AsyncIterator[AudioUpload]:
        parser = MultiPartParser(
            request.headers,
            _complete(self._bounded(request, disk, is_json=False)),
            max_files=MAX_FILES,
            max_fields=MAX_FIELDS,
            max_part_size=self.field_bytes,
        )
        parser.spool_max_size = _IN_MEMORY_BYTES
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise InvalidRequest("body", f"is no form that can be read: {error.message}") from error
        except OSError as error:
            raise _disk_error(error) from error
        try:
            yield self._upload(form)
        finally:
            await form.close()

    def _upload(self, form: FormData) -> AudioUpload:
        file: IO[bytes] | None = None
        fields: dict[str, tuple[str, ...]] = {}
        given = ""
        for name, value in form.multi_items():
            name = _INDEX.sub("", name)
            if not isinstance(value, UploadFile):
                fields[name] = (*fields.get(name, ()), value)
            elif name == self.part:
                file, given = value.file, value.filename or ""
                if (value.size or 0) > self.max_bytes:
                    raise self._too_large()
        if file is None and self.part in fields:
            raise InvalidRequest(self.part, "must be a file: a part of the form with a file name")
        return AudioUpload(file, fields, given)

    @asynccontextmanager
    async def _json(self, request: Request, disk: Share) -> AsyncIterator[AudioUpload]:
        # From disk, and one at a time: body and file together take 60 MB for the longest file.
        with _temporary_file() as raw, _temporary_file() as file:
            try:
                body = self._bounded(request, disk, is_json=True)
                fields = await self._read_json(body, disk, raw, file)
            except OSError as error:
                raise _disk_error(error) from error
            if file.seek(0, 2) > min(self.max_bytes, MAX_JSON_FILE):
                raise self._too_large(is_json=True)
            file.seek(0)
            yield AudioUpload(file, fields)

    async def _read_json(
        self, body: AsyncIterator[bytes], disk: Share, raw: IO[bytes], file: IO[bytes]
    ) -> dict[str, tuple[str, ...]]:
        """Write ``body`` to ``raw`` and its file to ``file``; returns the other fields."""
        async for piece in body:
            if disk.size <= _IN_MEMORY_BYTES:
                raw.write(piece)
            else:
                await asyncio.to_thread(raw.write, piece)
        if disk.size <= _IN_MEMORY_BYTES:
            return _decode_json(raw, file)
        async with self._decoding:
            return await asyncio.to_thread(_decode_json, raw, file)

    async def _bounded(self, request: Request, disk: Share, is_json: bool) -> AsyncGenerator[bytes, None]:
        """Yield the body of a request. Raises FileTooLarge, and Busy."""
        async for piece in request.stream():
            if disk.size + len(piece) > self._limit(is_json):
                raise self._too_large(is_json)
            disk.grow(len(piece))
            yield piece


async def _complete(form: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of ``form``. Raises InvalidRequest at the end of one without its last line.

    Starlette's parser takes such a form, and leaves its last file open.
    """
    tail = b""
    async for piece in form:
        tail = (tail + piece)[-8:]
        yield piece
    if not tail.rstrip(b"\r\n").endswith(b"--"):
        raise InvalidRequest("body", "is a form that was cut off")


def _disk_error(error: OSError) -> StoreUnavailable:
    log.error("writing an uploaded recording failed: %s", error)
    return StoreUnavailable("the recording could not be written on this server: its temporary folder is full")


def _temporary_file() -> tempfile.SpooledTemporaryFile[bytes]:
    return tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)


def _decode_json(raw: IO[bytes], file: IO[bytes]) -> dict[str, tuple[str, ...]]:
    """Write the file of a JSON body to ``file``, and return the other fields. Blocks."""
    raw.seek(0)
    body = raw.read()
    # Each value of a message takes memory, however short it is.
    if sum(map(body.count, (b"[", b"{", b","))) > MAX_JSON_VALUES:
        raise InvalidRequest("body", f"too many values (at most {MAX_JSON_VALUES})")
    try:
        file.write(foreign.decode_json(body, _Audio).input_audio.data)
        parts = foreign.decode_json(body, dict[str, msgspec.Raw])
    except foreign.Unreadable as error:
        if error.formed:
            raise wrong_fields(error, _Audio) from error
        raise InvalidRequest("body", f"is no JSON ({error.reason})") from error
    return {_INDEX.sub("", name): _texts(part) for name, part in parts.items() if name != "input_audio"}


def _texts(part: msgspec.Raw) -> tuple[str, ...]:
    """Return a JSON value as a form would hold it."""
    try:
        value: Any = foreign.guarded(lambda: msgspec.json.decode(part, type=_JsonValue))
    except foreign.Unreadable:
        # Objects, as of chunking_strategy, are fields of JSON in a form.
        return (bytes(part).decode("utf-8", "replace"),)
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return () if value is None else (str(value),)
