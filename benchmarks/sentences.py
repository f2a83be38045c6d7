"""Sentences of the benchmarks by language (BCP 47), in benchmarks/texts.

Our own, but for the first article of the Declaration of Human Rights (United Nations, public domain).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tools.texts import by_language

Sentences = Mapping[str, tuple[str, ...]]
"""By language."""


def texts(name: str) -> dict[str, tuple[str, ...]]:
    """Read a file of benchmarks/texts."""
    return by_language(Path(__file__).with_name("texts") / f"{name}.txt")


WITH_EARLY_PHRASE, WITHOUT_EARLY_PHRASE = texts("with_early_phrase"), texts("without_early_phrase")
WITHOUT_INNER_MARK = texts("without_inner_mark")
HELD_OUT = texts("held_out")
"""Sentences that were never used during development: only for judging programs."""

ABOUT_4_S, ABOUT_7_S, ABOUT_15_S = texts("about_4_s"), texts("about_7_s"), texts("about_15_s")
"""Sentences that take about so many seconds; the longest twelve to fifteen."""

LATER, SECOND = texts("later"), texts("second")
"""In languages that came later to Kokoro: forty each; and more in Chinese."""

STUDENTS = texts("students")
"""In languages of later students: forty each, that nothing was tuned on."""

EVERYDAY = texts("everyday")
"""In many languages, for the recogniser."""

SPOKEN_TO_AN_ASSISTANT = texts("spoken_to_an_assistant")
"""The first half tunes turns, the other judges them."""

TURNS_WITH_PAUSES = texts("turns_with_pauses")
"""Likewise; "|" marks a pause."""

ARTICLE_1 = {language: text for language, (text,) in texts("article_1").items()}
"""A text of each language that nothing was tuned on."""

LANGUAGE_NAMES = {
    "es": "spanish",
    "en": "english",
    "fr": "french",
    "it": "italian",
    "pt": "portuguese",
    "zh": "chinese",
    "ja": "japanese",
    "hi": "hindi",
}
"""Names of the languages in the Kani protocol."""


def mixed(*groups: Sentences) -> list[tuple[str, str]]:
    """All sentences of the groups as (language, text), languages and groups taking turns."""
    columns = [[(language, text) for text in group[language]] for group in groups for language in group]
    return [sentence for row in zip(*columns, strict=True) for sentence in row]


def one_minute_text(client: int) -> str:
    """About a minute of Spanish, beginning with another sentence for each client."""
    sentences = WITH_EARLY_PHRASE["es"] + WITHOUT_EARLY_PHRASE["es"]
    first = client % len(sentences)
    return " ".join(sentences[first:] + sentences[:first])
