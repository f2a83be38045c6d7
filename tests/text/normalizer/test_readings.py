"""Written texts and their spoken forms (readings.tsv), and numbers in words (numbers.tsv), to the letter.

``\\uXXXX`` in them is a character that is not seen; a form "-" is none.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kani.text.normalizer import NormalizerOptions, normalize
from kani.text.normalizer.number_words.languages import number_words


def rows(name: str) -> list[list[str]]:
    """The columns of each line below the head of a table beside this file."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    shown = re.sub(r"\\u([0-9a-f]{4})", lambda escape: chr(int(escape[1], 16)), text)
    return [line.split("\t") for line in shown.split("\n")[1:-1]]


@pytest.mark.parametrize(("language", "written", "spoken"), rows("readings.tsv"))
def test_text_is_spoken_as_a_reader_would(language: str, written: str, spoken: str) -> None:
    assert normalize(written, 0, NormalizerOptions(language)).text == spoken


def test_long_address_is_spoken_by_its_host() -> None:
    assert normalize(f"https://ej.es/{'a/' * 1000}", 0, NormalizerOptions("es")).text == "ej punto es"


def test_numbers_have_their_forms() -> None:
    """Cardinals agree with the gender of what is counted; "sv" is of a language without words of its own."""
    for variety, kind, number, form, words in rows("numbers.tsv"):
        speller = number_words(variety.partition("_")[0], variety)
        spell = speller.cardinal if kind == "cardinal" else speller.ordinal
        assert spell(int(number), form.replace("-", "")) == words, (variety, kind, number, form)
