"""Where the log goes: the terminal and a rotating file, as lines of text or of JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

FILE_BYTES = 10 * 1000 * 1000
FILES_KEPT = 5
TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, message, and exception if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Write ``record`` as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _fit(record: logging.LogRecord) -> bool:
    """Whether one of uvicorn's lines is worth it; what a client did wrong is cut to one line."""
    if record.msg == "Invalid UTF-8 sequence received from client.":
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    nothing_cancelled = record.args == (0,) and str(record.msg).startswith("Cancel %s running task(s)")
    return not nothing_cancelled


def configure(level: str, style: str, file: Path) -> None:
    """Send the log to the terminal (stderr) and to ``file``, replacing what was configured before.

    style: "text" or "json". A file that cannot be written costs one warning, not the server.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    problem = None
    try:
        handlers.append(
            RotatingFileHandler(file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
        )
    except OSError as error:
        problem = error
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if style == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=level, handlers=handlers, force=True)
    # uvicorn and websockets name each connection with its query, and so with its key.
    for chatty in ("uvicorn", "uvicorn.error", "websockets", "multipart", "python_multipart"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.filters = [_fit]
    if problem is not None:
        logging.getLogger("server").warning(
            "no log file: %s (%s); KANI_LOG_FILE names another", file, problem.strerror
        )
