"""Sentences of advice on a recording, and each as a code with its numbers, for programs that translate it.

A voice is stored with its sentences, and ``reason_of`` reads code and numbers back from them: so voices that
were stored before there were codes have them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Formatter

from kani.core.errors import Reason

SENTENCES: Mapping[str, str] = {
    "little_speech": "There are only {seconds:.1f} s of speech in it: say more, 10 s are good.",
    "silence": "{percent:.0f}% of it is silence: cut that out.",
    "quiet": (
        "It is very quiet, {decibels:.0f} dB below full scale: "
        "go nearer to the microphone, or raise its level."
    ),
    "clipped_once": "It is clipped in one place: record it with a lower level.",
    "clipped": "It is clipped in {places:.0f} places: record it with a lower level.",
    "offset": "Its middle is {offset:.2f} away from zero: use another microphone or sound card.",
    "echo": "The room echoes: go nearer to the microphone, or to a room with curtains and carpets.",
    "noise": "There is noise behind the voice, only {decibels:.0f} dB below it: record it in a quiet place.",
    "music": (
        "There is music or another tone behind the voice, only {decibels:.0f} dB below it: "
        "record the voice alone."
    ),
    "hum": (
        "The mains hum in it, only {decibels:.0f} dB below the voice: "
        "use another cable or socket, or record on battery."
    ),
    "narrow": ("There is nothing above 4 kHz in it, as on a telephone: record it with a better microphone."),
    "several_speakers": "Several people seem to speak in it: leave only one of them.",
}
"""Sentences by code."""


def advice(code: str, **values: float) -> str:
    return SENTENCES[code].format(**values)


def reason_of(sentence: str) -> Reason | None:
    """Return the code and the numbers of a sentence that ``advice`` made; None for any other."""
    found = ((code, pattern.fullmatch(sentence)) for code, pattern in _PATTERNS.items())
    for code, match in found:
        if match is not None:
            return Reason(code, {name: float(value) for name, value in match.groupdict().items()})
    return None


def _pattern(sentence: str) -> Iterator[str]:
    for words, name, _, _ in Formatter().parse(sentence):
        yield re.escape(words)
        if name is not None:
            yield rf"(?P<{name}>\d+(?:\.\d+)?)"


_PATTERNS = {code: re.compile("".join(_pattern(sentence))) for code, sentence in SENTENCES.items()}
