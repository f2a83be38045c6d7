"""Portuguese as it is read aloud."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.text.normalizer import NormalizerOptions, normalize
from speech.text.normalizer.number_words.languages import number_words

PORTUGUESE = NormalizerOptions(language="pt")

_WORDS = """
    R$ 1.250,50 3,5 milhões mi 20k US$ 1 21 casas 2 maçãs 200 mil pessoas 19h30 às 8:05 00:15 9h-17h h dia
    3/4 1/2 hora
    1º de maio 3 jan. 2020 2ª feira 2ª-feira século XXI V D. Pedro II o XX Congresso Dr. Sra. nº5 n.º 5 Av.
    Brasil
    (11)
    91234-5678 912 345 678 123.456.789-09 01234-567 EUA CPF ONGs etc. Depois l/100 km anos '80 d'ÁGUA 17/18
"""
_TEXTS = st.lists(
    st.tuples(st.sampled_from(_WORDS.split()), st.sampled_from([" ", " ", " ", ""])), max_size=12
).map(lambda parts: "".join(part + space for part, space in parts))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("21 casas, 2 dias, 502 horas", "vinte e uma casas, dois dias, quinhentas e duas horas"),
        ("200 mil pessoas", "duzentas mil pessoas"),
        ("R$ 3,5 milhões e R$ 2 bi", "três vírgula cinco milhões de reais e dois bilhões de reais"),
        ("R$ 1.250,50", "mil duzentos e cinquenta reais e cinquenta centavos"),
        ("às 1h30, 00:15 e 21h01", "às uma hora e trinta, zero horas e quinze e vinte e uma horas e um"),
        ("das 9h-17h", "das nove horas a dezessete horas"),
        ("dia 3/4, 3/4 de xícara", "dia três de abril, três quartos de xícara"),
        ("1/2 hora, 1 1/2 xícara, 7/12", "meia hora, uma e meia xícara, sete doze avos"),
        ("1º de maio de 2024", "primeiro de maio de dois mil e vinte e quatro"),
        ("2024.03.15", "quinze de março de dois mil e vinte e quatro"),
        ("século XXI, século V", "século vinte e um, século quinto"),
        ("D. Pedro II, Luís XIV", "dom Pedro segundo, Luís catorze"),
        ("a II Guerra, o XX Congresso", "a segunda Guerra, o vigésimo Congresso"),
        ("CPF 123.456.789-09", "cê pê efe um dois três, quatro cinco seis, sete oito nove, zero nove"),
        ("(11) 91234-5678", "um um, nove um dois três quatro, cinco seis sete oito"),
        ("de 1990-1995", "de mil novecentos e noventa a mil novecentos e noventa e cinco"),
        ("na 2ª feira, nº5", "na segunda-feira, número cinco"),
    ],
)  # fmt: skip
def test_portuguese_is_read_as_a_speaker_would(written: str, said: str) -> None:
    """Numbers that agree, hours with their name, money, dates, numbers of kings and of people."""
    assert normalize(written, 0, PORTUGUESE).text == said


@pytest.mark.parametrize(
    ("number", "gender", "said"),
    [
        (1, "m", "um"), (2, "f", "duas"), (2000, "f", "duas mil"), (21_000, "f", "vinte e uma mil"),
        (300, "f", "trezentas"), (2_000_200, "f", "dois milhões e duzentas"), (1_000_000_000, "",
        "um bilhão"),
    ],
)  # fmt: skip
def test_portuguese_numbers_agree(number: int, gender: str, said: str) -> None:
    """Feminine in all parts but the millions."""
    assert number_words("pt", "pt_BR").cardinal(number, gender) == said


def test_portugal_has_words_of_its_own() -> None:
    """Its teens, its thousand millions, its kilometres."""
    assert normalize("16 km e 1.000.000.000", 0, PORTUGUESE).text == "dezesseis quilômetros e um bilhão"
    assert normalize("16 km e 1.000.000.000", 0, NormalizerOptions(language="pt-PT")).text == (
        "dezasseis quilómetros e mil milhões"
    )


@settings(max_examples=200, deadline=None)
@given(_TEXTS)
def test_what_is_said_of_growing_portuguese_is_never_taken_back(written: str) -> None:
    """What is said of a text's beginning, up to a space, is the beginning of what is said of all of it."""
    whole = normalize(written, 0, PORTUGUESE)
    for end in (at for at in range(1, len(written)) if written[at] == " " and written[at - 1] != " "):
        begun = normalize(written[:end], 0, PORTUGUESE, complete=False)
        assert whole.text.startswith(begun.text)
        assert whole.starts[: len(begun.text)] == begun.starts
