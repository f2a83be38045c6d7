"""Text to the symbols of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from kani.core.types import Pronunciation
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints.reading import CheckpointReader, Unreadable
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.text.readers import reader_for
from kani.engines.kokoro.text.vocabulary import VOCABULARY

NOWHERE = Path("no-such-folder")


def reader(vocabulary: dict[str, int] = VOCABULARY, cache: Path = NOWHERE) -> CheckpointReader:
    return CheckpointReader(EspeakClient.shared(), vocabulary, cache)


def symbols(text: str, language: str, vocabulary: dict[str, int] = VOCABULARY) -> str:
    (utterance,) = split_utterances(text, reader(vocabulary).reader(language))
    return utterance.symbols


def test_german_is_written_as_its_checkpoints_were_trained() -> None:
    # misaki's table, and y where Kokoro has no letter: not the sounds that an Italian voice is given.
    assert symbols("zwei Hütten", "de") == "ʦvˈI hˈytən"
    assert symbols("neun Leute", "de-AT") == "nˈɔøn lˈɔøtə"
    accented = reader_for(EspeakClient.shared(), "de", NOWHERE)
    assert accented is not None and split_utterances("neun", accented)[0].symbols == "nˈYn"


def test_kokoro_s_own_languages_are_written_alike() -> None:
    for language, text in (("en", "Nobody waited for the little button."), ("es", "¿Qué hora es?")):
        own = reader_for(EspeakClient.shared(), language, NOWHERE)
        assert own is not None
        assert symbols(text, language) == split_utterances(text, own)[0].symbols


def test_language_without_a_table_is_spoken_and_takes_ipa() -> None:
    text = "God morgon Xqz."
    (utterance,) = split_utterances(
        text, reader().reader("sv-SE"), pronunciations=[Pronunciation(11, 14, "ˈmaɪkəl")]
    )
    assert len(utterance.words) == 3 and "mˈ" in utterance.symbols
    assert symbols("hus full", "sv") == "hˈɨs fˈɜl"
    assert set(utterance.symbols) <= VOCABULARY.keys()


@pytest.mark.parametrize("language", ["de", "sv", "en", "es", "zh", "ja"])
def test_published_symbols_suffice(language: str, cache: Path) -> None:
    of_kokoro = reader(cache=cache)
    of_kokoro.check(language)
    assert all(set(text) <= VOCABULARY.keys() for text in of_kokoro.texts(language))


def without(*letters: str) -> dict[str, int]:
    return {symbol: token for symbol, token in VOCABULARY.items() if symbol not in letters}


@pytest.mark.parametrize(
    ("vocabulary", "language", "reason"),
    [
        (without("ʁ", "ɡ"), "de", "config.json: vocab lacks .*ɡ.*, which de needs"),
        (without("…"), "de", "vocab lacks …, which de needs"),
        (without("w"), "en", "vocab lacks w, which en needs"),
        ({**VOCABULARY, "ㄅ": 30}, "zh", "its Chinese is written in zhuyin"),
        (VOCABULARY, "xx", "espeak-ng has no voice of the language xx"),
    ],
)
def test_other_symbols_are_refused(vocabulary: dict[str, int], language: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        reader(vocabulary).check(language)
