"""Every spoken character knows what it stands for, and nothing that was said is taken back."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from speech.text.lexicon import Lexicon
from speech.text.normalizer import NormalizerOptions, normalize
from speech.text.normalizer.tables.load import TABLES_FOLDER

LANGUAGES = sorted(path.stem for path in TABLES_FOLDER.glob("*.toml"))

LEXICON = Lexicon().with_request(
    {"sql": "sequel", "buenos aires de": "baires", "21": "blackjack", "c++": "ce"}
)

_WORDS = """
    El el la las a de y 3/4 19:30 h 21 casas 1.250,50 € % km km/h Dr. Dr p. ej. EE. UU. U.S. e.g. etc. XXI
    siglo Felipe II 10–12 10-12 - – — -5 +12 $3.50 5 million millones M€ USD EUR 20 1 000 000 1/2 ½ 2 taza +34
    612 345 678 (555) 123-4567 555-1234 April abril 3rd 3 2024 , . ... !!! ? ¿ « » ( ) p. m. p.m. am 7 7pm
    NASA FBI TODO #AbC @x a_b a@b.es https://ej.es/a v2.0.1 1.2.3.4 J. K. J 007 1990s '90s 1º 3.ª 3x4 10^8
    5×10⁸ SQL sql Buenos Aires buenos aires
    de\u0301 é π C++ COVID-19 & + = < > 2+2=4 c/ n.º 1er 5'10" 20° C
    sr. luis vii vi XV-XVI GMT-3 mid-1980s AM-5:00 $5k-$7k/yr €/kg 3/day
    2 tbsp. 1er. 40°25'13" >= 8,5/10 39/2015
"""
_ODD = "\n 🎉 \u2029 \u00a0 \u202f \ue000 \ue001 \u200d \ud83d مرحبا \u0301 ١٢".split(" ")
_FRAGMENTS = st.sampled_from(_WORDS.split() + _ODD)
_TEXTS = st.lists(st.tuples(_FRAGMENTS, st.sampled_from([" ", " ", " ", ""])), max_size=12).map(
    lambda parts: "".join(part + space for part, space in parts)
)
_READINGS = st.builds(
    NormalizerOptions,
    language=st.sampled_from(["", *LANGUAGES]),
    lexicon=st.sampled_from([None, None, LEXICON]),
    accepts_ipa=st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(_TEXTS, st.text(max_size=40)), _READINGS, st.integers(0, 50))
def test_origins_are_in_order_and_inside_the_text(
    written: str, reading: NormalizerOptions, offset: int
) -> None:
    """Each spoken character stands for written ones, in order; what is said is fit for an engine."""
    spoken = normalize(written, offset, reading)
    assert len(spoken.text) == len(spoken.starts) == len(spoken.ends)
    assert list(spoken.starts) == sorted(spoken.starts) and list(spoken.ends) == sorted(spoken.ends)
    for start, end in zip(spoken.starts, spoken.ends, strict=True):
        assert offset <= start < end <= offset + len(written)
    assert spoken.text.isprintable() and spoken.text == spoken.text.strip() and "  " not in spoken.text
    spoken.text.encode()
    for pronunciation in spoken.pronunciations:
        assert 0 <= pronunciation.start < pronunciation.end <= len(spoken.text)


@settings(max_examples=400, deadline=None)
@given(_TEXTS, _READINGS)
@example("El 3 de abril de 2024 a las 7:05 p. m. en EE. UU.", NormalizerOptions(language="es"))
def test_what_is_said_of_a_growing_text_is_never_taken_back(written: str, reading: NormalizerOptions) -> None:
    """What is said of a text's beginning, up to a space, is the beginning of what is said of all of it."""
    ends = [at for at in range(1, len(written)) if written[at] == " " and written[at - 1] != " "]
    whole = normalize(written, 3, reading)
    for end in ends:
        begun = normalize(written[:end], 3, reading, complete=False)
        length = len(begun.text)
        assert whole.text[:length] == begun.text
        assert (whole.starts[:length], whole.ends[:length]) == (begun.starts, begun.ends)
        assert whole.pronunciations[: len(begun.pronunciations)] == begun.pronunciations


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Esto se dice ya", "Esto se dice ya"),
        ("Hay 21", "Hay"),
        ("Hay 21 casas", "Hay veintiuna casas"),
        ("Fue el 3", "Fue el"),
        ("Fue el 3 de", "Fue el"),
        ("Fue el 3 de abril", "Fue el tres de abril"),
        ("El Dr.", "El"),
        ("Me llamo Ana", "Me llamo Ana"),
    ],
)
def test_only_what_more_text_may_change_is_kept_back(written: str, said: str) -> None:
    """Plain words are said at once; a number waits for what it counts."""
    assert normalize(written, 0, NormalizerOptions(language="es"), complete=False).text == said


def test_words_of_one_number_go_on() -> None:
    """Inside of what stands for one thing there is no end; behind it there is."""
    spoken = normalize("Son 31, sí", 0, NormalizerOptions(language="es"))
    assert spoken.text == "Son treinta y uno, sí"
    assert spoken.origin(4, 17) == (4, 6)
    assert [spoken.shares_origin(end) for end in (3, 11, 13, 17)] == [False, True, True, False]
