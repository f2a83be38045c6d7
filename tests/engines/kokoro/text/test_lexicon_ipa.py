"""What a lexicon's IPA does to what Kokoro is given, and to what is heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.espeak.client import EspeakClient
from engines.kokoro.engine import KokoroEngine
from engines.kokoro.text.espeak_ipa import phonemizer_for
from engines.kokoro.text.phonemes import MAX_UTTERANCE_SYMBOLS, Utterance, split_utterances
from engines.kokoro.text.vocabulary import VOCABULARY
from speech.text.incremental_text import IncrementalText
from speech.text.ipa import canonicalize
from speech.text.lexicon import Lexicon
from speech.text.normalizer import NormalizerOptions
from speech.text.segmenter import OpenTextSegment
from speech.types import Boundary, Pronunciation, Segment, SpeechChunk
from tests.judges.judge import hear, words_of

LANGUAGES = ["es", "es-MX", "en", "en-GB", "fr", "it", "pt", "pt-PT"]


def told(text: str, how: dict[str, str]) -> tuple[Pronunciation, ...]:
    return tuple(
        Pronunciation(text.index(word), text.index(word) + len(word), canonicalize(ipa))
        for word, ipa in sorted(how.items(), key=lambda item: text.index(item[0]))
    )


def spoken(text: str, language: str, pronunciations: Sequence[Pronunciation]) -> list[Utterance]:
    say = phonemizer_for(EspeakClient.shared(), language)
    assert say is not None
    return split_utterances(text, say, ending=".", pronunciations=pronunciations)


@pytest.mark.parametrize(
    ("language", "ipa", "symbols"),
    [
        ("en", "ˈsiːkwəl", "sˈikwəl"),
        ("en", "ˈkaɪ.oʊˌt͡ʃaʊ", "kˈIOʧˌW"),
        ("en", "ˈnɝs ˈbɛd ˈbed", "nˈɜɹs bˈɛd bˈɛd"),
        ("en", "ˈɡəʊ ˈɒtə", "ɡˈO ˈɑtə"),
        ("en", "ˈtʃɜːtʃ ˈdʒʌdʒ", "ʧˈɜɹʧ ʤˈʌʤ"),
        ("en", "ˈbʌtn̩", "bˈʌtᵊn"),
        ("en", "ʁyʒ ɲa", "ɹuʒ njæ"),
        ("en", "ˈʌʔoʊ", "ˈʌO"),
        ("en-GB", "ˈɡoʊ ˈheə ˈnɜːs", "ɡˈQ hˈɛː nˈɜːs"),
        ("es", "ˈai̯ ˈaj ˈai ˈau̯ ˈseis ˈoi̯", "ˈI ˈI ˈI ˈW sˈAs ˈoɪ"),
        ("es", "ˈmaʝo ˈmajo paˈis", "mˈaʝo mˈajo paˈis"),
        ("es", "ˈt͡ʃiko ˈtʃiko ɡaˈtsone", "ʧˈiko ʧˈiko ɡatsˈone"),
        ("fr", "tʁaˈvaj vɛ̃", "tʁavˈaj vɛ\u0303"),
        ("it", "ˈpit͡t͡sa ˈpit͡sːa ˈmai̯", "pˈitʦa pˈiʦːa mˈai"),
        ("pt", "ˈmɐ̃w̃", "mˈɐ\u0303w\u0303"),
        ("es", "ɦʉɓ ǃa", "hub ta"),
    ],
)
def test_ipa_becomes_the_symbols_of_the_language(language: str, ipa: str, symbols: str) -> None:
    say = phonemizer_for(EspeakClient.shared(), language)
    assert say is not None
    assert say.symbols_of_ipa(canonicalize(ipa)) == symbols


@given(
    st.text(
        "pbtdʈɖcɟkɡqɢʔmɱnɳɲŋɴʙrʀⱱɾɽɸβfvθðszʃʒʂʐçʝxɣχʁħʕhɦɬɮʋɹɻjɰlɭʎʟʍwɥʜʢʡɕʑɺɧʘǀǃǂǁɓɗʄɠʛɫ"
        "iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒɚɝᵻᵿᵊˈˌːˑ\u0303\u0329\u032f\u0361˞ʰ .",
        max_size=40,
    ),
    st.sampled_from(LANGUAGES),
)
def test_all_of_the_ipa_can_be_said(ipa: str, language: str) -> None:
    say = phonemizer_for(EspeakClient.shared(), language)
    assert say is not None
    try:
        kept = canonicalize(ipa)
    except ValueError:
        return
    symbols = say.symbols_of_ipa(kept)
    assert set(symbols) <= VOCABULARY.keys()
    assert symbols.strip("ˈˌ ː\u0303") or language.startswith("en")
    assert say.placeholder(kept).isalpha()


def by_word(text: str, language: str, **how: str) -> list[tuple[str, str]]:
    named = {name.replace("_", " "): ipa for name, ipa in how.items()}
    return [
        (text[word.start : word.end], utterance.symbols[word.first : word.stop])
        for utterance in spoken(text, language, told(text, named))
        for word in utterance.words
    ]


def test_the_words_around_are_said_as_beside_what_is_heard() -> None:
    assert dict(by_word("I use the ASQL", "en", ASQL="ˈeɪsiːkwəl"))["the"] == "ðɪ"
    assert dict(by_word("I use the SQL", "en", SQL="ˈsiːkwəl"))["the"] == "ðə"
    assert dict(by_word("les SQL", "fr", SQL="ɛskyˈɛl")) == {"les": "lez", "SQL": "ɛskyˈɛl"}
    assert dict(by_word("les SQL", "fr", SQL="syˈkɛl")) == {"les": "le", "SQL": "sykˈɛl"}
    assert by_word("de l'ONU", "fr", ONU="ɔny") == [("de", "də"), ("l'", "l"), ("ONU", "ɔny")]
    assert by_word("Worcester's beer", "en-GB", Worcester="ˈwʊstə")[:2] == [
        ("Worcester", "wˈʊstə"),
        ("'s", "z"),
    ]


def test_only_what_is_told_is_said_otherwise() -> None:
    text = "El SQL, de 25 SQL (o SQL): el Yosemite."
    plain = spoken(text, "es", ())[0].symbols
    other = spoken(text, "es", told(text, {"SQL": "siˈkwel", "Yosemite": "ʝoˈse.mi.ti"}))[0].symbols
    assert other == plain.replace("ˌesekˌuˈɛle", "sikwˈel", 1).replace("ʝˌosemˈite", "ʝosˈemiti")
    assert len(other) < len(plain)


def test_a_pronunciation_of_several_words() -> None:
    assert by_word("in Los Angeles, now", "en", Los_Angeles="lɔs ˈændʒələs")[1:3] == [
        ("Los", "lɔs"),
        ("Angeles", "ˈænʤələs"),
    ]
    assert by_word("in Los Angeles, now", "en", Los_Angeles="ɛlˈeɪ")[1] == ("Los Angeles", "ɛlˈA")


def test_marks_inside_of_what_is_pronounced_are_none() -> None:
    text = "etc., e.g. this"
    symbols = spoken(text, "en", told(text, {"etc.": "ɛtˈsɛtɹə", "e.g.": "fɚɪɡˈzæmpəl"}))[0].symbols
    assert symbols == "ɛtsˈɛtɹə, fəɹɪɡzˈæmpəl ðˈɪs."


@settings(deadline=None, max_examples=150)
@given(
    st.text(st.sampled_from("ab éñ1 3,.;'-\"(¿☃жSQL…"), max_size=150),
    st.lists(st.tuples(st.integers(0, 150), st.integers(1, 30)), max_size=5),
    st.sampled_from(["ˈsiːkwəl", "a", "ʔ", "di ˈɡru", "ˈaː" * 60]),
    st.sampled_from(LANGUAGES),
)
def test_any_text_and_places_give_what_the_model_takes(
    text: str, places: list[tuple[int, int]], ipa: str, language: str
) -> None:
    pronunciations, at = [], 0
    for start, length in sorted(places):
        end = min(start + length, len(text))
        if at <= start < end and text[start:end] == text[start:end].strip():
            pronunciations.append(Pronunciation(start, end, canonicalize(ipa)))
            at = end
    parts = spoken(text, language, pronunciations)
    for part in parts:
        assert 0 < len(part.symbols) <= MAX_UTTERANCE_SYMBOLS
        assert set(part.symbols) <= VOCABULARY.keys()
        assert all(0 <= word.first < word.stop <= len(part.symbols) for word in part.words)
        assert all(a.stop <= b.first for a, b in pairwise(part.words))
    words = [word for part in parts for word in part.words]
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    assert all(a.end <= b.start or (a.start, a.end) == (b.start, b.end) for a, b in pairwise(words))
    if phonemizer_for(EspeakClient.shared(), language).symbols_of_ipa(canonicalize(ipa)):  # type: ignore[union-attr]
        edges = {edge for word in words for edge in (word.start, word.end)}
        assert edges.issuperset(edge for one in pronunciations for edge in (one.start, one.end))


async def heard(engine: KokoroEngine, text: str, voice: str, language: str, how: dict[str, str]) -> list[str]:
    segment = Segment(text, voice, language, pronunciations=told(text, how))
    chunks = [chunk async for chunk in engine.synthesize(segment)]
    spans = [span for chunk in chunks for span in chunk.spans]
    assert [text[span.start : span.end] for span in spans] == [word.strip(".,") for word in text.split()]
    assert all(a.start_s <= b.start_s for a, b in pairwise(spans))
    return words_of(hear(np.concatenate([c.samples for c in chunks]), 24_000, language), language)


@pytest.mark.parametrize(
    ("language", "voice", "text", "how", "wanted", "unwanted"),
    [
        ("en", "af_heart", "We keep it in the SQL of the house.", {"SQL": "ˈsiːkwəl"}, "sequel", "sql"),
        pytest.param(
            "en",
            "am_michael",
            "My friend Xqz is a very good doctor.",
            {"Xqz": "ˈmaɪkəl"},
            "michael",
            "xqz",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "en-GB",
            "bm_george",
            "The road to Wxyz was long and cold.",
            {"Wxyz": "ˈlʌndən"},
            "london",
            "wxyz",
            marks=pytest.mark.slow,
        ),
        ("es", "ef_dora", "Mi amigo Xqz vive en esta ciudad.", {"Xqz": "aˈlexandɾo"}, "alejandro", "xqz"),
        pytest.param(
            "es-MX",
            "em_alex",
            "El coche de Wxyz es rojo y grande.",
            {"Wxyz": "maˈɾi.a"},
            "maría",
            "wxyz",
            marks=pytest.mark.slow,
        ),
    ],
)
async def test_whisper_hears_the_ipa_and_not_the_letters(
    engine: KokoroEngine,
    language: str,
    voice: str,
    text: str,
    how: dict[str, str],
    wanted: str,
    unwanted: str,
) -> None:
    words = await heard(engine, text, voice, language, how)
    assert wanted in words, words
    assert unwanted not in words, words
    (written,) = how
    assert words == [wanted if word == written.lower() else word for word in words_of(text, language)], words


async def written(engine: KokoroEngine, text: str, reading: NormalizerOptions) -> list[SpeechChunk]:
    words = text.split(" ")
    cut = OpenTextSegment(0, " ".join(words[:2]), None)
    given = 2

    @asynccontextmanager
    async def rest() -> AsyncIterator[None]:
        nonlocal given
        given += 1
        cut.text = " ".join(words[:given])
        if given == len(words):
            cut.boundary = Boundary.SENTENCE
        growing.update()
        yield

    growing = IncrementalText(cut, rest, reading)
    chunks = [chunk async for chunk in engine.stream(Segment("", "af_heart", "en"), growing)]
    assert cut.text == text
    return chunks


@pytest.mark.slow
async def test_a_text_that_is_written_says_its_ipa_too(engine: KokoroEngine) -> None:
    text = "We wrote to my friend Xqz last week, and she will be here soon with all of them."
    lasting = {}
    for ipa in ("ˈm", "ˈmaɪkəl ˈændɹuː ˈmaɪkəl"):
        reading = NormalizerOptions("en", Lexicon().with_request({"Xqz": f"/{ipa}/"}), accepts_ipa=True)
        spans = [span for chunk in await written(engine, text, reading) for span in chunk.spans]
        assert [text[span.start : span.end] for span in spans] == [word.strip(".,") for word in text.split()]
        assert all(a.start_s <= b.start_s for a, b in pairwise(spans))
        lasting[ipa] = next(span.end_s - span.start_s for span in spans if span.start == text.index("Xqz"))
    short, long = lasting.values()
    assert long > short + 0.5


@pytest.mark.slow
async def test_whisper_hears_a_lexicon_in_a_text_that_is_written(engine: KokoroEngine) -> None:
    text = "We keep the SQL of my friend Xqz in the old house near the river."
    lexicon = Lexicon().with_request({"SQL": "sequel", "Xqz": "/ˈmaɪkəl/"})
    chunks = await written(engine, text, NormalizerOptions("en", lexicon, accepts_ipa=True))
    words = words_of(hear(np.concatenate([chunk.samples for chunk in chunks]), 24_000, "en"), "en")
    assert words == words_of(text.replace("SQL", "sequel").replace("Xqz", "Michael"), "en")
