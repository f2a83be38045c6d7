"""Italian as it is read aloud."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.text.normalizer import NormalizerOptions, normalize
from speech.text.normalizer.number_words.languages import number_words

ITALIAN = NormalizerOptions(language="it")

_WORDS = """
    L'11 settembre dell'8% l'ONU un'ASL E' C'È dott. Rossi sig.ra n°5 n. 5 XX secolo sec. XIX Luigi Pio IX
    II guerra 1º 2ª
    alle 18.30 dalle 9.00 ore 19:30 h 1.250,50 € 3,5 mln mld di euro 20k 1 studente ora amica su 3 anni '80
    347 1234567 06
    +39 1/2 tazza 3/4 ecc. Poi p. es. a.C. 44 17/18 giugno l/100 km
"""
_TEXTS = st.lists(
    st.tuples(st.sampled_from(_WORDS.split()), st.sampled_from([" ", " ", " ", ""])), max_size=12
).map(lambda parts: "".join(part + space for part, space in parts))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1 anno, 1 casa, 1 studente, 1 zaino", "un anno, una casa, uno studente, uno zaino"),
        ("1 ora e 1 h", "un' ora e un' ora"),
        ("1 su 3, 21 case", "uno su tre, ventuno case"),
        ("½ tazza, 1/2 ora, 1 1/2", "mezza tazza, mezza ora, uno e mezzo"),
        ("alle 18.30, alle 1:30, ore 8.05", "alle diciotto e trenta, alle una e trenta, ore otto e cinque"),
        ("L'11 settembre, dell'8%", "L'undici settembre, dell'otto per cento"),
        ("nel XX secolo, sec. XIX", "nel ventesimo secolo, secolo diciannovesimo"),
        ("Luigi XIV, Elisabetta II, Pio IX", "Luigi quattordicesimo, Elisabetta seconda, Pio nono"),
        ("la II guerra mondiale", "la seconda guerra mondiale"),
        ("3,5 mln € e 2 mld di euro", "tre virgola cinque milioni di euro e due miliardi di euro"),
        ("1.250.000 km", "un milione duecentocinquantamila chilometri"),
        ("1.000.001", "un milione e uno"),
        ("il dott. Rossi, la sig.ra Neri", "il dottor Rossi, la signora Neri"),
        ("pane, ecc. Poi", "pane, eccetera. Poi"),
        ("347 1234567", "tre quattro sette, uno due tre quattro cinque sei sette"),
        ("gli anni '80, nel 44 a.C.", "gli anni ottanta, nel quarantaquattro avanti Cristo."),
        ("L'UE e l'ONU, C'È", "L'u e e l'onu, C'È"),
    ],
)  # fmt: skip
def test_italian_is_read_as_a_speaker_would(written: str, said: str) -> None:
    """One before a noun, hours, numbers of kings and centuries, words that lost their end."""
    assert normalize(written, 0, ITALIAN).text == said


@pytest.mark.parametrize(
    ("number", "said", "ordinal"),
    [
        (3, "tre", "terza"), (23, "ventitré", "ventitreesima"), (103, "centotré", "centotreesima"),
        (123, "centoventitré", "centoventitreesima"), (108, "centotto", "centottesima"), (2000, "duemila",
        "duemillesima"),
        (2_500_000, "due milioni cinquecentomila", "due milioni cinquecentomila"),
    ],
)  # fmt: skip
def test_italian_numbers(number: int, said: str, ordinal: str) -> None:
    """With the accent of what ends in three; ordinals up to a million."""
    assert number_words("it").cardinal(number) == said
    assert number_words("it").ordinal(number, "f") == ordinal


@settings(max_examples=200, deadline=None)
@given(_TEXTS)
def test_what_is_said_of_growing_italian_is_never_taken_back(written: str) -> None:
    """What is said of a text's beginning, up to a space, is the beginning of what is said of all of it."""
    whole = normalize(written, 0, ITALIAN)
    for end in (at for at in range(1, len(written)) if written[at] == " " and written[at - 1] != " "):
        begun = normalize(written[:end], 0, ITALIAN, complete=False)
        assert whole.text.startswith(begun.text)
        assert whole.starts[: len(begun.text)] == begun.starts
