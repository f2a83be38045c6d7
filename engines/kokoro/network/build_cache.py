"""Archives that a process of its own makes of the model once, kept in the cache folder."""

from __future__ import annotations

import hashlib
import io
import logging
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

PROJECT_ROOT = Path(__file__).parents[3]
# A flipped byte may be read as a damaged sum, as an encryption, or as a compression that nobody knows.
_BROKEN = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


class BuildFailed(Exception):
    """The process failed; its last words are the message."""


@dataclass(frozen=True, slots=True)
class BuildCache:
    """One sort of archive, a zip file.

    name: what its file's name begins with; module: makes it from standard input to standard output, given
    ``arguments``; sources: files that decide what is made, beside the module itself; making: what the log
    says about it; unwritable: and what it means that the cache folder cannot be written.
    """

    name: str
    module: str
    activity: str
    unwritable_effect: str
    sources: Sequence[Path] = ()
    arguments: Sequence[str] = ()

    def load(self, given: bytes, cache_dir: Path) -> zipfile.ZipFile:
        """The archive made of ``given``, whole: found in ``cache_dir``, or made now and written there.

        It lies there under a name that says what it was made of; where that cannot be written it is kept in
        memory. Raises NotMade.
        """
        path = cache_dir / f"{self.name}-{self._key(given)[:32]}.zip"
        return self._opened(path) or self._made(given, path)

    def _key(self, given: bytes) -> str:
        module = PROJECT_ROOT.joinpath(*self.module.split(".")).with_suffix(".py")
        parts = (
            given,
            *(path.read_bytes() for path in (module, *self.sources)),
            repr(self.arguments).encode(),
        )
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def _made(self, given: bytes, path: Path) -> zipfile.ZipFile:
        # Not needed by a server that finds its archives.
        from filelock import FileLock

        made = b""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A second server that starts meanwhile waits, and then finds the file.
            with FileLock(path.with_name(f"{self.name}.lock")):
                archive = self._opened(path)
                if archive is None:
                    made = self._make(given)
                    self._write(made, path)
                    archive = self._opened(path)
        except OSError as error:
            logger.warning(
                "the cache folder cannot be written (%s): %s", error.strerror, self.unwritable_effect
            )
            archive = None
        return archive or zipfile.ZipFile(io.BytesIO(made or self._make(given)))

    def _opened(self, path: Path) -> zipfile.ZipFile | None:
        """The archive at ``path`` if it is there and whole; a broken one is taken away."""
        try:
            with ExitStack() as opened:
                # Open for as long as it is used: whatever happens to the cache, the parts stay readable.
                archive = opened.enter_context(zipfile.ZipFile(path))
                if archive.testzip() is None:
                    opened.pop_all()
                    return archive
        except FileNotFoundError:
            return None
        except _BROKEN:
            pass
        logger.warning("%s in the cache is broken and is made anew", path.name)
        with suppress(OSError):
            path.unlink()
        return None

    def _write(self, made: bytes, path: Path) -> None:
        """Put the archive where it belongs, whole or not at all, and clear away what it replaces."""
        partial = path.with_suffix(".partial")
        partial.write_bytes(made)
        partial.replace(path)
        for other in path.parent.glob(f"{self.name}-*"):
            if other != path:
                # In use by somebody on a system that does not let go of it: the next time, then.
                with suppress(OSError):
                    other.unlink()

    def _make(self, given: bytes) -> bytes:
        logger.info("Kokoro: %s, this once", self.activity)
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", self.module, *self.arguments],
            input=given,
            capture_output=True,
            cwd=PROJECT_ROOT,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise BuildFailed((lines or ["no reason given"])[-1])
        return done.stdout
