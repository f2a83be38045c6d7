"""Log files of the relay's utterances: the times of their characters, and their text.

Names and format are those of the original relay: ``alignment/alignment_TIME.json`` and
``outputs/output_TIME.txt``, the newest of each also as ``alignment.txt`` and ``output.txt``.
"""

import json
import logging
import re
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from kani_text.foreign.files import write_private

MAX_FILES = 1000
"""Files of each kind; the oldest are deleted."""

MAX_FILE_BYTES = 2 * 2**20
"""Bytes of one file; larger ones are not written."""

TIMESTAMP = "%Y%m%d_%H%M%S_%f"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SentUtterance:
    """The text of an utterance that was sent, and the times of its characters."""

    text: str = ""
    starts_ms: list[int] = field(default_factory=list)  # since the utterance began
    durations_ms: list[int] = field(default_factory=list)

    def add(self, characters: str, starts_ms: list[int], durations_ms: list[int]) -> None:
        self.text += characters
        self.starts_ms += starts_ms
        self.durations_ms += durations_ms


def alignment_json(sent: SentUtterance, timestamp: str) -> str:
    last = len(sent.text) - 1
    times = zip(sent.text, sent.starts_ms, sent.durations_ms, strict=True)
    content = {
        "timestamp": timestamp,
        "text": sent.text,
        "text_length": len(sent.text),
        "total_duration_ms": sent.starts_ms[last] + sent.durations_ms[last] if sent.text else 0,
        "char_count": len(sent.text),
        "characters": [
            {"index": index, "char": character, "start_ms": start, "duration_ms": duration}
            for index, (character, start, duration) in enumerate(times)
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


class _Folder:
    """The files of one kind. A name contains nothing but the kind and the time."""

    def __init__(self, path: Path, kind: str, suffix: str) -> None:
        self.path = path
        self._kind = kind
        self._suffix = suffix
        self._pattern = re.compile(rf"{kind}_\d{{8}}_\d{{6}}_\d{{6}}{re.escape(suffix)}")

    def write(self, timestamp: str, text: str) -> None:
        """Write a file, and delete the oldest beyond ``MAX_FILES``. Raises OSError."""
        # An unpaired surrogate becomes the escape that JSON has for it.
        content = text.encode("utf-8", "backslashreplace")
        if len(content) > MAX_FILE_BYTES:
            log.warning("%s of %d bytes not written (at most %d)", self._kind, len(content), MAX_FILE_BYTES)
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path / f"{self._kind}_{timestamp}{self._suffix}", content)
        # The newest is replaced as a whole, so that no reader finds a part of it.
        new = self.path / f"{self._kind}.new"
        write_private(new, content)
        new.replace(self.path / f"{self._kind}.txt")
        written = sorted(path for path in self.path.iterdir() if self._pattern.fullmatch(path.name))
        for path in written[:-MAX_FILES]:
            path.unlink(missing_ok=True)


class RelayLogs:
    """Writes two log files of each utterance."""

    def __init__(self, folder: Path) -> None:
        self._alignments = _Folder(folder / "alignment", "alignment", ".json")
        self._outputs = _Folder(folder / "outputs", "output", ".txt")
        self.folders = (self._alignments.path, self._outputs.path)
        self._lock = threading.Lock()
        self._last = datetime.fromtimestamp(0).astimezone()

    def write(self, sent: SentUtterance) -> None:
        """Write the files of an utterance. Blocks: call it in a thread.

        A disk error is logged as a warning, because speech does not depend on these files.
        """
        with self._lock:
            timestamp = self._timestamp()
            try:
                self._alignments.write(timestamp, alignment_json(sent, timestamp))
                self._outputs.write(timestamp, sent.text)
            except OSError as error:
                log.warning("writing the relay's log files failed: %s", error)

    def _timestamp(self) -> str:
        """Return the current time, at least a microsecond after the last one: names are unique."""
        self._last = max(datetime.now().astimezone(), self._last + timedelta(microseconds=1))
        return self._last.strftime(TIMESTAMP)
