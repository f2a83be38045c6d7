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
"""The speakers of the published checkpoints, by their names."""

ANY = re.compile(r"random|speaker_\d{1,3}")
"""Names of no certain voice: the default one of the text's language."""


def nearest(speaker: Speaker, engines: Sequence[EngineInfo]) -> Voice | None:
    """Return the voice that is nearest to a speaker: of its language and gender, if there is one.

    None where none is of the language. engines: in order of preference.
    """
    of_language = [
        (voice, voice.id == info.default_voices.get(speaker.language))
        for info in engines
        for voice in info.voices
        if primary(voice.language) == speaker.language
    ]

    def likeness(known: tuple[Voice, bool]) -> tuple[bool, bool, bool]:
        voice, is_default = known
        return voice.id == speaker.nearest, voice.gender == speaker.gender, is_default

    return max(of_language, key=likeness)[0] if of_language else None
