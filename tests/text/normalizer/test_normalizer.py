"""Spoken forms of written texts."""

from __future__ import annotations

import pytest

from kani.core.types import Pronunciation
from kani.text.lexicon import Lexicon
from kani.text.normalizer import NormalizerOptions, normalize, speakable

SPANISH = NormalizerOptions("es")
ENGLISH = NormalizerOptions("en")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hola,\n  mundo", "Hola, mundo"), ("cafe\u0301 e\u0301l", "café él"),
        ("a\u200fb\u200dc\x00d\ud83d", "abcd"), ("¡Bien! 🎉👍🏽 Sí", "¡Bien! Sí"),
        ("21 °C y 5 %", "21 °C y 5 %"), ("مَرْحَبًا", "مَرْحَبًا"), ("1️⃣ uno", "1 uno"),
    ],
)  # fmt: skip
def test_unspoken_characters_are_left_out(written: str, said: str) -> None:
    assert normalize(written).text == said


def test_origins_of_composed_and_dropped_characters() -> None:
    spoken = normalize("e\u0301🎉 x", offset=10)
    assert spoken.text == "é x"
    assert spoken.origin(0, 1) == (10, 12)
    assert spoken.origin(2, 3) == (14, 15)


@pytest.mark.parametrize("text", ["…", "🎉", "¿?", " \n", "—", "\u200f", ""])
def test_punctuation_is_not_speakable(text: str) -> None:
    assert not speakable(normalize(text).text)


@pytest.mark.parametrize("text", ["a", "5", "%", "€", "ж", "你", "नमस्ते"])
def test_letters_digits_and_signs_are_speakable(text: str) -> None:
    assert speakable(normalize(text).text)


def test_lexicon_comes_before_any_rule() -> None:
    """A spelling is neither looked up nor normalized; an entry without one leaves the word."""
    lexicon = Lexicon().with_request(
        {"dr.": "SQL 21", "sql": "dr.", "buenos  aires": "baires", "kani": "/kˈani/"}
    )
    spoken = normalize("Dr. SQL, Buenos\nAires Kani 21", 5, NormalizerOptions("es", lexicon))
    assert spoken.text == "SQL 21 dr., baires Kani veintiuno"
    assert spoken.origin(0, 6) == (5, 8)
    assert spoken.pronunciations == ()
    ipa = normalize("Dr. SQL, Buenos\nAires Kani 21", 5, NormalizerOptions("es", lexicon, accepts_ipa=True))
    assert ipa.text == spoken.text
    assert ipa.pronunciations == (Pronunciation(19, 23, "kˈani"),)


def test_entry_of_several_words_is_held_back() -> None:
    reading = NormalizerOptions("", Lexicon().with_request({"buenos aires": "baires"}))
    assert normalize("en buenos", 0, reading, complete=False).text == "en"
    assert normalize("en buenos aires", 0, reading, complete=False).text == "en baires"
    assert normalize("en buenos días", 0, reading, complete=False).text == "en buenos días"


def test_number_cut_into_segments_is_spoken_digit_by_digit() -> None:
    digits = "1234567890" * 1000
    said = normalize(digits, 0, SPANISH).text
    assert said.startswith("uno dos tres, cuatro cinco seis, siete") and len(said.split()) == 10_000
    assert normalize("21 casas", 0, SPANISH, preceding="7" * 50).text == "dos uno casas"
    assert normalize("XXI", 0, SPANISH, preceding="en el siglo ").text == "veintiuno"
