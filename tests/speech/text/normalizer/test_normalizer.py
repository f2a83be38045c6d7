"""What is said of what was written."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.text.lexicon import Lexicon
from speech.text.normalizer import NormalizerOptions, normalize, speakable
from speech.types import Pronunciation

SPANISH = NormalizerOptions("es")
ENGLISH = NormalizerOptions("en")


@given(st.text(alphabet=st.characters(codec=None)), st.integers(0, 50))
def test_every_spoken_character_has_an_origin(written: str, offset: int) -> None:
    """Origins lie inside the text, in order; what is said holds nothing an engine could choke on."""
    spoken = normalize(written, offset)
    assert len(spoken.text) == len(spoken.starts) == len(spoken.ends)
    assert list(spoken.starts) == sorted(spoken.starts) and list(spoken.ends) == sorted(spoken.ends)
    for start, end in zip(spoken.starts, spoken.ends, strict=True):
        assert offset <= start < end <= offset + len(written)
    assert spoken.text.isprintable() and spoken.text == spoken.text.strip() and "  " not in spoken.text
    spoken.text.encode()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hola,\n  mundo", "Hola, mundo"),
        ("cafe\u0301 e\u0301l", "café él"),
        ("a\u200fb\u200dc\x00d\ud83d", "abcd"),
        ("¡Bien! 🎉👍🏽 Sí", "¡Bien! Sí"),
        ("21 °C y 5 %", "21 °C y 5 %"),
        ("مَرْحَبًا", "مَرْحَبًا"),
        ("1️⃣ uno", "1 uno"),
    ],
)
def test_what_is_left_out(written: str, said: str) -> None:
    """Invisible characters, emoji and broken code units are left out, marks are composed."""
    assert normalize(written).text == said


def test_origins_of_composed_and_dropped_characters() -> None:
    """A composed letter stands for its base and its marks; what was dropped stands between."""
    spoken = normalize("e\u0301🎉 x", offset=10)
    assert spoken.text == "é x"
    assert spoken.origin(0, 1) == (10, 12)
    assert spoken.origin(2, 3) == (14, 15)


@pytest.mark.parametrize("text", ["…", "🎉", "¿?", " \n", "—", "\u200f", ""])
def test_nothing_to_say(text: str) -> None:
    """Punctuation and emoji alone are nothing to say."""
    assert not speakable(normalize(text).text)


@pytest.mark.parametrize("text", ["a", "5", "%", "€", "ж", "你", "नमस्ते"])
def test_something_to_say(text: str) -> None:
    """Letters, digits and signs are."""
    assert speakable(normalize(text).text)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "El 3/4 a las 19:30 h, el Dr. Ruiz pagó 1.250,50 € (¡+12 %!) — más en https://ej.es/a_b",
            "El tres de abril a las diecinueve treinta, el doctor Ruiz pagó mil doscientos cincuenta euros "
            "con cincuenta céntimos (¡más doce por ciento!) — más en ej punto es barra a guion bajo b",
        ),
        ("3/4 de taza, ½ taza, 2 1/2 tazas", "tres cuartos de taza, media taza, dos y media tazas"),
        ("21 casas, 21 libros, 21. 200 m", "veintiuna casas, veintiún libros, veintiuno. doscientos metros"),
        ("3 M€, 1.000.000 € y 20k€", "tres millones de euros, un millón de euros y veinte mil euros"),
        ("siglo XXI, Felipe II, el XX Congreso", "siglo veintiuno, Felipe segundo, el vigésimo Congreso"),
        ("Viene de EE. UU., p. ej. Ana, etc.", "Viene de Estados Unidos, por ejemplo Ana, etcétera."),
        ("la ONU, el FBI y la OTAN", "la onu, el efe be i y la otan"),
        ("¡ATENCIÓN AL TREN! ¡NO!", "¡atención al tren! ¡no!"),
        ("a las 7:05 p. m. Luego", "a las siete cero cinco de la tarde. Luego"),
        ("De 9:00–17:00 y 9:00 - 17:00", "De nueve a diecisiete horas y nueve a diecisiete horas"),
        ("5 - 3 = 2 y 3 x 4", "cinco menos tres igual a dos y tres por cuatro"),
        ("¿¿Qué???!!! No......", "¿Qué?! No…"),
        ("v2.0.1 en 192.168.1.1", "versión dos punto cero punto uno en ciento noventa y dos punto "
         "ciento sesenta y ocho punto uno punto uno"),
        ("2024.", "dos mil veinticuatro."),
        ("\ue001 Fin", "Bloque de código. Fin"),
    ],
)  # fmt: skip
def test_spanish(written: str, said: str) -> None:
    """As a person reads it."""
    assert normalize(written, 0, SPANISH).text == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("On 3/4 at 7:30 p.m., Dr. Lee paid $1,250.50",
         "On March fourth at seven thirty p m, doctor Lee paid one thousand two hundred fifty dollars and "
         "fifty cents"),
        ("St. Paul and Elm St. Then", "saint Paul and Elm street. Then"),
        ("In 1999, the 1990s and '90s", "In nineteen ninety-nine, the nineteen nineties and nineties"),
        ("the part I like, Part I", "the part I like, Part one"),
        ("IT IS the IT team", "it is the I T team"),
        ("Call (555) 123-4567.", "Call five five five, one two three, four five six seven."),
        ("It's 5'10, a 10-year-old", "It's five foot ten, a ten year-old"),
        ("Python 3.10.12", "Python three dot ten dot twelve"),
    ],
)  # fmt: skip
def test_english(written: str, said: str) -> None:
    """As a person reads it."""
    assert normalize(written, 0, ENGLISH).text == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("la sra. gómez de ee. uu. llegó", "la señora gómez de Estados Unidos llegó"),
        ("fernando vii; a luis vi ayer", "fernando séptimo; a luis vi ayer"),
        ("siglos XII–XIV y el grupo D", "siglos doce a catorce y el grupo de"),
        ("3/4 l y 2 cdas. de miel", "tres cuartos de litro y dos cucharadas de miel"),
        ("20 millones t, 50 psi", "veinte millones de toneladas, cincuenta libras por pulgada cuadrada"),
        ("2,50 €/kg y $30 MXN", "dos euros con cincuenta céntimos por kilogramo y treinta pesos mexicanos"),
        ("gira 45° y sube al 2° piso", "gira cuarenta y cinco grados y sube al segundo piso"),
        ("40°25'13\" N", "cuarenta grados veinticinco minutos trece segundos ene"),
        ("Ley 14/2011, nota 7,5/10", "Ley catorce barra dos mil once, nota siete coma cinco sobre diez"),
        ("x <= 4, a != b, 2∗3", "x menor o igual que cuatro, a distinto de b, dos por tres"),
        ("UTC-4", "u te ce menos cuatro"),
    ],
)  # fmt: skip
def test_what_many_write_in_spanish_answers(written: str, said: str) -> None:
    """Small letters, units with a full stop, rates, laws and signs of programs."""
    assert normalize(written, 0, SPANISH).text == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("the mid-1960s, pre-1950, late-70s", "the mid nineteen sixties, pre nineteen fifty, late seventies"),
        ("OCT. 9 at 02:00 p.m.", "October ninth at two p m."),
        ("10:00 AM-6:30 PM, 8 a.m. - 1 p.m.", "ten a m to six thirty p m, eight a m to one p m."),
        ("louis xv and chapter ix", "louis the fifteenth and chapter nine"),
        ("Vitamin C, Part D", "Vitamin C, Part D"),
        ("$80k-$95k/yr", "eighty thousand dollars to ninety-five thousand dollars per year"),
        ("5 million km, 24/day", "five million kilometers, twenty-four per day"),
        ("HK$40 or $50 CAD", "forty Hong Kong dollars or fifty Canadian dollars"),
        ("1 tbsp. oil (30 ft.)", "one tablespoon oil (thirty feet)"),
        ("an 18th-century house", "an eighteenth century house"),
        ("localhost:3000/docs", "localhost colon three thousand slash docs"),
        ("if a >= b && get_name()", "if a is at least b and get name()"),
        ("1,000,000,000,000,000,000", "one quintillion"),
    ],
)  # fmt: skip
def test_what_many_write_in_english_answers(written: str, said: str) -> None:
    """Decades behind a word, hours, ranges with a sign each, rates and signs of programs."""
    assert normalize(written, 0, ENGLISH).text == said


def test_without_a_table_only_what_cannot_be_said_is_left_out() -> None:
    """Figures and abbreviations of a language without a table are the engine's."""
    assert normalize("Hr. 21 !!! \ue001x", 0, NormalizerOptions("tlh")).text == "Hr. 21 !!! x"


def test_the_lexicon_comes_first_and_has_the_last_word() -> None:
    """What an entry says is neither looked up nor read again; one that says no spelling leaves the word."""
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


def test_an_entry_of_several_words_is_kept_back_while_it_may_go_on() -> None:
    """Its beginning waits, other words do not."""
    reading = NormalizerOptions("", Lexicon().with_request({"buenos aires": "baires"}))
    assert normalize("en buenos", 0, reading, complete=False).text == "en"
    assert normalize("en buenos aires", 0, reading, complete=False).text == "en baires"
    assert normalize("en buenos días", 0, reading, complete=False).text == "en buenos días"


def test_a_number_cut_into_segments_is_read_digit_by_digit() -> None:
    """One of ten thousand digits is no amount, nor is its end."""
    digits = "1234567890" * 1000
    said = normalize(digits, 0, SPANISH).text
    assert said.startswith("uno dos tres, cuatro cinco seis, siete") and len(said.split()) == 10_000
    assert normalize("21 casas", 0, SPANISH, preceding="7" * 50).text == "dos uno casas"
    assert normalize("XXI", 0, SPANISH, preceding="en el siglo ").text == "veintiuno"


def test_long_addresses_say_their_host() -> None:
    """Nobody wants to hear two thousand characters of one."""
    assert normalize(f"https://ej.es/{'a/' * 1000}", 0, SPANISH).text == "ej punto es"


@pytest.mark.parametrize(
    "unit",
    [
        "1-",
        "1.",
        "A. ",
        "1 ",
        "a@",
        "(555) ",
        "1/2 ",
        "1e5",
        "a_",
        "a-",
        "é.",
        "$1-",
        "½",
        "+34 ",
        "AM-5",
        "1k-2k",
        "5/kg ",
        "XV-XV ",
    ],
)
@pytest.mark.parametrize("reading", [SPANISH, ENGLISH])
def test_no_text_takes_long(unit: str, reading: NormalizerOptions) -> None:
    """Ten times the text takes about ten times as long, whatever it looks like."""

    def seconds(times: int) -> float:
        text = unit * times

        def once() -> float:
            # The process's time would count what threads of earlier tests still do.
            began = time.thread_time()
            normalize(text, 0, reading)
            return time.thread_time() - began

        # The shorter: either may have to collect the garbage of thousands of tests.
        return min(once(), once())

    assert seconds(10_000 // len(unit)) < max(40 * seconds(1_000 // len(unit)), 0.5)
