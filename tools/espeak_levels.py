"""Make ``levels.json`` of espeak-ng's voices: how loud each is, in LUFS (ITU-R BS.1770).

    python -m tools.espeak_levels

A voice speaks the sentences of its language, or else names of days, months and countries in it, or else
numbers; one that reads none of them has no entry. Takes a minute.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from babel import Locale, UnknownLocaleError

from kani.core.errors import EngineFailed
from kani.core.types import Samples
from kani.engines.espeak.client import EspeakClient, Pcm16
from kani.engines.espeak.engine import LEVELS, tag
from kani_text.languages import primary
from tools.kokoro_data.sentences import ACCENTED, LATER_SENTENCES, SENTENCES
from tools.loudness import loudness

_NUMBERS = ", ".join(map(str, (*range(1, 21), 42, 57, 68, 93, 114, 365, 1789))) + "."
_COUNTRIES = "BR CA CN DE EG ES FR GB GR IN IT JP KE MX NG PL RU TR UA US VN ZA".split()
_SAYINGS = 10
_SILENT_LUFS = -40.0


def texts(language: str) -> Iterator[str]:
    """Yield texts of a language, the best first."""
    for sentences in (SENTENCES, LATER_SENTENCES, ACCENTED):
        if language in sentences:
            yield " ".join(sentences[language][-_SAYINGS:])
    try:
        locale = Locale.parse(language)
        names = [locale.territories.get(country, "") for country in _COUNTRIES]
        yield ", ".join(
            [*locale.days["format"]["wide"].values(), *locale.months["format"]["wide"].values(), *names]
        )
    except (UnknownLocaleError, ValueError):
        pass
    yield _NUMBERS


def speak(client: EspeakClient, text: str, voice: str) -> Samples:
    """Return espeak-ng's samples of a text."""
    pieces: list[Pcm16] = []
    client.synthesize(text, voice, lambda pcm, *_: pieces.append(pcm))
    return np.concatenate(pieces).astype(np.float32) / np.float32(32768)


def measure(client: EspeakClient, voice: str, language: str) -> float | None:
    """Return the loudness of a voice's first text that it can read."""
    for text in texts(language):
        try:
            lufs = loudness(speak(client, text, voice), client.sample_rate).lufs
        except EngineFailed:
            continue
        if lufs > _SILENT_LUFS:
            return lufs
    return None


def main() -> None:
    """Measure all voices and write the file."""
    argparse.ArgumentParser(prog="python -m tools.espeak_levels", description=__doc__).parse_args()
    client = EspeakClient.shared()
    levels = {voice.name: measure(client, voice.name, primary(tag(voice))) for voice in client.voices}
    lines = ",\n".join(
        f' "{name}": {round(lufs, 1)}' for name, lufs in sorted(levels.items()) if lufs is not None
    )
    LEVELS.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
