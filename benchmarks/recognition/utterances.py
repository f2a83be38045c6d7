"""Short utterances in the languages that Kokoro speaks, written before anything was measured with them.

Each is a short opening, as people begin, and a sentence. The recogniser may be tuned on the first
``TUNING`` of a language; the others only judge it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.sentences import texts

TUNING = 6
"""Utterances of each language that may tune the recogniser."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A short opening and a sentence, said in one go."""

    language: str  # primary subtag
    opening: str
    sentence: str

    @property
    def text(self) -> str:
        """Both sentences."""
        space = "" if self.language in ("zh", "ja") else " "
        return f"{self.opening}{space}{self.sentence}"


UTTERANCES: Mapping[str, tuple[Utterance, ...]] = {
    language: tuple(Utterance(language, *(part.strip() for part in line.split("|"))) for line in lines)
    for language, lines in texts("utterances").items()
}
"""A hundred, by primary subtag."""

COUNTS = {language: text for language, (text,) in texts("counts").items()}
"""Counts, which people repeat to try a microphone."""
