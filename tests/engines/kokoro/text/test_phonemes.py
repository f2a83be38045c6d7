"""Conversion of text to Kokoro's symbols, and their assignment to words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.text import espeak_ipa
from kani.engines.kokoro.text.espeak_ipa import espeak_voice, phonemizer_for
from kani.engines.kokoro.text.phonemes import MAX_UTTERANCE_SYMBOLS, Utterance, split_utterances
from kani.engines.kokoro.text.symbol_words import assign_symbols
from kani.engines.kokoro.text.vocabulary import VOCABULARY


def spoken(text: str, language: str, ending: str = "") -> list[Utterance]:
    say = phonemizer_for(EspeakClient.shared("phonemes"), language)
    assert say is not None
    return split_utterances(text, say, ending=ending)


def by_word(text: str, language: str) -> dict[str, str]:
    return {
        text[word.start : word.end]: utterance.symbols[word.first : word.stop]
        for utterance in spoken(text, language)
        for word in utterance.words
    }


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("The U S A and the A I.", "ðə jˈu ˈɛs ˈA ænd ðɪ ˈA ˈI."),
        ("C A N.", "sˈi ˈA ˈɛn."),
        ("Nine a m on a map.", "nˈIn ˈA ˈɛm ˌɔn ə mˈæp."),
        ("Vitamin A is good.", "vˈITəmɪn ˈA ɪz ɡˈʊd."),
        ("A man had a Big A.", "ə mˈæn hæd ə bˈɪɡ ˈA."),
        ("Lost in A City.", "lˈɔst ɪn ə sˈɪTi."),
        ("- A new thing.", "ə nˈu θˈɪŋ."),
    ],
)
def test_letter_a_is_no_article(text: str, symbols: str) -> None:
    [utterance] = spoken(text, "en-US")
    assert utterance.symbols == symbols
    assert [text[word.start : word.end] for word in utterance.words] == text.strip("-. ").split()


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("I was here.", "ˌI wʌz hˈɪɹ."),
        ("Sure, I can, and I see.", "ʃˈʊɹ, ˌI kˈæn, ænd ˌI sˈi."),
        ("I am late.", "ˌI æm lˈAt."),
        ("Yes, I am.", "jˈɛs, ˌI ˈæm."),
        ("I'm in, I'll win, I'd go.", "ˌIm ˈɪn, ˌIl wˈɪn, ˌId ɡˈO."),
        ("You and I.", "ju ænd ˈI."),
        ("My eye, an aisle.", "mI ˈI, ən ˈIəl."),
    ],
)
def test_pronoun_i_is_stressed(text: str, symbols: str) -> None:
    [utterance] = spoken(text, "en-US")
    assert utterance.symbols == symbols
    assert [text[word.start : word.end] for word in utterance.words] == [
        word.strip(".,") for word in text.split()
    ]
    assert "ˌI wɒz hˈɪə" in spoken("I was here", "en-GB")[0].symbols


def test_vocabulary_has_114_symbols() -> None:
    assert len(VOCABULARY) == 114
    assert len(set(VOCABULARY.values())) == 114
    assert all(len(symbol) == 1 for symbol in VOCABULARY)
    assert 0 not in VOCABULARY.values()


@pytest.mark.parametrize(
    ("language", "voice"),
    [
        ("es", "es"),
        ("es-ES", "es"),
        ("es-MX", "es-419"),
        ("es-419", "es-419"),
        ("en", "en-us"),
        ("en-GB", "en-gb-x-rp"),
        ("en-CA", "en-us"),
        ("fr-FR", "fr"),
        ("it", "it"),
        ("pt", "pt-br"),
        ("pt-PT", "pt"),
        ("hi-IN", "hi"),
        ("zh-Hans-CN", None),
        ("de-AT", "de"),
        ("el", None),
    ],
)
def test_languages_have_espeak_voice(language: str, voice: str | None) -> None:
    assert espeak_voice(language) == voice
    assert voice is None or EspeakClient.shared().has_voice(voice)


@pytest.mark.parametrize(
    ("language", "text", "symbols"),
    [
        ("en", "the voice of a judge", "ðə vˈYs əvə ʤˈʌʤ"),
        ("en", "my house, a day", "mI hˈWs, ə dˈA"),
        ("en", "better water", "bˈɛTəɹ wˈɔTəɹ"),
        ("en", "measure of a bird", "mˈɛʒəɹ əvə bˈɜɹd"),
        ("en", "anybody saw everything", "ˈɛnibˌɑdi sˈɔ ˈɛvɹiθˌɪŋ"),
        ("en", "penitent leverage", "pˈɛnɪtənt lˈɛvəɹɪʤ"),
        ("en-GB", "no hair there", "nˈQ hˈɛː ðˈɛː"),
        ("es", "¡Qué noche!", "kˈe nˈoʧe!"),
        ("es", "seis cervezas", "sˈAs θeɾβˈeθas"),
        ("es-MX", "seis cervezas", "sˈAs seɾβˈesas"),
        ("fr", "les amis", "lez amˈi"),
        ("it", "la pizza", "la pˈiʦːa"),
        ("pt", "bom dia", "bˈoŋ ʤˈiæ"),
        ("de", "heute zwei Brüder", "hˈYtə ʦvˈI bɾˈyːdɐ"),
        ("nl", "een mooie brug", "ən mˈoːjə brˈœx"),
        ("pl", "dziękuję, cześć", "ʥɛŋkˈujɛ, ʧˈɛɕʨ"),
        ("ru", "тётя и лето", "tʲˈotʲʌ ɪ lʲˈetʌ"),
        ("tr", "akşam okul", "akʃˈam okˈʊl"),
    ],
)
def test_symbols_match_training_text(language: str, text: str, symbols: str) -> None:
    assert spoken(text, language)[0].symbols == symbols


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("Hola, amigo.", ", ."),
        ("¿Hola? ¡Amigo!", "? !"),
        ("Hola... amigo…", "… …"),
        ("Hola!!! Amigo???", "! ?"),
        ("(hola) amigo", "( ) "),
        ("dijo «hola»", "“ ”"),
        ('dijo "hola", amigo', "“ ”, "),
        ("hola — amigo", " — "),
        ("hola - amigo", " — "),
        ("ex-marido", ""),
        ("… hola", ""),
        ("hola (", ""),
        ("Bonjour ! Oui", "! "),
    ],
)
def test_known_punctuation_is_kept(text: str, marks: str) -> None:
    letters = {symbol for symbol in VOCABULARY if symbol.isalnum() or symbol in "ˈˌː "}
    symbols = spoken(text, "es")[0].symbols
    assert "".join(symbol for symbol in symbols if symbol not in letters) == marks.replace(" ", "")
    assert "  " not in symbols
    assert symbols == symbols.strip()
    assert all(f" {mark}" not in symbols for mark in ",.!?…)”")


@pytest.mark.parametrize("text", ["3,5", "3.5", "3:30", "1.000.000", "www.ejemplo.es", "https://a.es"])
def test_periods_inside_numbers_and_names_are_not_marks(text: str) -> None:
    spoken_as = spoken(text, "es")[0]
    assert not set(spoken_as.symbols) & set(",.:")
    assert [text[word.start : word.end] for word in spoken_as.words] == [text]


def test_ending_is_added_only_where_missing() -> None:
    assert spoken("hola", "es", ending=".")[0].symbols == "ˈola."
    assert spoken("hola?", "es", ending=".")[0].symbols == "ˈola?"


@pytest.mark.parametrize("text", ["", " ", "…", "?!", '"', "-- … ,", "(", "\n"])
def test_unpronounceable_text_has_no_utterance(text: str) -> None:
    assert spoken(text, "es", ending=".") == []


def test_joined_words_are_separated() -> None:
    spoken_as = by_word("Some of the people in the house", "en")
    assert (spoken_as["of"], spoken_as["in"]) == ("ʌv", "ɪn")
    assert spoken_as["people"] == "pˈipᵊl"
    assert spoken_as["house"] == "hˈWs"


def test_word_of_one_letter_is_kept() -> None:
    spoken_as = by_word("I am Michael", "en")
    assert list(spoken_as) == ["I", "am", "Michael"]
    assert spoken_as["I"] == "ˌI"


def test_number_of_several_words_is_one_word() -> None:
    spoken_as = by_word("In 1999 the U.S.A. paid $25.50 for 3 of the 7 ships", "en")
    assert spoken_as["1999"].count(" ") == 2
    assert spoken_as["$25.50"].startswith("dˈɑləɹ twˈɛnti")
    assert spoken_as["ships"] == "ʃˈɪps"
    assert spoken_as["U.S.A."] == "jˌuˌɛsˈA"


def test_liaison_belongs_to_word_before() -> None:
    spoken_as = by_word("Les amis ont eu vingt-et-un chevaux", "fr")
    assert spoken_as == {
        "Les": "lez",
        "amis": "amˈi",
        "ont": "ˈɔ̃t",
        "eu": "y",
        "vingt-et-un": "vˈɛ̃teœ̃",
        "chevaux": "ʃəvˈo",
    }


def test_symbols_follow_letters_through_joined_words() -> None:
    alone = {"uno": "ˈuno", "de": "de", "los": "los", "25": "bAnti θˈinko"}
    expected = "0000_11222_33333_333333"
    found = assign_symbols("ˈuno ðelos βAnti sˈinko", list(alone), list(alone.values()))
    assert "".join("_" if owner < 0 else str(owner) for owner in found) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (
            "Well, of the 25 people I had asked, one of them, in the end, was at the station by a quarter.",
            "en",
        ),
        ("Les amis d'un ami, qu'il a vus, ont eu vingt-et-un chevaux et 3 ânes.", "fr"),
    ],
)
def test_espeak_is_asked_twice_for_new_words_and_once_later(
    text: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []
    phonemize_all = EspeakClient.phonemize_all

    def counted(self: EspeakClient, texts: Sequence[str], voice: str, tie: str | None = None) -> list[str]:
        asked.append(texts)
        return phonemize_all(self, texts, voice, tie)

    monkeypatch.setattr(EspeakClient, "phonemize_all", counted)
    monkeypatch.setattr(espeak_ipa, "_WORDS", espeak_ipa.WordCache(100))
    first = spoken(text, language)
    assert len(asked) == 2
    assert len(set(asked[1])) == len(asked[1])
    assert spoken(text, language) == first
    assert len(asked) == 3
    assert asked[2] == asked[0]


def test_word_cache_drops_words_unused_longest() -> None:
    cache, asked = espeak_ipa.WordCache(2), list[str]()

    def phonemize(words: Sequence[str]) -> list[str]:
        asked.extend(words)
        return [word.upper() for word in words]

    for words in (["a", "b", "a"], ["a"], ["c"], ["a", "c"], ["b"]):
        assert cache.get("es", words, phonemize) == {word: word.upper() for word in words}
    assert asked == ["a", "b", "c", "b"]
    cache.get("en-us", ["b"], phonemize)
    assert asked == ["a", "b", "c", "b", "b"]


def test_long_text_is_cut_at_marks() -> None:
    text = " ".join(f"Esta es la frase número {number}, y no dice casi nada." for number in range(1, 60))
    parts = spoken(text, "es")
    assert len(parts) > 3
    assert all(len(part.symbols) <= MAX_UTTERANCE_SYMBOLS for part in parts)
    assert all(part.symbols.endswith((".", ",")) for part in parts)
    words = [text[word.start : word.end] for part in parts for word in part.words]
    assert words == text.replace(",", "").replace(".", "").split()
    assert min(len(part.symbols) for part in parts) > MAX_UTTERANCE_SYMBOLS / 3


@pytest.mark.parametrize(
    "text", ["x" * 250, "1234567890" * 30, "palabra" * 40, "ab" * 5000, "w" * 900, "pa " * 3000]
)
def test_overlong_words_are_kept(text: str) -> None:
    parts = spoken(text, "es")
    assert all(0 < len(part.symbols) <= MAX_UTTERANCE_SYMBOLS for part in parts)
    spoken_as = {at for part in parts for word in part.words for at in range(word.start, word.end)}
    assert spoken_as == {at for at, character in enumerate(text) if character != " "}


@settings(deadline=None)
@example("112144444444444444444444444", "es")  # cut inside of a number, at one of its spaces
@given(st.text(max_size=200), st.sampled_from(["es", "en", "fr", "it", "pt", "es-MX", "en-GB"]))
def test_any_text_is_valid_input(text: str, language: str) -> None:
    parts = spoken(text, language, ending=".")
    for part in parts:
        assert 0 < len(part.symbols) <= MAX_UTTERANCE_SYMBOLS
        assert set(part.symbols) <= VOCABULARY.keys()
        assert part.words
        assert all(0 <= word.first < word.stop <= len(part.symbols) for word in part.words)
        assert all(a.stop <= b.first for a, b in pairwise(part.words))
    words = [word for part in parts for word in part.words]
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    assert all(not text[word.start].isspace() and not text[word.end - 1].isspace() for word in words)
    assert all(a.end <= b.start or (a.start, a.end) == (b.start, b.end) for a, b in pairwise(words))
