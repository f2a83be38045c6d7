"""Names of voices that are no voice's id: mixes, and the speakers of Kani-TTS.

In "af_bella(2)+af_sky(1)" are two parts of one voice and one of the other; the speakers' names are what their
makers' clients send whatever engine speaks here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kani.core.engine import EngineInfo
from kani.core.errors import InvalidRequest
from kani.core.types import Voice
from kani_text.languages import primary

MAX_PARTS = 8
"""Voices in one mix."""

MAX_LENGTH = 500
"""Characters of a mix's name."""

SEPARATOR = "+"

_PART = re.compile(r"\s*([^\s()+]{1,64})\s*(?:\(\s*([0-9]{0,4}(?:\.[0-9]{0,4})?)\s*\))?\s*")


@dataclass(frozen=True, slots=True)
class MixPart:
    """A voice of a mix, and its share of the whole, above 0 to 1."""

    voice: str
    share: float


def parse_mix(name: str) -> tuple[MixPart, ...]:
    """Parse the name of a mix; the shares sum to 1, and a voice that is named twice gets both.

    The first of the largest parts comes first: its language and rhythm are the mix's. Raises InvalidRequest.
    """
    if len(name) > MAX_LENGTH:
        raise InvalidRequest("voice", f"the name of a mix is too long (at most {MAX_LENGTH} characters)")
    pieces = name.split(SEPARATOR)
    if len(pieces) > MAX_PARTS:
        raise InvalidRequest("voice", f"too many voices in a mix (at most {MAX_PARTS})")
    weights: dict[str, float] = {}
    for piece in pieces:
        match = _PART.fullmatch(piece)
        weight = _weight(match[2]) if match is not None else 0.0
        if match is None or not weight:
            raise InvalidRequest("voice", f"{piece[:80]!r} is no part of a mix, such as af_bella(2)")
        weights[match[1]] = weights.get(match[1], 0.0) + weight
    total = sum(weights.values())
    parts = [MixPart(voice, weight / total) for voice, weight in weights.items()]
    return tuple(sorted(parts, key=lambda part: -part.share))


def mix_name(parts: tuple[MixPart, ...]) -> str:
    """Return the name of a mix in one spelling, without spaces."""
    return SEPARATOR.join(f"{part.voice}({part.share:.3f})" for part in parts)


def _weight(text: str | None) -> float:
    """Return the weight in parentheses: 1 without them, 0 for what is no number above 0."""
    if text is None:
        return 1.0
    return float(text) if text.strip(".") else 0.0


class Speaker(NamedTuple):
    """A speaker, and where it is known the voice of another engine that is nearest."""

    language: str  # primary subtag
    gender: str
    nearest: str = ""


SPEAKERS = {
    "andrew": Speaker("en", "male", "am_michael"),
    "david": Speaker("en", "male", "am_fenrir"),
    "puck": Speaker("en", "male", "am_puck"),
    "simon": Speaker("en", "male", "bm_george"),
    "jenny": Speaker("en", "female", "af_sarah"),
    "katie": Speaker("en", "female", "af_bella"),
    "kore": Speaker("en", "female", "af_kore"),
    "ash": Speaker("es", "male"),
    "ballad": Speaker("es", "male"),
    "maria": Speaker("es", "female"),
    "nova": Speaker("es", "female"),
    "bert": Speaker("de", "male"),
    "thorsten": Speaker("de", "male"),
    "karim": Speaker("ar", "male"),
    "nur": Speaker("ar", "female"),
    "mei": Speaker("zh", "female"),
    "ming": Speaker("zh", "male"),
    "seulgi": Speaker("ko", "female"),
}
"""The speakers of the published checkpoints, by their names: from the makers' pages."""

ANY = re.compile(r"random|speaker_\d{1,3}")
"""Names of no certain voice: the default one of the text's language."""


def nearest(speaker: Speaker, engines: Sequence[EngineInfo]) -> Voice | None:
    """Return the voice that is nearest to a speaker: of its language and gender, if there is one.

    None where none is of the language. engines: in order of preference.
    """
    language = speaker.language
    voices = [voice for info in engines for voice in info.voices if primary(voice.language) == language]
    defaults = {info.default_voices.get(language) for info in engines}

    def likeness(voice: Voice) -> tuple[bool, bool, bool]:
        return voice.id == speaker.nearest, voice.gender == speaker.gender, voice.id in defaults

    return max(voices, key=likeness, default=None)
