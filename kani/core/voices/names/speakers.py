"""Names of Kani-TTS's speakers, which its makers' clients send whatever engine speaks here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from kani.core.engine import EngineInfo
from kani.core.types import Voice
from kani.text.languages import primary


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
