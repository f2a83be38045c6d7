"""Text and a lexicon's IPA to Kokoro's symbols, and their assignment to words."""

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kani.core.types import Pronunciation, Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.text import espeak_ipa
from kani.engines.kokoro.text.espeak_ipa import Phonemizer, espeak_voice, phonemizer_for
from kani.engines.kokoro.text.phonemes import MAX_UTTERANCE_SYMBOLS, Utterance, split_utterances
from kani.engines.kokoro.text.symbol_words import assign_symbols
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani_text.lexicon import Lexicon
from kani_text.normalizer import NormalizerOptions
from kani_text.phonetics import canonicalize
from tests.judges.judge import hear, words_of
from tests.support.kokoro import Writer, check_utterances, chunks_of, joined
from tests.support.tables import raw_rows


def say_of(language: str) -> Phonemizer:
    phonemizer = phonemizer_for(EspeakClient.shared("phonemes"), language)
    assert phonemizer is not None
    return phonemizer


def spoken(
    text: str, language: str, ending: str = "", pronunciations: Sequence[Pronunciation] = ()
) -> list[Utterance]:
    return split_utterances(text, say_of(language), ending=ending, pronunciations=pronunciations)


def pronounced(text: str, how: dict[str, str]) -> tuple[Pronunciation, ...]:
    return tuple(
        Pronunciation(text.index(word), text.index(word) + len(word), canonicalize(ipa))
        for word, ipa in sorted(how.items(), key=lambda item: text.index(item[0]))
    )


def by_word(text: str, language: str, **how: str) -> list[tuple[str, str]]:
    named = {name.replace("_", " "): ipa for name, ipa in how.items()}
    return [
        (text[word.start : word.end], utterance.symbols[word.first : word.stop])
        for utterance in spoken(text, language, ".", pronounced(text, named))
        for word in utterance.words
    ]


@pytest.mark.parametrize(("language", "text", "symbols"), raw_rows(__file__, "symbols.tsv"))
def test_symbols_match_training_text(language: str, text: str, symbols: str) -> None:
    """The letter A is no article, and the pronoun I is stressed; /IPA/ is adapted to the language."""
    if text.startswith("/"):
        assert say_of(language).symbols_of_ipa(canonicalize(text.strip("/"))) == symbols
        return
    (utterance,) = spoken(text, language)
    assert utterance.symbols == symbols
    words = [text[word.start : word.end] for word in utterance.words]
    assert words == re.findall(r"[\w']+", text)


def test_vocabulary_has_114_symbols() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY.values())) == 114
    assert all(len(symbol) == 1 for symbol in VOCABULARY) and 0 not in VOCABULARY.values()


ESPEAK = """es=es es-ES=es es-MX=es-419 es-419=es-419 en=en-us en-GB=en-gb-x-rp en-CA=en-us fr-FR=fr it=it
    pt=pt-br pt-PT=pt hi-IN=hi zh-Hans-CN= de-AT=de el="""


@pytest.mark.parametrize(("language", "voice"), [pair.split("=") for pair in ESPEAK.split()])
def test_languages_have_espeak_voice(language: str, voice: str) -> None:
    assert espeak_voice(language) == (voice or None)
    assert not voice or EspeakClient.shared().has_voice(voice)


PUNCTUATION = {
    "Hola, amigo.": ", .",
    "¿Hola? ¡Amigo!": "? !",
    "Hola... amigo…": "… …",
    "Hola!!! Amigo???": "! ?",
    "(hola) amigo": "( ) ",
    "dijo «hola»": "“ ”",
    'dijo "hola", amigo': "“ ”, ",
    "hola — amigo": " — ",
    "hola - amigo": " — ",
    "ex-marido": "",
    "… hola": "",
    "hola (": "",
    "Bonjour ! Oui": "! ",
    **dict.fromkeys(["3,5", "3.5", "3:30", "1.000.000", "www.ejemplo.es", "https://a.es"], ""),
}


@pytest.mark.parametrize("text", PUNCTUATION)
def test_known_punctuation_is_kept(text: str) -> None:
    letters = {symbol for symbol in VOCABULARY if symbol.isalnum() or symbol in "ˈˌː "}
    (found,) = spoken(text, "es")
    symbols = found.symbols
    marks = "".join(symbol for symbol in symbols if symbol not in letters)
    assert marks == PUNCTUATION[text].replace(" ", "")
    words = [part.strip('¿?¡!.…,()«»"—-') for part in text.split()]
    assert [text[word.start : word.end] for word in found.words] == list(filter(None, words))
    assert "  " not in symbols
    assert symbols == symbols.strip()
    assert all(f" {mark}" not in symbols for mark in ",.!?…)”")


def test_ending_is_added_only_to_speech_that_lacks_it() -> None:
    texts = ("hola", "hola?", "", " ", "…", "?!", '"', "-- … ,", "(", "\n")
    found = {text: [part.symbols for part in spoken(text, "es", ending=".")] for text in texts}
    assert found == {text: [] for text in texts} | {"hola": ["ˈola."], "hola?": ["ˈola?"]}


def test_words_have_their_own_symbols() -> None:
    spoken_as = dict(by_word("Some of the people in the house", "en"))
    assert (spoken_as["of"], spoken_as["in"]) == ("ʌv", "ɪn")
    assert (spoken_as["people"], spoken_as["house"]) == ("pˈipᵊl", "hˈWs")
    spoken_as = dict(by_word("I am Michael", "en"))
    assert list(spoken_as) == ["I", "am", "Michael"] and spoken_as["I"] == "ˌI"
    spoken_as = dict(by_word("In 1999 the U.S.A. paid $25.50 for 3 of the 7 ships", "en"))
    assert spoken_as["1999"].count(" ") == 2
    assert spoken_as["$25.50"].startswith("dˈɑləɹ twˈɛnti")
    assert (spoken_as["ships"], spoken_as["U.S.A."]) == ("ʃˈɪps", "jˌuˌɛsˈA")
    # Liaison belongs to the word before.
    spoken_as = dict(by_word("Les amis ont eu vingt-et-un chevaux", "fr"))
    expected = {"Les": "lez", "amis": "amˈi", "ont": "ˈɔ̃t", "eu": "y", "vingt-et-un": "vˈɛ̃teœ̃"}
    assert spoken_as == expected | {"chevaux": "ʃəvˈo"}
    # The second time, all words are known.
    for text, language in (
        ("Well, of the 25 people I had asked, one of them, in the end, was at the station.", "en"),
        ("Les amis d'un ami, qu'il a vus, ont eu vingt-et-un chevaux et 3 ânes.", "fr"),
    ):
        assert spoken(text, language) == spoken(text, language)


def test_symbols_follow_letters_through_joined_words() -> None:
    alone = {"uno": "ˈuno", "de": "de", "los": "los", "25": "bAnti θˈinko"}
    expected = "0000_11222_33333_333333"
    found = assign_symbols("ˈuno ðelos βAnti sˈinko", list(alone), list(alone.values()))
    assert "".join("_" if owner < 0 else str(owner) for owner in found) == expected


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


@example("112144444444444444444444444", "es")  # cut inside of a number, at one of its spaces
@given(st.text(max_size=200), st.sampled_from(["es", "en", "fr", "it", "pt", "es-MX", "en-GB"]))
def test_any_text_is_valid_input(text: str, language: str) -> None:
    parts = spoken(text, language, ending=".")
    assert all(part.words for part in parts)
    for word in check_utterances(parts, text):
        assert not text[word.start].isspace() and not text[word.end - 1].isspace()


LANGUAGES = ["es", "es-MX", "en", "en-GB", "fr", "it", "pt", "pt-PT", "hi"]


@given(
    st.text(
        "pbtdʈɖcɟkɡqɢʔmɱnɳɲŋɴʙrʀⱱɾɽɸβfvθðszʃʒʂʐçʝxɣχʁħʕhɦɬɮʋɹɻjɰlɭʎʟʍwɥʜʢʡɕʑɺɧʘǀǃǂǁɓɗʄɠʛɫ"
        "iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒɚɝᵻᵿᵊˈˌːˑ\u0303\u0329\u032f\u0361˞ʰ .",
        max_size=40,
    ),
    st.sampled_from(LANGUAGES),
)
def test_any_ipa_is_pronounceable(ipa: str, language: str) -> None:
    say = say_of(language)
    try:
        kept = canonicalize(ipa)
    except ValueError:
        return
    symbols = say.symbols_of_ipa(kept)
    assert set(symbols) <= VOCABULARY.keys()
    assert symbols.strip("ˈˌ ː\u0303") or language.startswith("en")
    assert say.placeholder(kept).isalpha()


def test_neighbours_are_pronounced_as_beside_ipa() -> None:
    assert dict(by_word("I use the ASQL", "en", ASQL="ˈeɪsiːkwəl"))["the"] == "ðɪ"
    assert dict(by_word("I use the SQL", "en", SQL="ˈsiːkwəl"))["the"] == "ðə"
    assert dict(by_word("les SQL", "fr", SQL="ɛskyˈɛl")) == {"les": "lez", "SQL": "ɛskyˈɛl"}
    assert dict(by_word("les SQL", "fr", SQL="syˈkɛl")) == {"les": "le", "SQL": "sykˈɛl"}
    assert by_word("de l'ONU", "fr", ONU="ɔny") == [("de", "də"), ("l'", "l"), ("ONU", "ɔny")]
    beer = by_word("Worcester's beer", "en-GB", Worcester="ˈwʊstə")
    assert beer[:2] == [("Worcester", "wˈʊstə"), ("'s", "z")]


def test_only_given_words_change() -> None:
    text = "El SQL, de 25 SQL (o SQL): el Yosemite."
    plain = spoken(text, "es", ".", ())[0].symbols
    how = pronounced(text, {"SQL": "siˈkwel", "Yosemite": "ʝoˈse.mi.ti"})
    other = spoken(text, "es", ".", how)[0].symbols
    assert other == plain.replace("ˌesekˌuˈɛle", "sikwˈel", 1).replace("ʝˌosemˈite", "ʝosˈemiti")
    assert len(other) < len(plain)


def test_pronunciations_cover_several_words_and_marks() -> None:
    both = by_word("in Los Angeles, now", "en", Los_Angeles="lɔs ˈændʒələs")
    assert both[1:3] == [("Los", "lɔs"), ("Angeles", "ˈænʤələs")]
    assert by_word("in Los Angeles, now", "en", Los_Angeles="ɛlˈeɪ")[1] == ("Los Angeles", "ɛlˈA")
    text = "etc., e.g. this"
    how = pronounced(text, {"etc.": "ɛtˈsɛtɹə", "e.g.": "fɚɪɡˈzæmpəl"})
    assert spoken(text, "en", ".", how)[0].symbols == "ɛtsˈɛtɹə, fəɹɪɡzˈæmpəl ðˈɪs."


@given(
    st.text(st.sampled_from("ab éñ1 3,.;'-\"(¿☃жSQL…"), max_size=150),
    st.lists(st.tuples(st.integers(0, 150), st.integers(1, 30)), max_size=5),
    st.sampled_from(["ˈsiːkwəl", "a", "ʔ", "di ˈɡru", "ˈaː" * 60]),
    st.sampled_from(LANGUAGES),
)
def test_pronunciations_are_valid(text: str, places: list[tuple[int, int]], ipa: str, language: str) -> None:
    pronunciations, at = [], 0
    for start, length in sorted(places):
        end = min(start + length, len(text))
        if at <= start < end and text[start:end] == text[start:end].strip():
            pronunciations.append(Pronunciation(start, end, canonicalize(ipa)))
            at = end
    words = check_utterances(spoken(text, language, ".", pronunciations), text)
    if say_of(language).symbols_of_ipa(canonicalize(ipa)):
        edges = {edge for word in words for edge in (word.start, word.end)}
        assert edges.issuperset(edge for one in pronunciations for edge in (one.start, one.end))


@pytest.mark.parametrize(
    ("language", "voice", "text", "written", "ipa", "said"),
    [
        ("en", "af_heart", "We keep it in the SQL of the house.", "SQL", "ˈsiːkwəl", "sequel"),
        ("en", "am_michael", "My friend Xqz is a very good doctor.", "Xqz", "ˈmaɪkəl", "michael"),
        ("en-GB", "bm_george", "The road to Wxyz was long and cold.", "Wxyz", "ˈlʌndən", "london"),
        ("es", "ef_dora", "Mi amigo Xqz vive en esta ciudad.", "Xqz", "aˈlexandɾo", "alejandro"),
        ("es-MX", "em_alex", "El coche de Wxyz es rojo y grande.", "Wxyz", "maˈɾi.a", "maría"),
    ],
)
async def test_ipa_is_intelligible(
    engine: KokoroEngine, language: str, voice: str, text: str, written: str, ipa: str, said: str
) -> None:
    segment = Segment(text, voice, language, pronunciations=pronounced(text, {written: ipa}))
    samples, spans = joined(await chunks_of(engine, segment))
    assert [text[span.start : span.end] for span in spans] == [word.strip(".,") for word in text.split()]
    assert all(a.start_s <= b.start_s for a, b in pairwise(spans))
    words = words_of(hear(samples, 24_000, language), language)
    assert words == words_of(text.replace(written, said), language)


async def test_lexicon_is_intelligible_in_growing_text(engine: KokoroEngine) -> None:
    text = "We keep the SQL of my friend Xqz in the old house near the river."
    lexicon = Lexicon().with_request({"SQL": "sequel", "Xqz": "/ˈmaɪkəl/"})
    writer = Writer(text, 1, NormalizerOptions("en", lexicon, accepts_ipa=True), first=2)
    begun = Segment("", "af_heart", "en")
    samples, _ = joined([chunk async for chunk in engine.stream(begun, writer.text)])
    assert writer.text.boundary is not None
    words = words_of(hear(samples, 24_000, "en"), "en")
    assert words == words_of(text.replace("SQL", "sequel").replace("Xqz", "Michael"), "en")
