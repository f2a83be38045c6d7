"""Files of what the relay said: the times of its characters, and its text.

Their names and their format are those of the relay's own logs: ``alignment/alignment_TIME.json`` and
``outputs/output_TIME.txt``, the newest of each also as ``alignment.txt`` and ``output.txt``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

MAX_FILES = 1000
"""Of each kind; the oldest make room."""

MAX_FILE_BYTES = 2 * 2**20
"""Of one file; what would be longer is not kept."""

TIMESTAMP = "%Y%m%d_%H%M%S_%f"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SentUtterance:
    """An utterance as it was sent: its text, and the milliseconds of each character since it began."""

    text: str = ""
    starts_ms: list[int] = field(default_factory=list)
    durations_ms: list[int] = field(default_factory=list)

    def add(self, characters: str, starts_ms: list[int], durations_ms: list[int]) -> None:
        """Some more of it was sent."""
        self.text += characters
        self.starts_ms += starts_ms
        self.durations_ms += durations_ms


def alignment_json(said: SentUtterance, timestamp: str) -> str:
    """An alignment file's text."""
    last = len(said.text) - 1
    times = zip(said.text, said.starts_ms, said.durations_ms, strict=True)
    content = {
        "timestamp": timestamp,
        "text": said.text,
        "text_length": len(said.text),
        "total_duration_ms": said.starts_ms[last] + said.durations_ms[last] if said.text else 0,
        "char_count": len(said.text),
        "characters": [
            {"index": index, "char": character, "start_ms": start, "duration_ms": duration}
            for index, (character, start, duration) in enumerate(times)
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


class _Folder:
    """One kind of file. A name is made of the time alone."""

    def __init__(self, path: Path, kind: str, suffix: str) -> None:
        self._path = path
        self._kind = kind
        self._suffix = suffix
        self._own = re.compile(rf"{kind}_\d{{8}}_\d{{6}}_\d{{6}}{re.escape(suffix)}")

    def path(self, timestamp: str) -> Path:
        return self._path / f"{self._kind}_{timestamp}{self._suffix}"

    def keep(self, timestamp: str, text: str) -> None:
        """Write a file. Raises OSError."""
        # In JSON this is the very escape that half a surrogate pair has there.
        content = text.encode("utf-8", "backslashreplace")
        if len(content) > MAX_FILE_BYTES:
            log.warning("%s of %d bytes is not kept (at most %d)", self._kind, len(content), MAX_FILE_BYTES)
            return
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self.path(timestamp), content)
        # Whoever reads the newest never finds half of it.
        new = self._path / f"{self._kind}.new"
        _write(new, content)
        new.replace(self._path / f"{self._kind}.txt")
        kept = sorted(path for path in self._path.iterdir() if self._own.fullmatch(path.name))
        for path in kept[:-MAX_FILES]:
            path.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Write a file that nobody else on this machine can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


class RelayLogs:
    """Keeps what was said. alignment, outputs: which of the two kinds of files."""

    def __init__(self, folder: Path, *, alignment: bool, outputs: bool) -> None:
        self._alignments = _Folder(folder / "alignment", "alignment", ".json") if alignment else None
        self._outputs = _Folder(folder / "outputs", "output", ".txt") if outputs else None
        self._writing = threading.Lock()
        self._last = datetime.fromtimestamp(0).astimezone()

    @property
    def enabled(self) -> bool:
        """Whether anything is kept."""
        return self._alignments is not None or self._outputs is not None

    def write(self, said: SentUtterance) -> None:
        """Write what is wanted of an utterance; blocks, so call it in a thread.

        A disk that takes it not is complained of in the log: speech does not depend on it.
        """
        with self._writing:
            timestamp = self._timestamp()
            try:
                if self._alignments is not None:
                    self._alignments.keep(timestamp, alignment_json(said, timestamp))
                if self._outputs is not None:
                    self._outputs.keep(timestamp, said.text)
            except OSError as error:
                log.warning("what the relay said cannot be kept: %s", error)

    def _timestamp(self) -> str:
        """Now, or a microsecond behind the last, so that no two are the same."""
        self._last = max(datetime.now().astimezone(), self._last + timedelta(microseconds=1))
        return self._last.strftime(TIMESTAMP)
