"""Writes the table of Kokoro's voices in docs/languages.md: ``python -m tools.kokoro_data.table``.

A voice's word is the most telling of its sound, as ``pitches.py`` has measured it, beside the voices of its
language and sex, or of its sex where these are one or two; the page (``kani/web/voices.js``) has the same
measures and words.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from kani.core.types import Voice
from kani.engines.kokoro.voices import DEFAULT_VOICES, Voices
from kani_text.languages import english_name, primary

PAGE = Path(__file__).parents[2] / "docs" / "languages.md"
HEAD = "| language | women's voices | men's voices |\n|---|---|---|\n"
TABLE = re.compile(re.escape(HEAD) + r"(?:\|.*\n)*")
MEASURES = {
    "pitch_hz": ("deep", "high"),
    "brightness_db": ("warm", "bright"),
    "pitch_range": ("steady", "lively"),
    "pace": ("unhurried", "quick"),
}
"""Words for less and for more of a measure than most others have, the most telling measure first."""

REGIONS = {"en-US": ", American", "en-GB": ", British", "pt-BR": ", Brazilian"}


def word(voice: Voice, voices: Sequence[Voice]) -> str:
    """Return the word of a voice among all."""
    sex = [one for one in voices if one.gender == voice.gender]
    kin = [one for one in sex if _language(one) == _language(voice)]
    peers = kin if len(kin) > 2 else sex
    places: dict[str, int] = {}
    for name in MEASURES:
        own = getattr(voice, name)
        places[name] = sum((own > getattr(peer, name)) - (own < getattr(peer, name)) for peer in peers)
    most = max(places, key=lambda name: abs(places[name]))
    return MEASURES[most][places[most] > 0]


def table() -> str:
    """Return the table, a row for each language; the languages' defaults are bold."""
    voices = Voices().all
    order = {language: number for number, language in enumerate(DEFAULT_VOICES)}
    ordered = sorted(voices, key=lambda voice: (order[_language(voice)], voice.id))
    rows = []
    for tag, spoken in groupby(ordered, lambda voice: str(voice.language)):
        cells: dict[str, list[str]] = {"female": [], "male": []}
        for one in spoken:
            name = f"**`{one.id}`**" if one.id in DEFAULT_VOICES.values() else f"`{one.id}`"
            cells[str(one.gender)].append(f"{name} {word(one, voices)}")
        name = english_name(primary(tag)) + REGIONS.get(tag, "")
        rows.append(f"| {name} | {' | '.join(', '.join(cell) or '–' for cell in cells.values())} |\n")
    return HEAD + "".join(rows)


def _language(voice: Voice) -> str:
    return primary(str(voice.language))


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tools.kokoro_data.table", description=__doc__).parse_args()
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
