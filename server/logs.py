"""Where the log goes: the terminal and a rotating file, as lines of text or of JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from speech import request_ids

FILE_BYTES = 10 * 1000 * 1000
FILES_KEPT = 5
TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
TEXT_OF_REQUEST = "%(asctime)s %(levelname)-7s %(name)s: [%(request)s] %(message)s"

NAME_PEERS = ("uvicorn", "uvicorn.error", "websockets", "websockets.client", "websockets.server")
NAME_DATA = ("httpcore", "httpx", "multipart", "python_multipart")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, message.

    Besides, where there is one: request (whose work it was), exception, and the fields of a record's
    ``facts``, which are the message's figures one by one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write ``record`` as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        if request := getattr(record, "request", ""):
            line["request"] = request
        line["message"] = record.getMessage()
        facts = getattr(record, "facts", None)
        if isinstance(facts, Mapping):
            line |= {name: fact for name, fact in facts.items() if name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, whose work it was in brackets, message; then the exception."""

    def __init__(self) -> None:
        super().__init__(TEXT)
        self._of_request = logging.Formatter(TEXT_OF_REQUEST)

    def format(self, record: logging.LogRecord) -> str:
        """Write ``record``."""
        return self._of_request.format(record) if getattr(record, "request", "") else super().format(record)


def _name_request(record: logging.LogRecord) -> bool:
    """Write on a record whose work it is about, as the task or thread that logs it knows, or it says."""
    record.request = getattr(record, "request", "") or request_ids.current()
    return True


def _fit(record: logging.LogRecord) -> bool:
    """Whether one of uvicorn's lines is worth it; what a client did wrong is cut to one line."""
    if record.msg == "Invalid UTF-8 sequence received from client.":
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    nothing_cancelled = record.args == (0,) and str(record.msg).startswith("Cancel %s running task(s)")
    return not nothing_cancelled


def configure(level: str, style: str, file: Path, *, log_texts: bool = False) -> None:
    """Send the log to the terminal (stderr) and to ``file``, replacing what was configured before.

    style: "text" or "json"; texts: log what clients want said, too. A file that cannot be written
    costs one warning, not the server.
    """
    # Brings numpy along, which --help need not wait for.
    from speech.session.report import TEXT_LOG

    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    problem = None
    try:
        handlers.append(
            RotatingFileHandler(
                file,
                maxBytes=FILE_BYTES,
                backupCount=FILES_KEPT,
                encoding="utf-8",
                errors="backslashreplace",
            )
        )
    except OSError as error:
        problem = error
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
        handler.addFilter(_name_request)
    logging.basicConfig(level=level, handlers=handlers, force=True)
    # The first name each connection with its query, and so with its key; the others what was sent.
    for chatty in (*NAME_PEERS, *NAME_DATA):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.filters = [_fit]
    TEXT_LOG.disabled = not log_texts
    if problem is not None:
        logging.getLogger("server").warning(
            "no log file: %s (%s); KANI_LOG_FILE names another", file, problem.strerror
        )
