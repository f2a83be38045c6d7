"""Files that clients name: which they may, and calls of the file system that end although it never answers.

A folder may lie on a network mount that hangs, and a file of /proc may never give a byte. So every such call
is made in a thread that nothing waits for, and is given up after a time.
"""

import asyncio
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from typing_extensions import override

from kani.runtime.cancelling import in_thread
from kani_text.foreign.files import open_below

ANSWER_S, WRITE_S = 10.0, 60.0
"""Longest waits: for the file system, and for each ``READ_BYTES`` of a file; until a file is written
(seconds)."""

READ_BYTES = 64 * 1024
MAX_NAME = 4096
MAX_ROOTS = 100

MAX_GIVEN_UP = 16
"""Calls that were given up and still hold their threads. Beyond it no file is touched."""

T = TypeVar("T")

_given_up = set[Future[Any]]()


class FileRefused(Exception):
    """A file that a client may not name, or that does not answer; ``str()`` says why."""


class Files:
    """The files that one client names, by its roots.

    own: folders that the operator named, or None for no such bound; roots outside of them do not count.
    addresses: the client's roots, or None for a client that knows no roots.
    """

    def __init__(self, own: Sequence[Path] | None, addresses: Sequence[str] | None) -> None:
        self._own, self._addresses = own, addresses

    async def find(self, name: str) -> Path:
        """Return the file that the client names, links followed. Raises FileRefused."""
        return (await _in_time(lambda: self._find(name), ANSWER_S))[0]

    async def read(self, name: str) -> BinaryIO:
        """Open a file for reading; each reading raises FileRefused where it takes too long, as this does."""
        file, size = await _in_time(lambda: self._open_to_read(name), ANSWER_S)
        return io.BufferedReader(_TimedReads(file, size), READ_BYTES)

    async def write(self, name: str, content: bytes) -> None:
        """Write a file. Raises FileRefused."""

        def write() -> None:
            with self._open(name, write=True) as file:
                file.write(content)

        await _in_time(write, WRITE_S)

    def _find(self, name: str) -> tuple[Path, Path]:
        """Return a file, and the folder below which it is."""
        return allowed(name, folders(self._addresses, self._own))

    def _open_to_read(self, name: str) -> tuple[BinaryIO, int]:
        """Open a file; return its size in bytes, too."""
        file = self._open(name)
        if not (size := os.fstat(file.fileno()).st_size):
            file.close()
            # So are the files of /proc and /sys, which may have nothing to read for ever.
            raise FileRefused(f"file: {shown(name)} is empty")
        return file, size

    def _open(self, name: str, *, write: bool = False) -> BinaryIO:
        path, folder = self._find(name)
        try:
            return open_below(folder, path.relative_to(folder).parts or (".",), write=write)
        except OSError as error:
            raise FileRefused(f"file: {shown(str(path))}: {error.strerror}") from error


def folders(addresses: Sequence[str] | None, own: Sequence[Path] | None = None) -> list[Path]:
    """Return the folders of roots, links followed; see ``Files``. Raises FileRefused where there are none."""
    if own is not None and not own:
        raise FileRefused("file: by HTTP files need a folder: kani-tts mcp --http --folder FOLDER")
    if addresses is None and own is not None:
        return [*own]
    if not addresses:
        raise FileRefused("file: this client names no folders (roots), so no file can be read or written")
    if len(addresses) > MAX_ROOTS:
        raise FileRefused(f"file: a client may name {MAX_ROOTS} folders (roots), not {len(addresses)}")
    roots = [*_local(addresses)]
    if not roots:
        raise FileRefused(
            f"file: the client's root {shown(addresses[0])} is no folder: file:///FOLDER is one"
        )
    if own is None:
        return roots
    if not (shared := _shared(roots, own)):
        raise FileRefused(f"file: the client's roots are outside of the folders of --folder: {_listed(own)}")
    return shared


def _shared(roots: Sequence[Path], own: Sequence[Path]) -> list[Path]:
    """Return the folders that are below one of both lists."""
    inside = [root for root in roots if any(root.is_relative_to(folder) for folder in own)]
    return inside + [folder for folder in own if any(folder.is_relative_to(root) for root in roots)]


def _local(addresses: Sequence[str]) -> Iterator[Path]:
    for address in addresses:
        try:
            parts = urlsplit(address)
            if parts.scheme == "file" and parts.netloc in ("", "localhost"):
                yield Path(url2pathname(parts.path)).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise FileRefused(f"file: the client's root {shown(address)} cannot be followed") from error


def allowed(name: str, roots: Sequence[Path]) -> tuple[Path, Path]:
    """Return the file that a client names, links followed, and its root; a relative name is below the first.

    Raises FileRefused.
    """
    if "\0" in name or len(name) > MAX_NAME:
        raise FileRefused(f"file: has to be a name of a file, {MAX_NAME} characters at most")
    try:
        path = (roots[0] / Path(name).expanduser()).resolve()
        is_odd = path.exists() and not path.is_file()
    except (OSError, RuntimeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise FileRefused(f"file: {shown(name)} cannot be followed: {reason}") from error
    found = next((root for root in roots if path.is_relative_to(root)), None)
    if found is None:
        raise FileRefused(
            f"file: {shown(name)} is outside of the folders that this client opens: {_listed(roots)}"
        )
    if is_odd:
        raise FileRefused(f"file: {shown(name)} is no file, but a folder, a pipe or a device")
    return path, found


def shown(name: str) -> str:
    """Return a name for a message: quoted, its middle left out where it is long."""
    return repr(name if len(name) <= 200 else f"{name[:100]}…{name[-20:]}")


def _listed(paths: Sequence[Path]) -> str:
    listed = ", ".join(map(str, paths))
    return listed if len(listed) <= 500 else f"{listed[:500]}…"


class _TimedReads(io.RawIOBase):
    """A file that is read with a time limit of ``ANSWER_S`` for each call; seeking makes no call."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._at = file, size, 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    @override
    def readinto(self, buffer: Any) -> int:
        def read() -> bytes:
            self._file.seek(self._at)
            # None where a file of the kernel has nothing now.
            return self._file.read(len(buffer)) or b""

        with _begun(read, ANSWER_S) as future:
            data = future.result(ANSWER_S)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    @override
    def close(self) -> None:
        if not self.closed:
            in_thread(self._file.close)
        super().close()


async def _in_time(call: Callable[[], T], seconds: float) -> T:
    """Await a call that may never end. Raises FileRefused where time is up, and what the call raises."""
    with _begun(call, seconds) as future:
        return await asyncio.wait_for(asyncio.wrap_future(future), seconds)


@contextmanager
def _begun(call: Callable[[], T], seconds: float) -> Iterator[Future[T]]:
    if len(_given_up) >= MAX_GIVEN_UP:
        raise FileRefused(f"file: {MAX_GIVEN_UP} calls of the file system have not returned, so none is made")
    future = in_thread(call)
    try:
        yield future
    except TimeoutError:
        raise FileRefused(f"file: no answer in {seconds:g} s, as of a network mount that hangs") from None
    finally:
        if not future.done():
            _given_up.add(future)
            future.add_done_callback(_given_up.discard)
