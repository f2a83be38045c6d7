"""Builds the cached files of the int8 decoder (kernels, packed weights) in a child process."""

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
_REQUIRED = ("torch", "numba")
_LIBRARIES = (*_REQUIRED, "llvmlite", "numpy")
_FOLDER = Path(__file__).parent
_MARKERS = "kokoro-fast-*.prepared"

logger = logging.getLogger(__name__)


class DecoderBuild:
    """Fills a cache folder with compiled kernels and packed weights, once for each machine and version."""

    def __init__(self, cache_dir: Path, cores: int) -> None:
        """cores: number of processes that may run at once."""
        self.folder = cache_dir
        """``cache_dir``; after ``run`` a temporary folder where that cannot be written."""
        self._temporary: TemporaryDirectory[str] | None = None
        self._cores = cores
        self._lock = Lock()
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_done(self) -> bool:
        """True if the folder has a complete build by this version and these libraries for this processor."""
        return self._marker.exists()

    @property
    def is_needed(self) -> bool:
        """True if ``run`` would build: there is no earlier build, and its libraries are installed."""
        return not self.is_done and _missing() is None

    def run(self, load_part: Callable[[str], bytes], *, low_priority: bool) -> None:
        """Build in a child process, unless that is done; blocks for some 20 s, longer with low_priority.

        load_part: loads a part of the graph by its name; low_priority: use only idle processor
        time. Raises EngineUnavailable, with the reason alone, where this machine cannot run the int8 decoder;
        Stopped; and what ``load_part`` raises.
        """
        if missing := _missing():
            raise EngineUnavailable(
                f"{missing} cannot be imported; pip install -r requirements.txt brings it"
            )
        if self.is_done:
            return
        self._choose_folder()
        logger.info(
            "Kokoro: preparing the fast decoder (first start only): about half a minute%s",
            " of idle processor time" if low_priority else "",
        )
        code, last_line = self._run_child(load_part, low_priority)
        if self._stopped:
            raise Stopped
        if code == EXIT_UNAVAILABLE:
            raise EngineUnavailable(last_line)
        if code:
            raise EngineUnavailable(f"its build process exited with {code} ({last_line})")
        for other in self.folder.glob(_MARKERS):
            other.unlink(missing_ok=True)
        self._marker.touch()

    def stop(self) -> None:
        """Kill the child process and its children: ``run`` raises Stopped."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is None or process.poll() is not None:
            return
        if sys.platform == "win32":
            process.kill()
            return
        # It may have exited meanwhile.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Remove the temporary folder; the loaded decoder does not need it."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _choose_folder(self) -> None:
        """Replace the cache folder by a temporary one if it is not writable. Raises EngineUnavailable."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.folder):
                return
        except OSError as error:
            logger.warning(
                "the cache folder cannot be written (%s): the fast decoder is built at each start",
                error.strerror,
            )
        try:
            self._temporary = TemporaryDirectory(prefix="kokoro-")
        except OSError as error:
            raise EngineUnavailable(f"no folder for its files is writable ({error.strerror})") from error
        self.folder = Path(self._temporary.name)

    def _run_child(self, load_part: Callable[[str], bytes], low_priority: bool) -> tuple[int, str]:
        """Run the child; returns its exit code and last line of standard error.

        Raises Stopped, and what ``load_part`` raises.
        """
        with TemporaryFile() as errors, self._start_child(low_priority, errors) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                write_parts(load_part, process.stdin)
            except BrokenPipeError:
                # The child has exited; its standard error says why. Unwritten data is dropped.
                with suppress(BrokenPipeError):
                    process.stdin.close()
            except BaseException:
                process.kill()
                raise
            for line in process.stdout:
                logger.info("Kokoro: the fast decoder's %s", line.decode(errors="replace").strip())
            code = process.wait()
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
        return code, (lines or ["no reason given"])[-1]

    def _start_child(self, low_priority: bool, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Raises Stopped."""
        command = [sys.executable, "-m", _MODULE, os.fspath(self.folder.resolve()), str(self._cores)]
        with self._lock:
            if self._stopped:
                raise Stopped
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [*command, "--low-priority"] if low_priority else command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=PROJECT_ROOT,
                # A process group that can be killed as one, and that a terminal's Ctrl+C does not reach.
                start_new_session=True,
                creationflags=_creation_flags(low_priority),
            )
            return self._process

    @property
    def _marker(self) -> Path:
        """Marker file, written when the build is complete; its name is the cache key."""
        return self.folder / _MARKERS.replace("*", _cache_key())


def _creation_flags(low_priority: bool) -> int:
    """Priority class of the child on Windows; elsewhere the child lowers its own priority."""
    if sys.platform == "win32":
        return subprocess.IDLE_PRIORITY_CLASS if low_priority else 0
    return 0


def _missing() -> str | None:
    """Name of the first required library that is not installed."""
    return next((library for library in _REQUIRED if find_spec(library) is None), None)


def _cache_key() -> str:
    """Hash of everything the kernels and weights depend on: our modules, the libraries, the processor."""
    files = sorted([*_FOLDER.rglob("*.py"), *(_FOLDER / "data").iterdir()])
    # Numba, too, compares a file's time and size instead of its content.
    stats = [(file.name, status.st_mtime_ns, status.st_size) for file in files for status in [file.stat()]]
    key = (stats, [_version(library) for library in _LIBRARIES], sys.version, _processor())
    return hashlib.sha256(repr(key).encode()).hexdigest()[:16]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """Name and instruction sets of the processor, where the system provides them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
