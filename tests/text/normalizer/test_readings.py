"""Written texts and their spoken forms (readings.tsv), and numbers in words (numbers.tsv), to the letter.

A form "-" is none. The pairs in normalizer_pairs/ are read as expected, language by language.
"""

import pytest

from kani.core.types import Pronunciation
from kani_text.lexicon import Lexicon
from kani_text.normalizer import NormalizerOptions, normalize, speakable
from kani_text.normalizer.number_words.languages import number_words
from tests.support.tables import rows
from tests.text.normalizer.normalizer_pairs.table import LANGUAGES, OWN, UNSEEN, as_expected, pairs


@pytest.mark.parametrize(("language", "written", "spoken"), rows(__file__, "readings.tsv"))
def test_text_is_spoken_as_a_reader_would(language: str, written: str, spoken: str) -> None:
    assert normalize(written, 0, NormalizerOptions(language)).text == spoken


def test_long_address_is_spoken_by_its_host() -> None:
    assert normalize(f"https://ej.es/{'a/' * 1000}", 0, NormalizerOptions("es")).text == "ej punto es"


def test_numbers_have_their_forms() -> None:
    """Cardinals agree with the gender of what is counted; "sv" is of a language without words of its own."""
    for variety, kind, number, form, words in rows(__file__, "numbers.tsv"):
        speller = number_words(variety.partition("_")[0], variety)
        spell = speller.cardinal if kind == "cardinal" else speller.ordinal
        assert spell(int(number), form.replace("-", "")) == words, (variety, kind, number, form)


SPANISH = NormalizerOptions("es")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hola,\n  mundo", "Hola, mundo"), ("cafe\u0301 e\u0301l", "café él"),
        ("a\u200fb\u200dc\x00d\ud83d", "abcd"), ("¡Bien! 🎉👍🏽 Sí", "¡Bien! Sí"),
        ("21 °C y 5 %", "21 °C y 5 %"), ("مَرْحَبًا", "مَرْحَبًا"), ("1️⃣ uno", "1 uno"),
        ("A (2)\u20295 €\u2029„C“\u2029«¿D?»\u2029E!\u2029आटा\u2029", "A (2). 5 €. „C“. «¿D?» E! आटा."),
    ],
)  # fmt: skip
def test_unspoken_characters_are_left_out(written: str, said: str) -> None:
    assert normalize(written).text == said


def test_origins_of_composed_and_dropped_characters() -> None:
    spoken = normalize("e\u0301🎉 x", offset=10)
    assert spoken.text == "é x"
    assert spoken.origin(0, 1) == (10, 12)
    assert spoken.origin(2, 3) == (14, 15)


def test_letters_digits_and_signs_are_speakable() -> None:
    texts = ["a", "5", "%", "€", "ж", "你", "नमस्ते"]
    others = ["…", "🎉", "¿?", " \n", "—", "\u200f", ""]
    assert [text for text in texts + others if speakable(normalize(text).text)] == texts


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


GOAL = 0.97


@pytest.mark.parametrize("language", LANGUAGES)
def test_pairs_are_read_as_expected(language: str):
    """All of our own pairs, and at least 97 of 100; the messages list the others."""
    table = pairs(language)
    misses, own = [], []
    for pair in table:
        spoken = normalize(pair.written, 0, NormalizerOptions(language=language)).text
        if not as_expected(pair, spoken):
            misses.append(f"{pair.written!r} is read {spoken!r}, expected {pair.readings[0]!r}")
            own += misses[-1:] if pair.source in (OWN, UNSEEN) else []
    assert not own, "not read as expected:\n" + "\n".join(own)
    share = 1 - len(misses) / len(table)
    assert share >= GOAL, f"{share:.1%} of {len(table)} as expected; not so:\n" + "\n".join(misses)
