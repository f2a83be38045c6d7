"""Logging to the terminal and to a rotating file, as lines of text or JSON."""

import errno
import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path

from kani.core import request_ids
from kani_text.foreign import log_value

FILE_BYTES = 10 * 1000 * 1000
FILES_KEPT = 5
TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
TEXT_OF_REQUEST = "%(asctime)s %(levelname)-7s %(name)s: [%(request)s] %(message)s"

KEY_LOGGERS = ("uvicorn", "uvicorn.error", "websockets", "websockets.client", "websockets.server")
PAYLOAD_LOGGERS = ("aioice", "httpcore2", "httpx2", "multipart", "python_multipart")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time (ISO 8601, UTC), level, logger, message.

    Further fields, where there are any: request (id), exception, and the record's ``facts``, which hold the
    values of the message one by one.
    """

    def format(self, record: logging.LogRecord) -> str:
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
    """Formats a record as time, level, logger, request id in brackets, and message; the exception follows."""

    def __init__(self) -> None:
        super().__init__(TEXT)
        self._of_request = logging.Formatter(TEXT_OF_REQUEST)

    def format(self, record: logging.LogRecord) -> str:
        text = self._of_request.format(record) if getattr(record, "request", "") else super().format(record)
        return text if text.isascii() and text.isprintable() else log_value(text)


def follow_file() -> None:
    """Write the file that another process rotates by ``rotate_file``, and rotate it here no more."""
    logger = logging.getLogger()
    for old in [each for each in logger.handlers if isinstance(each, RotatingFileHandler)]:
        new = WatchedFileHandler(old.baseFilename, encoding="utf-8", errors="backslashreplace")
        new.setFormatter(old.formatter)
        new.addFilter(_name_request)
        logger.removeHandler(old)
        old.close()
        logger.addHandler(new)


def rotate_file() -> None:
    """Rotate the log's file if it is full and can be, as a record of this process would."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RotatingFileHandler):
            with suppress(OSError):
                if Path(handler.baseFilename).stat().st_size >= FILE_BYTES:
                    handler.doRollover()


def _name_request(record: logging.LogRecord) -> bool:
    """Add the request id to a record, unless it has one: that of the task or thread that logs it."""
    record.request = getattr(record, "request", "") or request_ids.current()
    return True


def _tidy_uvicorn(record: logging.LogRecord) -> bool:
    """Filter uvicorn's records: a client's mistake is one warning, the cancellation of no task is dropped."""
    if record.msg == "Invalid UTF-8 sequence received from client.":
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    nothing_cancelled = record.args == (0,) and str(record.msg).startswith("Cancel %s running task(s)")
    return not nothing_cancelled


def configure(level: str, style: str, file: Path | None, *, log_texts: bool = False) -> Path | None:
    """Log to the terminal (stderr) and to ``file``, if there is one, replacing any earlier configuration.

    style: "text" or "json"; log_texts: also log the texts of requests. Returns the file that is written: one
    that cannot be is a warning, not an error.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    problem = None
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.is_fifo():
                raise OSError(errno.EINVAL, "to write to a pipe may wait for its reader")
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
    # The first group logs each connection with its query, and so with its key; the second logs payloads.
    for chatty in (*KEY_LOGGERS, *PAYLOAD_LOGGERS):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.filters = [_tidy_uvicorn]
    request_ids.log_texts = log_texts
    if problem is not None:
        logging.getLogger("server").warning(
            "no log file: %s (%s); KANI_LOG_FILE names another", file, problem.strerror
        )
        return None
    return file
