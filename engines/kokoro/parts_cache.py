"""The network's parts as a file in the cache: cut once, and again where it is broken or missing."""

from __future__ import annotations

import hashlib
import io
import logging
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from speech.errors import EngineUnavailable

logger = logging.getLogger(__name__)

_SURGERY = "graph_surgery"
_PREFIX = "kokoro-parts-"
# A flipped byte may be read as a damaged sum, as an encryption, or as a compression that nobody knows.
_BROKEN = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def load(model: bytes, cache_dir: Path) -> Callable[[str], bytes]:
    """A function that gives a part of the published graph by its name (``graph_surgery``).

    model: the verified file. The parts lie in ``cache_dir`` under a name that says which file and
    which code they were made from; making them takes some 2 s. Where the cache cannot be written
    they are made at each start. Raises EngineUnavailable where they cannot be made.
    """
    code = Path(__file__).with_name(f"{_SURGERY}.py").read_bytes()
    key = hashlib.sha256(hashlib.sha256(model).digest() + hashlib.sha256(code).digest()).hexdigest()
    path = cache_dir / f"{_PREFIX}{key[:32]}.zip"
    archive = _opened(path) or _made(model, path)
    return lambda name: archive.read(f"{name}.onnx")


def _made(model: bytes, path: Path) -> zipfile.ZipFile:
    """The archive, made now and written to ``path``, or kept in memory where that cannot be."""
    # Not needed by a server that finds its parts.
    from filelock import FileLock

    parts = b""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A second server that starts meanwhile waits, and then finds the file.
        with FileLock(path.with_name("kokoro-parts.lock")):
            archive = _opened(path)
            if archive is None:
                parts = _cut(model)
                _write(parts, path)
                archive = _opened(path)
    except OSError as error:
        logger.warning(
            "the cache folder cannot be written (%s): Kokoro starts 2 s later each time", error.strerror
        )
        archive = None
    return archive or zipfile.ZipFile(io.BytesIO(parts or _cut(model)))


def _opened(path: Path) -> zipfile.ZipFile | None:
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


def _write(parts: bytes, path: Path) -> None:
    """Put the archive where it belongs, whole or not at all, and clear away what it replaces."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(parts)
    partial.replace(path)
    for other in path.parent.glob(f"{_PREFIX}*"):
        if other != path:
            # In use by somebody on a system that does not let go of it: the next time, then.
            with suppress(OSError):
                other.unlink()


def _cut(model: bytes) -> bytes:
    logger.info("Kokoro: cutting the network into parts, this once")
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", f"engines.kokoro.{_SURGERY}"],
        input=model,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise EngineUnavailable(
            f"Kokoro's network could not be cut into parts ({reason}): install what requirements.txt names, "
            "or set KANI_KOKORO_DECODING=whole"
        )
    return done.stdout
