"""IPA from a lexicon: in Kokoro's symbols and in its audio."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kani.core.types import Pronunciation, Segment, SpeechChunk
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani.engines.kokoro.text.phonemes import MAX_UTTERANCE_SYMBOLS, Utterance, split_utterances
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani.text.ipa import canonicalize
from kani.text.lexicon import Lexicon
from kani.text.normalizer import NormalizerOptions
from tests.judges.judge import hear, words_of
from tests.support.kokoro import Writer, chunks_of, joined

LANGUAGES = ["es", "es-MX", "en", "en-GB", "fr", "it", "pt", "pt-PT", "hi"]


def pronounced(text: str, how: dict[str, str]) -> tuple[Pronunciation, ...]:
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
def test_ipa_is_adapted_to_language(language: str, ipa: str, symbols: str) -> None:
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
def test_any_ipa_is_pronounceable(ipa: str, language: str) -> None:
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
        for utterance in spoken(text, language, pronounced(text, named))
        for word in utterance.words
    ]


def test_neighbours_are_pronounced_as_beside_ipa() -> None:
    assert dict(by_word("I use the ASQL", "en", ASQL="ˈeɪsiːkwəl"))["the"] == "ðɪ"
    assert dict(by_word("I use the SQL", "en", SQL="ˈsiːkwəl"))["the"] == "ðə"
    assert dict(by_word("les SQL", "fr", SQL="ɛskyˈɛl")) == {"les": "lez", "SQL": "ɛskyˈɛl"}
    assert dict(by_word("les SQL", "fr", SQL="syˈkɛl")) == {"les": "le", "SQL": "sykˈɛl"}
    assert by_word("de l'ONU", "fr", ONU="ɔny") == [("de", "də"), ("l'", "l"), ("ONU", "ɔny")]
    assert by_word("Worcester's beer", "en-GB", Worcester="ˈwʊstə")[:2] == [
        ("Worcester", "wˈʊstə"),
        ("'s", "z"),
    ]


def test_only_given_words_change() -> None:
    text = "El SQL, de 25 SQL (o SQL): el Yosemite."
    plain = spoken(text, "es", ())[0].symbols
    other = spoken(text, "es", pronounced(text, {"SQL": "siˈkwel", "Yosemite": "ʝoˈse.mi.ti"}))[0].symbols
    assert other == plain.replace("ˌesekˌuˈɛle", "sikwˈel", 1).replace("ʝˌosemˈite", "ʝosˈemiti")
    assert len(other) < len(plain)


def test_pronunciation_of_several_words() -> None:
    assert by_word("in Los Angeles, now", "en", Los_Angeles="lɔs ˈændʒələs")[1:3] == [
        ("Los", "lɔs"),
        ("Angeles", "ˈænʤələs"),
    ]
    assert by_word("in Los Angeles, now", "en", Los_Angeles="ɛlˈeɪ")[1] == ("Los Angeles", "ɛlˈA")


def test_marks_inside_pronounced_text_are_ignored() -> None:
    text = "etc., e.g. this"
    symbols = spoken(text, "en", pronounced(text, {"etc.": "ɛtˈsɛtɹə", "e.g.": "fɚɪɡˈzæmpəl"}))[0].symbols
    assert symbols == "ɛtsˈɛtɹə, fəɹɪɡzˈæmpəl ðˈɪs."


@settings(deadline=None)
@given(
    st.text(st.sampled_from("ab éñ1 3,.;'-\"(¿☃жSQL…"), max_size=150),
    st.lists(st.tuples(st.integers(0, 150), st.integers(1, 30)), max_size=5),
    st.sampled_from(["ˈsiːkwəl", "a", "ʔ", "di ˈɡru", "ˈaː" * 60]),
    st.sampled_from(LANGUAGES),
)
def test_any_text_with_pronunciations_is_valid_input(
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
    segment = Segment(text, voice, language, pronunciations=pronounced(text, how))
    samples, spans = joined(await chunks_of(engine, segment))
    assert [text[span.start : span.end] for span in spans] == [word.strip(".,") for word in text.split()]
    assert all(a.start_s <= b.start_s for a, b in pairwise(spans))
    return words_of(hear(samples, 24_000, language), language)


@pytest.mark.parametrize(
    ("language", "voice", "text", "how", "expected_word", "letters"),
    [
        ("en", "af_heart", "We keep it in the SQL of the house.", {"SQL": "ˈsiːkwəl"}, "sequel", "sql"),
        ("en", "am_michael", "My friend Xqz is a very good doctor.", {"Xqz": "ˈmaɪkəl"}, "michael", "xqz"),
        ("en-GB", "bm_george", "The road to Wxyz was long and cold.", {"Wxyz": "ˈlʌndən"}, "london", "wxyz"),
        ("es", "ef_dora", "Mi amigo Xqz vive en esta ciudad.", {"Xqz": "aˈlexandɾo"}, "alejandro", "xqz"),
        ("es-MX", "em_alex", "El coche de Wxyz es rojo y grande.", {"Wxyz": "maˈɾi.a"}, "maría", "wxyz"),
    ],
)
async def test_ipa_is_intelligible(
    engine: KokoroEngine,
    language: str,
    voice: str,
    text: str,
    how: dict[str, str],
    expected_word: str,
    letters: str,
) -> None:
    words = await heard(engine, text, voice, language, how)
    assert expected_word in words, words
    assert letters not in words, words
    (written,) = how
    spelled = words_of(text, language)
    assert words == [expected_word if word == written.lower() else word for word in spelled], words


async def growing(engine: KokoroEngine, text: str, options: NormalizerOptions) -> list[SpeechChunk]:
    writer = Writer(text, 1, options, first=2)
    chunks = [chunk async for chunk in engine.stream(Segment("", "af_heart", "en"), writer.text)]
    assert writer.text.boundary is not None
    return chunks


async def test_growing_text_uses_ipa(engine: KokoroEngine) -> None:
    text = "We wrote to my friend Xqz last week, and she will be here soon with all of them."
    lasting = {}
    for ipa in ("ˈm", "ˈmaɪkəl ˈændɹuː ˈmaɪkəl"):
        options = NormalizerOptions("en", Lexicon().with_request({"Xqz": f"/{ipa}/"}), accepts_ipa=True)
        _, spans = joined(await growing(engine, text, options))
        assert [text[span.start : span.end] for span in spans] == [word.strip(".,") for word in text.split()]
        assert all(a.start_s <= b.start_s for a, b in pairwise(spans))
        lasting[ipa] = next(span.end_s - span.start_s for span in spans if span.start == text.index("Xqz"))
    short, long = lasting.values()
    assert long > short + 0.5


async def test_lexicon_is_intelligible_in_growing_text(engine: KokoroEngine) -> None:
    text = "We keep the SQL of my friend Xqz in the old house near the river."
    lexicon = Lexicon().with_request({"SQL": "sequel", "Xqz": "/ˈmaɪkəl/"})
    samples, _ = joined(await growing(engine, text, NormalizerOptions("en", lexicon, accepts_ipa=True)))
    words = words_of(hear(samples, 24_000, "en"), "en")
    assert words == words_of(text.replace("SQL", "sequel").replace("Xqz", "Michael"), "en")
