"""Whether the cache folder has what the fast decoder is loaded from, and the process that makes it."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Lock
from typing import IO

from engines.kokoro.int8.build import EXIT_UNAVAILABLE, write_parts
from engines.kokoro.network.build_cache import PROJECT_ROOT
from engines.kokoro.network.onnx_model import Stopped
from speech.errors import EngineUnavailable

_MODULE = "engines.kokoro.int8.build"
_IMPORTED = ("torch", "numba")
_LIBRARIES = (*_IMPORTED, "llvmlite", "numpy")
_FOLDER = Path(__file__).parent
_MARKS = "kokoro-fast-*.prepared"

_OF = {False: "", True: " of processor time that nothing else asks for"}

logger = logging.getLogger(__name__)


class DecoderBuild:
    """Fills a folder with compiled kernels and packed weights, once for this machine and this version."""

    def __init__(self, cache_dir: Path, cores: int) -> None:
        """cache_dir: where they are kept; cores: processes at a time."""
        self.folder = cache_dir
        """Where they are: ``cache_dir``, or after ``run`` another where that cannot be written."""
        self._temporary: TemporaryDirectory[str] | None = None
        self._cores = cores
        self._lock = Lock()
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was finished before, by this version and its libraries, on a processor like this one."""
        return self._mark.exists()

    @property
    def is_needed(self) -> bool:
        """Whether ``run`` takes more than an instant: it is not done yet, and its libraries are installed."""
        return not self.is_done and _missing() is None

    def run(self, part: Callable[[str], bytes], *, low_priority: bool) -> None:
        """Prepare in a process of its own, unless that is done; blocks for some 20 s, more with yielding.

        part: gives a part of the graph by its name (``graph_surgery``); yielding: use only the processor time
        that nothing else asks for. Raises EngineUnavailable, with the reason alone, where the fast decoder
        cannot speak here; Stopped; and what ``part`` raises.
        """
        if missing := _missing():
            raise EngineUnavailable(f"{missing} cannot be imported")
        if self.is_done:
            return
        self._find_room()
        logger.info("Kokoro: preparing the fast decoder, this once: about half a minute%s", _OF[low_priority])
        code, words = self._prepared(part, low_priority)
        if self._stopped:
            raise Stopped
        if code == EXIT_UNAVAILABLE:
            raise EngineUnavailable(words)
        if code:
            raise EngineUnavailable(f"the process that prepares it ended with {code} ({words})")
        for other in self.folder.glob(_MARKS):
            other.unlink(missing_ok=True)
        self._mark.touch()

    def stop(self) -> None:
        """End the process, and those that it started: ``run`` raises Stopped."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is None or process.poll() is not None:
            return
        if sys.platform == "win32":
            process.kill()
            return
        # It may have ended by itself just now.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Take away what is of no use once the decoder is loaded."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _find_room(self) -> None:
        """Raises EngineUnavailable."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.folder):
                return
        except OSError as error:
            logger.warning(
                "the cache folder cannot be written (%s): the fast decoder is prepared at each start",
                error.strerror,
            )
        try:
            self._temporary = TemporaryDirectory(prefix="kokoro-")
        except OSError as error:
            raise EngineUnavailable(f"there is no room to prepare it ({error.strerror})") from error
        self.folder = Path(self._temporary.name)

    def _prepared(self, part: Callable[[str], bytes], yielding: bool) -> tuple[int, str]:
        """Run the process to its end: its exit code and its last words. Raises Stopped, and as ``part``."""
        with TemporaryFile() as complaints, self._started(yielding, complaints) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                write_parts(part, process.stdin)
            except BrokenPipeError:
                # It has ended, and its own words say why. What is not written yet is given up.
                with suppress(BrokenPipeError):
                    process.stdin.close()
            except BaseException:
                process.kill()
                raise
            for line in process.stdout:
                logger.info("Kokoro: the fast decoder's %s", line.decode(errors="replace").strip())
            code = process.wait()
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines()
        return code, (lines or ["no reason given"])[-1]

    def _started(self, yielding: bool, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        """Raises Stopped."""
        command = [sys.executable, "-m", _MODULE, os.fspath(self.folder.resolve()), str(self._cores)]
        with self._lock:
            if self._stopped:
                raise Stopped
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [*command, "--yielding"] if yielding else command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                cwd=PROJECT_ROOT,
                # A group that can be ended as one, and that a terminal's Ctrl+C does not reach.
                start_new_session=True,
                creationflags=_flags(yielding),
            )
            return self._process

    @property
    def _mark(self) -> Path:
        """A file that is there once all is, under a name that says for what it was made."""
        return self.folder / _MARKS.replace("*", _key())


def _flags(yielding: bool) -> int:
    """Windows' way to say that a process yields; elsewhere it says so itself."""
    if sys.platform == "win32":
        return subprocess.IDLE_PRIORITY_CLASS if yielding else 0
    return 0


def _missing() -> str | None:
    """The library that is not installed."""
    return next((library for library in _IMPORTED if find_spec(library) is None), None)


def _key() -> str:
    """What the kernels and the weights depend on: our modules, the libraries, the processor."""
    files = sorted([*_FOLDER.rglob("*.py"), *(_FOLDER / "data").iterdir()])
    # Numba, too, looks at a file's time and size, not into it.
    facts = [(file.name, status.st_mtime_ns, status.st_size) for file in files for status in [file.stat()]]
    told = (facts, [_version(library) for library in _LIBRARIES], sys.version, _processor())
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's name and its instruction sets, where the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
