"""Arguments as programs give them: what they cannot be is an InvalidRequest with their name."""

from contextlib import suppress
from numbers import Real
from typing import Any

from kani.core.audio.pcm import MAX_RATE, MIN_RATE
from kani.core.errors import InvalidRequest, UnsupportedLanguage
from kani.core.request import RANGES, Range
from kani.core.types import SpeechRequest
from kani_text.languages import resolve

LIVE_RATES = Range(MIN_RATE, 96_000)
"""Hertz of audio that is heard while it comes, as in Wyoming's protocol."""

RECORDED_RATES = Range(MIN_RATE, MAX_RATE)
"""Hertz of the samples of a recording, as of a file."""


def check(name: str, value: object, kind: type | tuple[type, ...], takes: str) -> None:
    """Raise InvalidRequest for the argument ``name`` unless it is a ``kind``; True is no number."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidRequest(name, f"must be {takes}, not {type(value).__name__}")


def check_text(name: str, value: object, *, optional: bool = False) -> None:
    """Raise InvalidRequest unless an argument is a text, or None where it is optional."""
    if not (optional and value is None):
        check(name, value, str, "a text")


def whole(name: str, value: Any, limits: Range, unit: str = "") -> int:
    """Return a whole number within its limits; a float may be one, as sounddevice's rates are."""
    takes = f"a whole number{unit} {limits}"
    check(name, value, Real, takes)
    if not limits.low <= value <= limits.high or value % 1:
        raise InvalidRequest(name, f"must be {takes}")
    return int(value)


def rate(value: Any, limits: Range = LIVE_RATES) -> int:
    """Return a sample rate in hertz."""
    return whole("sample_rate", value, limits, " of hertz")


def speech_request(
    voice: str | None, language: str | None, speed: float | None, emotion: str | None
) -> SpeechRequest:
    """Return the request of these arguments of ``AsyncSpeech.say``, its language as a tag."""
    for name, value in (("voice", voice), ("language", language), ("emotion", emotion)):
        check_text(name, value, optional=True)
    if speed is not None:
        check("speed", speed, Real, f"a number {RANGES['speed']}")
    tag = resolve(language) if language else None
    return SpeechRequest(voice=voice, language=tag, speed=speed, emotion=emotion)


def hints(language: str | None) -> tuple[str, ...]:
    """Return the languages that speech without a clear one is probably in: none that no engine speaks."""
    check_text("language", language, optional=True)
    with suppress(UnsupportedLanguage):
        return (resolve(language),) if language else ()
    return ()
