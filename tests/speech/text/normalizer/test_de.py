"""German as it is read aloud."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from speech.text.normalizer import NormalizerOptions, normalize
from speech.text.normalizer.number_words.languages import number_words

GERMAN = NormalizerOptions(language="de")

_WORDS = """
    Am am der Der die ein das im von bis und vom Unter König Ludwig XIV. II Elisabeth 3. 5. 3 1 1.
    2024 3.–5. 3.10. 10. 3.10.24
    Oktober Mai Okt. Klasse Stock Kind kleine Katze Er Danach Mio. Mrd € Euro Std. lang Uhr 2.30
    19:30 9–17 h 80er 18-jährige
    3-Zimmer-Wohnung 10-mal 2x 1½ 1/2 1/3 Tasse Abs. S. Nr. Hauptstr. bzw. z. B. Seite Jahr 1989
    1848 Revolution „ “ . , XIX.
    Jahrhundert 030 123456 GmbH ADAC %
"""
_TEXTS = st.lists(
    st.tuples(st.sampled_from(_WORDS.split()), st.sampled_from([" ", " ", " ", ""])), max_size=12
).map(lambda parts: "".join(part + space for part, space in parts))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Am 3. Oktober, der 3. Oktober, 3. Oktober",
         "Am dritten Oktober, der dritte Oktober, dritter Oktober"),
        ("der 2. Stock, in der 2. Klasse, das 2. Haus",
         "der zweite Stock, in der zweiten Klasse, das zweite Haus"),
        ("ein 2. Kind, ein 2. Versuch", "ein zweites Kind, ein zweiter Versuch"),
        ("vom 3. bis 5. Mai, am 3. und 4. Mai", "vom dritten bis fünften Mai, am dritten und vierten Mai"),
        ("am 3.–5. Mai", "am dritten bis fünften Mai"),
        ("Heute ist der 3. Er kommt.", "Heute ist der dritte. Er kommt."),
        ("Er zählt von 1 bis 3. Danach", "Er zählt von eins bis drei. Danach"),
        ("Am 3.10. fahren wir", "Am dritten Oktober fahren wir"),
        ("am 3. 10. 2024, am 3.4.24", "am dritten Oktober zweitausendvierundzwanzig, am dritten April "
        "zweitausendvierundzwanzig"),
        ("Python 3.4.24 läuft", "Python drei Punkt vier Punkt vierundzwanzig läuft"),
        ("im XIX. Jahrhundert", "im neunzehnten Jahrhundert"),
        ("König Ludwig XIV. war da", "König Ludwig der vierzehnte war da"),
        ("Unter Ludwig XIV. war Elisabeth II. jung",
         "Unter Ludwig dem vierzehnten war Elisabeth die zweite jung"),
        ("für Karl V. kämpfen, der Hof Karls V. war",
         "für Karl den fünften kämpfen, der Hof Karls des fünften war"),
        ("1 Katze, 1 kleine Katze, 1 Haus, 1 Uhr", "eine Katze, eine kleine Katze, ein Haus, ein Uhr"),
        ("Abs. 1 Satz 2, im Jahr 1848 Revolution",
         "Absatz eins Satz zwei, im Jahr achtzehnhundertachtundvierzig "
        "Revolution"),
        ("1989 Menschen, seit 1989", "tausendneunhundertneunundachtzig Menschen, seit "
        "neunzehnhundertneunundachtzig"),
        ("3,5 Mio. Menschen, 1 Mio. Euro", "drei Komma fünf Millionen Menschen, eine Million Euro"),
        ("Es sind 3 Mio. Das ist viel.", "Es sind drei Millionen. Das ist viel."),
        ("5 Std. lang", "fünf Stunden lang"),
        ("die 80er Jahre, 1990er-Jahre", "die achtziger Jahre, neunzehnhundertneunziger-Jahre"),
        ("18-jährig, 3fach, 2x, 3-Zimmer-Wohnung", "achtzehnjährig, dreifach, zwei mal, drei-Zimmer-Wohnung"),
        ("2 1/2 Tassen, 1½ Liter, 1/2 Tasse", "zweieinhalb Tassen, eineinhalb Liter, eine halbe Tasse"),
        ("½ kg, 1/2 h, 3/4 l", "ein halbes Kilogramm, eine halbe Stunde, drei Viertel Liter"),
        ("1 mal, 3 Mal, zum 100. Mal", "ein mal, drei Mal, zum hundertsten Mal"),
        ("Di, 5.3., um 9:15 h, 3. Stock", "Di, fünfter März, um neun Uhr fünfzehn, dritter Stock"),
        ("2.30 Uhr, 13.45 Uhr, 9–17 Uhr",
         "zwei Uhr dreißig, dreizehn Uhr fünfundvierzig, neun bis siebzehn Uhr"),
        ("Königstr. 12 und Bahnhofstr. entlang", "Königstraße zwölf und Bahnhofstraße entlang"),
        ("1.250,50 €, 0,50 €", "tausendzweihundertfünfzig Euro fünfzig Cent, fünfzig Cent"),
        ("„Dr. Meier“, »Nr. 5«", "„Doktor Meier“, »Nummer fünf«"),
    ],
)  # fmt: skip
def test_german_is_read_as_a_speaker_would(written: str, said: str) -> None:
    """Ordinals by the words around them, one before a noun, years, what figures are joined with."""
    assert normalize(written, 0, GERMAN).text == said


def test_switzerland_has_marks_of_its_own() -> None:
    """1'250.50 and the like."""
    said = normalize("1'250.50 Fr.", 0, NormalizerOptions(language="de-CH")).text
    assert said == "tausendzweihundertfünfzig Franken fünfzig Rappen."


@pytest.mark.parametrize(
    ("number", "said", "ordinal"),
    [
        (1, "eins", "ersten"), (7, "sieben", "siebten"), (21, "einundzwanzig", "einundzwanzigsten"),
        (100, "hundert", "hundertsten"), (1100, "tausendeinhundert", "tausendeinhundertsten"),
        (101_000, "hunderteintausend", None), (2_000_001, "zwei Millionen eins", None),
    ],
)  # fmt: skip
def test_german_numbers(number: int, said: str, ordinal: str | None) -> None:
    """Without the "one" before a hundred and a thousand; ordinals with their endings."""
    assert number_words("de").cardinal(number) == said
    assert ordinal is None or number_words("de").ordinal(number, "en") == ordinal


@settings(max_examples=300, deadline=None)
@given(_TEXTS)
@example("Am 3. und 4. Mai")
@example("Es sind 3 Mio. Euro")
def test_what_is_said_of_growing_german_is_never_taken_back(written: str) -> None:
    """What is said of a text's beginning, up to a space, is the beginning of what is said of all of it."""
    whole = normalize(written, 0, GERMAN)
    assert list(whole.starts) == sorted(whole.starts) and list(whole.ends) == sorted(whole.ends)
    for end in (at for at in range(1, len(written)) if written[at] == " " and written[at - 1] != " "):
        begun = normalize(written[:end], 0, GERMAN, complete=False)
        assert whole.text.startswith(begun.text)
        assert whole.starts[: len(begun.text)] == begun.starts
