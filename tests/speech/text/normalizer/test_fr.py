"""French as it is read aloud."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.text.normalizer import NormalizerOptions, normalize
from speech.text.normalizer.number_words.languages import number_words

FRENCH = NormalizerOptions(language="fr")

_WORDS = """
    l'ONU d'EDF QU'EST-CE l'11 M. Me le Mme Dr St n°5 n° 5 Ier XIXe siècle s. Louis XIV 1er 2e 000e 10 000
    1 250,50 €
    Md€ M€ 19h30 h 05 9h-17h 17/18 17-18-19 juin mai 06 12 34 56 78 +33 6 1/2 1 tasse 21 maisons etc. p.
    ex. av.
    J.-C. l/100 km 20° C années 90 '80 CDs 3/4 lundi
"""
_TEXTS = st.lists(
    st.tuples(st.sampled_from(_WORDS.split()), st.sampled_from([" ", " ", " ", ""])), max_size=12
).map(lambda parts: "".join(part + space for part, space in parts))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("21 maisons et 31 jours", "vingt et une maisons et trente et un jours"),
        ("1 heure, 81 tonnes", "une heure, quatre-vingt-une tonnes"),
        ("200 km, 80 €", "deux cents kilomètres, quatre-vingts euros"),
        ("1\u202f250,50 €", "mille deux cent cinquante euros et cinquante centimes"),
        ("3,5 M€ et 1 000 000 €", "trois virgule cinq millions d'euros et un million d'euros"),
        ("2,5 Md € sur 5 ans", "deux virgule cinq milliards d'euros sur cinq ans"),
        ("De 9h-17h à 1h30", "De neuf heures à dix-sept heures à une heure trente"),
        ("À 8 h 05, à 21h01", "À huit heures zéro cinq, à vingt et une heures une"),
        ("Au XIXe siècle, le Ier", "Au dix-neuvième siècle, le premier"),
        ("Napoléon Ier, Élisabeth Ire, Henri IV", "Napoléon premier, Élisabeth première, Henri quatre"),
        ("les 17/18 juin, le 1er mai", "les dix-sept, dix-huit juin, le premier mai"),
        ("le 10 000e visiteur", "le dix millième visiteur"),
        ("2 1/2, ½ tasse, 3/7", "deux et demi, une demi tasse, trois septièmes"),
        ("06.12.34.56.78", "zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit"),
        ("+33 6 12 34 56 78",
         "plus trente-trois, six, douze, trente-quatre, cinquante-six, soixante-dix-huit"),
        ("L'ONU, l'IA, d'Artagnan", "L'onu, l'i a, d'Artagnan"),
        ("QU'EST-CE QUE C'EST ?", "qu'est-ce que C'est ?"),
        ("aujourd'hui j'aime l'eau", "aujourd'hui j'aime l'eau"),
        ("n°5, N° 12", "numéro cinq, numéro douze"),
        ("M. Petit et M. le Maire", "monsieur Petit et monsieur le Maire"),
        ("3 l/100 km", "trois litres aux cent kilomètres"),
        ("les années '80", "les années quatre-vingts"),
    ],
)  # fmt: skip
def test_french_is_read_as_a_speaker_would(written: str, said: str) -> None:
    """Numbers that agree, hours with their name, numbers of kings, words that lost their end."""
    assert normalize(written, 0, FRENCH).text == said


@pytest.mark.parametrize(
    ("number", "form", "said"),
    [
        (1, "f", "première"), (2, "seconde", "seconde"), (2, "f", "deuxième"), (5, "m", "cinquième"),
        (9, "m", "neuvième"), (21, "m", "vingt et unième"), (80, "m", "quatre-vingtième"), (200, "m",
        "deux centième"),
        (1000, "m", "millième"), (2_000_000, "m", "deux millionième"), (10, "plural", "dixièmes"),
    ],
)  # fmt: skip
def test_french_ordinals(number: int, form: str, said: str) -> None:
    """Without the "s" that ends the cardinal."""
    assert number_words("fr").ordinal(number, form) == said


def test_belgium_and_switzerland_count_in_tens() -> None:
    """Seventy and ninety have a name of their own there."""
    written = "71, 76, 79, 80, 90, 91, 97, 2 070"
    assert normalize(written, 0, NormalizerOptions(language="fr-BE")).text == (
        "septante et un, septante-six, septante-neuf, quatre-vingts, nonante, nonante et un, nonante-sept, "
        "deux mille septante"
    )
    assert normalize("1'250.50 CHF", 0, NormalizerOptions(language="fr-CH")).text == (
        "mille deux cent cinquante francs suisses et cinquante centimes"
    )


@settings(max_examples=200, deadline=None)
@given(_TEXTS)
def test_what_is_said_of_growing_french_is_never_taken_back(written: str) -> None:
    """What is said of a text's beginning, up to a space, is the beginning of what is said of all of it."""
    whole = normalize(written, 0, FRENCH)
    for end in (at for at in range(1, len(written)) if written[at] == " " and written[at - 1] != " "):
        begun = normalize(written[:end], 0, FRENCH, complete=False)
        assert whole.text.startswith(begun.text)
        assert whole.starts[: len(begun.text)] == begun.starts
