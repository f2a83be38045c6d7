"""Chinese and Japanese text to Kokoro's symbols: readings, words, and the symbols of each."""

import os
import re
import signal
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kani.core.errors import EngineFailed
from kani.core.types import Pronunciation
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.text import readers
from kani.engines.kokoro.text.phonemes import Utterance, split_utterances
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.readers import missing_packages, reader_for, spoken_languages
from kani.engines.kokoro.text.unspaced import dictionary
from kani.engines.kokoro.text.unspaced.chinese import symbols_of_syllable
from kani.engines.kokoro.text.unspaced.japanese import JapaneseReader, symbols_of_kana
from tests.support.kokoro import check_utterances
from tests.support.patience import until
from tests.support.tables import raw_rows

pytestmark = pytest.mark.skipif(
    any(missing_packages(language) for language in ("zh", "ja")), reason="pypinyin, rjieba or haqumei missing"
)


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TextReader]:
    """The readers by language; the Japanese dictionary is unpacked once."""
    found = {}
    for language in ("zh", "ja", "hi"):
        reader = reader_for(EspeakClient.shared("phonemes"), language, tmp_path_factory.getbasetemp())
        assert reader is not None
        found[language] = reader
    return found


@pytest.mark.parametrize(("writing", "text", "symbols"), raw_rows(__file__, "writings.tsv"))
def test_writing_has_its_symbols(read: dict[str, TextReader], writing: str, text: str, symbols: str) -> None:
    """Syllables in pinyin, kana, and sentences of a language."""
    if writing == "pinyin":
        assert symbols_of_syllable(text) == symbols
    elif writing == "kana":
        found, starts = symbols_of_kana(text)
        assert found == symbols
        assert len(starts) == len(text) and list(starts) == sorted(starts)
    else:
        assert "".join(part.symbols for part in split_utterances(text, read[writing])) == symbols


def phrases(language: str) -> list[list[str]]:
    """The fields of each line of a file in phrases/."""
    lines = (Path(__file__).parent / "phrases" / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("name", "most"), [("polyphones", 2), ("more_polyphones", 4), ("traditional", 2)])
def test_polyphones_are_read_by_their_context(name: str, most: int) -> None:
    found = (re.fullmatch(r"(\D+)(\d)(.+)", phrase) for row in phrases(name) for phrase in row)
    wrong = wrong_syllables((match[1], match[2], match[3]) for match in found if match)
    assert len(wrong) <= most, wrong


def test_later_lists_and_contexts_decide_readings(read: dict[str, TextReader]) -> None:
    rows = phrases("zh")
    assert len(rows) >= 300 and not wrong_syllables((text, place, syllable) for text, place, syllable in rows)
    wrong, rows = [], phrases("ja")
    for text, readings in rows:
        wanted = {"".join(symbols_of_kana(part)[0] for part in one.split("_")) for one in readings.split("/")}
        found = split_utterances(text, read["ja"])[0].symbols.replace(" ", "")
        if found not in wanted:
            wrong.append((text, found))
    assert len(rows) >= 300 and not wrong, wrong


def wrong_syllables(rows: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The phrases, their expected syllables and the found ones, where these differ."""
    from kani.engines.kokoro.text.unspaced.chinese_readings import ChineseReadings

    readings = ChineseReadings()
    found = [(text, want, readings.read(text)[1][int(place)]) for text, place, want in rows]
    return [(text, want, got) for text, want, got in found if got.replace("v", "ü") != want]


@pytest.mark.parametrize("phrase", [phrase for row in phrases("kana") for phrase in row])
def test_japanese_is_read_as_it_is_said(read: dict[str, TextReader], phrase: str) -> None:
    parts = re.fullmatch(r"(\S*?[^ァ-ー\s])([ァ-ー]+)", phrase)
    assert parts is not None
    (found,) = split_utterances(parts[1], read["ja"])
    assert found.symbols.replace(" ", "") == symbols_of_kana(parts[2])[0]


def _by_character(text: str, utterance: Utterance) -> list[tuple[str, str]]:
    """Each character, and the symbols from its own first one to the next one's."""
    found = []
    for word in utterance.words:
        edges = [*(word.characters or (word.first,)), word.stop]
        for at, (first, stop) in enumerate(pairwise(edges)):
            found.append((text[word.start + at], utterance.symbols[first:stop]))
    return found


def test_each_character_has_its_own_symbols(read: dict[str, TextReader]) -> None:
    text = "我们很高兴"
    (found,) = split_utterances(text, read["zh"])
    assert _by_character(text, found) == [
        ("我", "wo↓"), ("们", "mən"), ("很", "xə↓n"), ("高", "kau→"), ("兴", "ɕi↘ŋ")
    ]  # fmt: skip
    text = "がっこうのキャベツ"
    (found,) = split_utterances(text, read["ja"])
    assert _by_character(text, found) == [
        ("が", "ɡa"), ("っ", "ʔ"), ("こ", "ko"), ("う", "ː"), ("の", "no"), ("キ", "kʲ"), ("ャ", "a"),
        ("ベ", "be"), ("ツ", "ʦɨ"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "text", "given", "symbols", "each"),
    [
        ("zh", "去重庆玩", Pronunciation(1, 3, "zhong4 qing4", "pinyin"), "ʨʰy↘ ꭧʊ↘ŋʨʰi↘ŋ wa↗n", True),
        ("zh", "用GPT玩", Pronunciation(1, 4, "ji4 pi4", "pinyin"), "jʊ↘ŋ ʨi↘pʰi↘ wa↗n", False),
        ("zh", "用GPT玩", Pronunciation(1, 4, "dʒiːpiːtiː"), "jʊ↘ŋ ʤiːpiːtiː wa↗n", False),
        ("ja", "長男です", Pronunciation(0, 2, "tɕoːnan"), "ʨoːnan desɨ", False),
    ],
)
def test_lexicon_overrides_the_reading(
    read: dict[str, TextReader], language: str, text: str, given: Pronunciation, symbols: str, each: bool
) -> None:
    (found,) = split_utterances(text, read[language], pronunciations=[given])
    assert found.symbols == symbols
    (word,) = [word for word in found.words if word.start == given.start]
    assert (word.end, bool(word.characters)) == (given.end, each)


@settings(max_examples=60)
@example("字" * 3000, "zh")
@example("かな" * 1500, "ja")
@example("㍻ｶﾞ\u3099\x00 \u202e１２㌔漢", "ja")
@example("㍻𠀀\uf900鿿　①", "zh")
@example("\u9fff\U0002fa1f\U0003134b漢字", "zh")
@example("\ufff9漢字\ufffaかんじ\ufffb《かんじ》（ふりがな）", "ja")
@example("中文 עברית \u202eعربي\u202c 日本語", "ja")
@given(
    st.text(
        st.sampled_from("我们的得地长了漢字かなカナーっんャｶﾞ々〇。、！「」 aB1９\x00\u3000\u3099😀𠀀㍻ééأ"),
        max_size=60,
    ),
    st.sampled_from(["zh", "ja"]),
)
def test_any_text_is_valid_input(read: dict[str, TextReader], text: str, language: str) -> None:
    for word in check_utterances(split_utterances(text, read[language], ending="."), text):
        assert not word.characters or len(word.characters) == word.end - word.start
        assert all(word.first <= at <= word.stop for at in word.characters)


@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_dictionary_restarts(
    read: dict[str, TextReader], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    reader = read["ja"]
    assert isinstance(reader, JapaneseReader)
    assert reader.read("東京")
    process = reader.dictionary._process
    assert process.pid is not None
    if fault == "hung":
        monkeypatch.setattr(dictionary, "ANSWER_TIMEOUT_S", 0.3)
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(EngineFailed, match="Japanese cannot be read: its dictionary"):
            reader.read("京都")
        monkeypatch.undo()
    else:
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: process.pid is None)
    assert reader.read("大阪")[0].symbols == "oːsaka"


def test_unusable_cache_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    reader = reader_for(EspeakClient.shared("phonemes"), "ja", tmp_path / "file")
    assert isinstance(reader, JapaneseReader)
    with pytest.raises(EngineFailed, match="install haqumei, with 103 MB free in KANI_CACHE_DIR"):
        reader.read("東京")


def test_languages_need_packages(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    missing = ("rjieba", "haqumei")
    monkeypatch.setattr(readers, "find_spec", lambda name: None if name in missing else find_spec(name))
    found = [missing_packages(language) for language in ("zh-TW", "ja", "hi")]
    assert found == [["rjieba"], ["haqumei"], []]
    assert reader_for(EspeakClient.shared("phonemes"), "zh", Path()) is None
    assert spoken_languages() == ["es", "en", "fr", "it", "pt", "hi"]
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "Kokoro does not speak Chinese: pip install rjieba",
        "Kokoro does not speak Japanese: pip install haqumei",
    ]
