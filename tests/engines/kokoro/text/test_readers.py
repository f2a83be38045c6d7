"""Chinese and Japanese text to Kokoro's symbols: readings, words, and whose symbols are whose."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engines.espeak.client import EspeakClient
from engines.kokoro.text import readers
from engines.kokoro.text.espeak_ipa import Phonemizer
from engines.kokoro.text.phonemes import MAX_UTTERANCE_SYMBOLS, Utterance, split_utterances
from engines.kokoro.text.reader import TextReader
from engines.kokoro.text.readers import missing_packages, reader_for, spoken_languages
from engines.kokoro.text.unspaced import dictionary
from engines.kokoro.text.unspaced.japanese import JapaneseReader
from engines.kokoro.text.unspaced.kana import symbols_of_kana
from engines.kokoro.text.unspaced.pinyin import symbols_of_syllable
from engines.kokoro.text.vocabulary import VOCABULARY
from speech.errors import EngineFailed
from speech.types import Pronunciation

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


@pytest.mark.parametrize(
    ("pinyin", "symbols"),
    [
        ("zhong1", "ꭧʊ→ŋ"), ("xiao3", "ɕjau↓"), ("nü3", "ny↓"), ("nv3", "ny↓"), ("jue2", "ʨɥe↗"),
        ("shi4", "ʂɨ↘"), ("zi5", "ʦɨ"), ("er2", "ɚ↗"), ("yuan2", "ɥɛ↗n"), ("wen2", "wə↗n"), ("you3", "jou↓"),
        ("hui4", "xwei↘"), ("lun2", "lwə↗n"), ("quan2", "ʨʰɥɛ↗n"), ("ying1", "i→ŋ"), ("ê2", "ɛ↗"),
        ("xiong2", "ɕjʊ↗ŋ"),
        ("x1", ""), ("zhong", ""), ("", ""),
    ],
)  # fmt: skip
def test_syllable_has_its_symbols(pinyin: str, symbols: str) -> None:
    assert symbols_of_syllable(pinyin) == symbols


@pytest.mark.parametrize(
    ("kana", "symbols"),
    [
        ("トーキョー", "toːkʲoː"), ("ガッコー", "ɡaʔkoː"), ("シンブン", "ɕimbɯɴ"), ("ゲンキ", "ɡeŋkʲi"),
        ("コンニチ", "koɲɲiʨi"), ("ヨンジュー", "joɲʥɨː"), ("ファイル", "ɸaiɾɯ"),
        ("ヴァイオリン", "vaioɾʲiɴ"),        ("ティー", "tʲiː"), ("ヲ", "o"), ("", ""), ("、", ""),
    ],
)  # fmt: skip
def test_kana_has_its_symbols(kana: str, symbols: str) -> None:
    found, starts = symbols_of_kana(kana)
    assert found == symbols
    assert len(starts) == len(kana) and list(starts) == sorted(starts)


@pytest.mark.parametrize(
    ("language", "text", "symbols"),
    [
        ("zh", "我们在北京，你好！", "wo↓mən ʦai↘ pei↓ʨi→ŋ, ni↓xau↓!"),
        ("zh", "饭馆儿的《红楼梦》。", "fa↘nkwa↓nɚ↗ tɤ “xʊ↗ŋlou↗mə↘ŋ”."),
        ("zh", "他用Windows和USB。", "tʰa→ jʊ↘ŋ wˈɪndOz xɤ↗ jˈuˈɛsbˈi."),
        ("ja", "今日は学校へ行きませんでした。", "kʲoː βa ɡaʔkoː e ikʲi maseɴ deɕi ta."),
        ("ja", "「手紙」を、書いた？", "“teɡamʲi” o, kai ta?"),
        ("ja", "シガツ ミッカ", "ɕiɡaʦɨ mʲiʔka"),
        ("ja", "ｶﾞｯｺｳ", "ɡaʔkoː"),
        ("hi", "लड़का पढ़ता है।", "lˈʌɽkˌaː pˈʌɽʰətˌaː hɛː."),
    ],
)
def test_sentence_has_its_symbols(
    read: dict[str, TextReader], language: str, text: str, symbols: str
) -> None:
    assert "".join(part.symbols for part in split_utterances(text, read[language])) == symbols


# Phrases and the reading of one character in them, by its place.
# fmt: off
POLYPHONES = """
睡个好觉3jiao4 感觉1jue2 便宜0pian2 方便1bian4 高兴1xing4 银行1hang2 不行1xing2 重要0zhong4 重复0chong2
重庆0chong2 长大0zhang3 很长1chang2 校长1zhang3 头发1fa4 发现0fa1 音乐1yue4 快乐1le4 首都1du1
我们都去2dou1 还书0huan2 还有0hai2 他还给我1huan2 数学0shu4 数一数0shu3 调查0diao4 调整0tiao2 因为1wei4
成为1wei2 睡着了1zhao2 看着1zhe5 得到0de2 跑得快1de5 我得走了1dei3 觉得1de5 目的1di4 土地1di4 慢慢地走2de5
教书0jiao1 教室0jiao4 角色0jue2 中奖0zhong4 种植0zhong4 种类0zhong3 传说0chuan2 背包0bei1 背后0bei4
几乎0ji1 照相1xiang4 假期0jia4 干净0gan1 能干1gan4 灾难1nan4 曾经0ceng2 会计0kuai4 投降1xiang2 朝阳0zhao1
切菜0qie1 量一下0liang2 应该0ying1 反应1ying4 处理0chu3 爱好1hao4 答应0da1 西藏1zang4 子弹1dan4 尽管0jin3
宁可0ning4 反省1xing3 效率1lü4 勉强1qiang3 差不多0cha4 出差1chai1 暖和1huo5 计划1hua4 将来0jiang1
了解0liao3 沉没1mo4 那里0na4 店铺1pu4 曲折0qu1 歌曲1qu3 提防0di1 挑战0tiao3 系鞋带0ji4 关系1xi4 要求0yao1
记载1zai3 脏衣服0zang1 心脏1zang4 正月0zheng1 一只猫1zhi1 主角1jue2 钻石0zuan4 多长时间1chang2
人行道1xing2
""".split()
# fmt: on


def test_polyphones_are_read_by_their_context() -> None:
    from engines.kokoro.text.unspaced.chinese_readings import ChineseReadings

    readings, wrong = ChineseReadings(), []
    for row in POLYPHONES:
        place = next(at for at, character in enumerate(row) if character.isdigit())
        text = row[:place]
        got = readings.pinyin(text, readings.words(text))[int(row[place])]
        if got.replace("v", "ü") != row[place + 1 :]:
            wrong.append((row, got))
    assert len(POLYPHONES) >= 95
    assert len(wrong) <= 2, wrong


READINGS = """
昨日キノー 三本サンボン 私はワタシワ 東京へトーキョーエ 本をホンヲ 一人ヒトリ 大人オトナ 今朝ケサ
上手ジョーズ 時計トケー お母さんオカーサン 行ったイッタ 雰囲気フンイキ 二十日ハツカ 八百屋ヤオヤ
学生ガクセー 千円センエン 人々ヒトビト 百回ヒャッカイ 三人サンニン
"""


@pytest.mark.parametrize(("text", "kana"), re.findall("([^ァ-ー\\s]+)([ァ-ー]+)", READINGS))
def test_japanese_is_read_as_it_is_said(read: dict[str, TextReader], text: str, kana: str) -> None:
    (found,) = split_utterances(text, read["ja"])
    assert found.symbols.replace(" ", "") == symbols_of_kana(kana)[0]


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
    ("language", "text", "given", "symbols", "characters"),
    [
        ("zh", "去重庆玩", Pronunciation(1, 3, "zhong4 qing4", "pinyin"), "ʨʰy↘ ꭧʊ↘ŋʨʰi↘ŋ wa↗n", True),
        ("zh", "用GPT玩", Pronunciation(1, 4, "ji4 pi4", "pinyin"), "jʊ↘ŋ ʨi↘pʰi↘ wa↗n", False),
        ("zh", "用GPT玩", Pronunciation(1, 4, "dʒiːpiːtiː"), "jʊ↘ŋ ʤiːpiːtiː wa↗n", False),
        ("ja", "長男です", Pronunciation(0, 2, "tɕoːnan"), "ʨoːnan desɨ", False),
    ],
)
def test_lexicon_overrides_the_reading(
    read: dict[str, TextReader],
    language: str,
    text: str,
    given: Pronunciation,
    symbols: str,
    characters: bool,
) -> None:
    (found,) = split_utterances(text, read[language], pronunciations=[given])
    assert found.symbols == symbols
    (word,) = [word for word in found.words if word.start == given.start]
    assert (word.end, bool(word.characters)) == (given.end, characters)


@settings(deadline=None, max_examples=60)
@example("字" * 3000, "zh")
@example("かな" * 1500, "ja")
@example("㍻ｶﾞ\u3099\x00 \u202e１２㌔漢", "ja")
@example("㍻𠀀\uf900鿿　①", "zh")
@given(
    st.text(
        st.sampled_from("我们的得地长了漢字かなカナーっんャｶﾞ々〇。、！「」 aB1９\x00\u3000\u3099😀𠀀㍻ééأ"),
        max_size=60,
    ),
    st.sampled_from(["zh", "ja"]),
)
def test_any_text_is_valid_input(read: dict[str, TextReader], text: str, language: str) -> None:
    parts = split_utterances(text, read[language], ending=".")
    for part in parts:
        assert 0 < len(part.symbols) <= MAX_UTTERANCE_SYMBOLS
        assert set(part.symbols) <= VOCABULARY.keys()
        assert all(0 <= word.first < word.stop <= len(part.symbols) for word in part.words)
        assert all(a.stop <= b.first for a, b in pairwise(part.words))
        for word in part.words:
            assert not word.characters or len(word.characters) == word.end - word.start
            assert all(word.first <= at <= word.stop for at in word.characters)
    words = [word for part in parts for word in part.words]
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    assert all(a.end <= b.start or (a.start, a.end) == (b.start, b.end) for a, b in pairwise(words))


@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_dictionary_is_started_again(
    read: dict[str, TextReader], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    reader = read["ja"]
    assert isinstance(reader, JapaneseReader)
    assert reader.read("東京")
    process = reader.dictionary._process
    assert process is not None
    if fault == "hung":
        monkeypatch.setattr(dictionary, "ANSWER_TIMEOUT_S", 0.3)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(EngineFailed, match="Japanese cannot be read: its dictionary"):
            reader.read("京都")
        monkeypatch.undo()
    else:
        process.kill()
        process.wait()
    assert reader.read("大阪")[0].symbols == "oːsaka"


def test_unusable_cache_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    reader = reader_for(EspeakClient.shared("phonemes"), "ja", tmp_path / "file")
    assert reader is not None and not isinstance(reader, Phonemizer)
    with pytest.raises(EngineFailed, match="install haqumei, with 103 MB free in KANI_CACHE_DIR"):
        reader.read("東京")


def test_missing_package_takes_the_language_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        readers, "find_spec", lambda name: None if name in ("rjieba", "haqumei") else find_spec(name)
    )
    assert (missing_packages("zh-TW"), missing_packages("ja"), missing_packages("hi")) == (
        ["rjieba"],
        ["haqumei"],
        [],
    )
    assert reader_for(EspeakClient.shared("phonemes"), "zh", Path()) is None
    assert spoken_languages() == ["es", "en", "fr", "it", "pt", "hi"]
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "Kokoro does not speak Chinese: pip install rjieba",
        "Kokoro does not speak Japanese: pip install haqumei",
    ]


def test_dictionaries_are_not_loaded_with_the_engine() -> None:
    loaded = "import sys, engines.kokoro.engine; print([n for n in sys.modules if n in {names}])"
    code = loaded.replace("{names}", str(("pypinyin", "rjieba", "haqumei")))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
