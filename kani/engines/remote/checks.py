"""Checks of what a worker sends: a wrong worker ends its own connection, and nothing else of the server.

msgspec has checked the types. These are the values that the core relies on.
"""

import math
import re
from collections.abc import Iterable

import numpy as np

from kani.core.transcriber import TranscribedSegment
from kani.core.types import MAX_EMBEDDING_VALUES
from kani.engines.remote import messages
from kani.engines.remote.channel import ProtocolError

MAX_RATE = 192_000
"""Hertz of audio at most."""

MAX_NAME_CHARACTERS, MAX_TEXT_CHARACTERS = 200, 16_384
"""Characters that are kept of a name, and of an error or a log record."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def check(message: messages.FromWorker) -> None:
    """Raise ProtocolError, which names the field, for a value that no worker of this program sends."""
    match message:
        case messages.Chunk():
            _in_range("the sample rate of a chunk", message.sample_rate, 1, MAX_RATE)
            _finite("the start of a chunk", [message.start_s])
            for span in message.spans:
                if not 0 <= span.start <= span.end:
                    raise ProtocolError(f"a span of the characters {span.start} to {span.end}")
                _finite("a time of a span", (span.start_s, span.end_s, *span.character_starts))
        case messages.Grant():
            _in_range("a grant", message.seconds, 0.0, math.inf)
            _finite("a grant", [message.seconds])
        case messages.Waiting():
            _in_range("the characters known to a segment", message.known, 0, math.inf)
            _finite("the time that a segment waits", [message.timeout_s or 0.0])
        case messages.Embedded():
            values = message.embedding.values
            _in_range("the number of an embedding's values", len(values), 0, MAX_EMBEDDING_VALUES)
            found = [each for one in message.embedding.similarity.values() for each in (one.before, one.now)]
            if not np.isfinite(values).all():
                raise ProtocolError("the values of an embedding are no finite numbers")
            _finite("the similarity of an embedding", found)
        case messages.Recognized():
            _check_recognized(message)
        case messages.Transcribed():
            _check_transcribed(message.segment)
        case messages.Ready():
            _check_ready(message)
        case messages.Logged():
            _in_range("the level of a log record", message.level, 0, 100)


def _check_transcribed(segment: TranscribedSegment) -> None:
    if segment.speaker is not None:
        raise ProtocolError("a speaker of a transcript")
    _finite("a time of a transcript", [segment.start_s, segment.end_s, segment.seek_s])
    times = [time for word in segment.words for time in (word.start_s, word.end_s)]
    _finite("a time of a transcript's word", times)
    if any(word.log_probability > 1.0 for word in segment.words):
        raise ProtocolError("a log probability of a transcript's word that is above 1")


def _check_recognized(message: messages.Recognized) -> None:
    if message.word is not None:
        _finite("a time of a recognised word", [message.word.start_s, message.word.end_s])
    if message.step is not None:
        index, pauses, voices, _ = message.step
        _in_range("the number of a step", index, 0, math.inf)
        _finite("a probability of a step", (*pauses, *voices))
    if message.word is None and message.step is None and message.mark is None:
        raise ProtocolError("a recognition event without content")


def _check_ready(message: messages.Ready) -> None:
    words = [message.name]
    if (engine := message.engine) is not None:
        words += [engine.name, engine.version]
        words += [engine.cloning.model, *engine.voice_rules.networks, *engine.voice_rules.networks.values()]
        _in_range("the slots of an engine", engine.max_concurrency, 1, math.inf)
        if engine.light is not None:
            words += engine.light.languages
            _in_range("the slots of light networks", engine.light.slots, 1, math.inf)
        _in_range("the sample rate of an engine", engine.sample_rate, 1, MAX_RATE)
        _finite("the speeds of an engine", engine.speed_range)
    if (recognizer := message.recognizer) is not None:
        words += [recognizer.name, recognizer.version]
        _in_range("the sample rate of a recogniser", recognizer.sample_rate, 1, MAX_RATE)
    if not all(word.isprintable() for word in words):
        raise ProtocolError("a description with line breaks or other control characters")


def _in_range(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ProtocolError(f"{what} is {value} (at least {least}, at most {most})")


def _finite(what: str, values: Iterable[float]) -> None:
    if not all(map(math.isfinite, values)):
        raise ProtocolError(f"{what} is no finite number")


def one_line(text: str, characters: int = MAX_TEXT_CHARACTERS) -> str:
    """Return text of a peer for a log line or a message: without control characters, cut to a length."""
    return _CONTROL.sub(" ", text[:characters])


def log_text(text: str) -> str:
    """Return the text of a peer's log record: its further lines are indented, so that none can pass for a
    line of this server's.
    """
    return _CONTROL_BUT_LINES.sub(" ", text[:MAX_TEXT_CHARACTERS]).replace("\n", "\n    ")
