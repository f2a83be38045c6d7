"""Build cache: zip archives derived from a model by a child process and kept in the cache folder."""

from __future__ import annotations

import hashlib
import io
import logging
import subprocess
import threading
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from kani.runtime.child_process import python_command
from kani.runtime.extras import FOLDER

logger = logging.getLogger(__name__)

# A flipped byte may look like a wrong checksum, an encrypted entry or an unknown compression method.
_BROKEN = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


class BuildFailed(Exception):
    """The child process failed; its last line of standard error is the message."""


class ChildProcess:
    """The program that builds an archive, so that another thread can end it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.ended = False
        """True after ``end``."""

    def end(self) -> None:
        """Kill the program, and each one that is started later: its archive fails."""
        with self._lock:
            self.ended = True
            if self._process is not None:
                self._process.kill()

    def run(self, command: Sequence[str], given: bytes) -> tuple[int, bytes, bytes]:
        """Run a command; returns its exit status, its output and its errors."""
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:  # noqa: S603 - our own
            with self._lock:
                self._process = process
                if self.ended:
                    process.kill()
            output, errors = process.communicate(given)
            with self._lock:
                self._process = None
        return process.returncode, output, errors


@dataclass(frozen=True, slots=True)
class BuildCache:
    """One kind of archive."""

    name: str  # the file's name begins with it
    module: str  # builds the archive: input on standard input, zip file on standard output
    activity: str  # for the log
    unwritable_effect: str  # consequence of a cache folder that cannot be written, for the log
    takes: str = "some seconds"  # time that it takes, for the log
    replaces: Sequence[str] = ()  # names of the archives that this one makes useless
    sources: Sequence[Path] = ()  # files, besides the module's, that the result depends on
    arguments: Sequence[str] = ()  # of the module's command line
    child: ChildProcess | None = None  # runs the module

    def load(self, source: bytes, cache_dir: Path) -> zipfile.ZipFile:
        """Like ``load_known``, for a source that is in memory."""
        return self.load_known(hashlib.sha256(source).hexdigest(), lambda: source, cache_dir)

    def load_known(self, sha256: str, read: Callable[[], bytes], cache_dir: Path) -> zipfile.ZipFile:
        """Open the archive built from a source: from ``cache_dir``, or built now and written there.

        sha256: of the source, in hexadecimal; read: reads it, only where it is needed. The file's name
        contains a hash of the source and the files that the result depends on. If the folder cannot be
        written, the archive is kept in memory. Raises BuildFailed, and what ``read`` raises.
        """
        return self.cached(sha256, cache_dir) or self._build(read, self._path(sha256, cache_dir))

    def cached(self, sha256: str, cache_dir: Path) -> zipfile.ZipFile | None:
        """Open the archive built from a source if it is in ``cache_dir``."""
        return self._opened(self._path(sha256, cache_dir))

    def _path(self, sha256: str, cache_dir: Path) -> Path:
        return cache_dir / f"{self.name}-{self._key(sha256)[:32]}.zip"

    def _key(self, sha256: str) -> str:
        module = FOLDER.joinpath(*self.module.split(".")).with_suffix(".py")
        parts = (
            sha256.encode(),
            *(path.read_bytes() for path in (module, *self.sources)),
            repr(self.arguments).encode(),
        )
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def _build(self, read: Callable[[], bytes], path: Path) -> zipfile.ZipFile:
        # Imported here: a server that finds its archives does not need it.
        from filelock import FileLock

        content = b""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A second server that starts meanwhile waits here, and then finds the file.
            with FileLock(path.with_name(f"{self.name}.lock")):
                archive = self._opened(path)
                if archive is None:
                    content = self._run(read())
                    self._write(content, path)
                    archive = self._opened(path)
        except OSError as error:
            logger.warning(
                "the cache folder cannot be written (%s): %s", error.strerror, self.unwritable_effect
            )
            archive = None
        return archive or zipfile.ZipFile(io.BytesIO(content or self._run(read())))

    def _opened(self, path: Path) -> zipfile.ZipFile | None:
        """Open the archive at ``path`` if it exists and is intact; delete a broken one."""
        try:
            with ExitStack() as opened:
                # Stays open while it is used: clearing the cache does not affect a running server.
                archive = opened.enter_context(zipfile.ZipFile(path))
                if archive.testzip() is None:
                    opened.pop_all()
                    return archive
        except FileNotFoundError:
            return None
        except _BROKEN:
            pass
        logger.warning("%s in the cache is broken and is built again", path.name)
        with suppress(OSError):
            path.unlink()
        return None

    def _write(self, content: bytes, path: Path) -> None:
        """Write the archive atomically and delete those of other versions.

        A server that has one of them open keeps it: Windows does not delete such a file, and elsewhere its
        content stays until it is closed.
        """
        partial = path.with_suffix(".partial")
        try:
            partial.write_bytes(content)
            partial.replace(path)
        except OSError:
            # On a full disk the part that was written would stay.
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        for name in (self.name, *self.replaces):
            # Those that are being made, for which this holds no lock, have another ending.
            for other in path.parent.glob(f"{name}-*{path.suffix}"):
                if other != path:
                    with suppress(OSError):
                        other.unlink()

    def _run(self, source: bytes) -> bytes:
        logger.info("%s (first start only, %s)", self.activity, self.takes)
        command = python_command(self.module, *self.arguments)
        status, output, errors = (self.child or ChildProcess()).run(command, source)
        if status:
            lines = errors.decode(errors="replace").strip().splitlines()
            raise BuildFailed((lines or ["no reason given"])[-1])
        return output
