"""Chinese and Japanese text to Kokoro's symbols: readings, words, and the symbols of each."""

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
from kani.engines.kokoro.text.espeak_ipa import Phonemizer
from kani.engines.kokoro.text.phonemes import Utterance, split_utterances
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.readers import missing_packages, reader_for, spoken_languages
from kani.engines.kokoro.text.unspaced import dictionary
from kani.engines.kokoro.text.unspaced.japanese import JapaneseReader
from kani.engines.kokoro.text.unspaced.kana import symbols_of_kana
from kani.engines.kokoro.text.unspaced.pinyin import symbols_of_syllable
from tests.support.kokoro import check_utterances

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
def test_sentences_have_symbols(read: dict[str, TextReader], language: str, text: str, symbols: str) -> None:
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
MORE_POLYPHONES = """
他在银行工作3hang2 一行大雁1hang2 步行街1xing2 他很内行3hang2 行李箱0xing2 弹吉他0tan2 弹药0dan4
长处0chang2 家长会1zhang3 生长1zhang3 身长两米1chang2 乐队0yue4 乐观0le4 音乐会1yue4 重量0zhong4
重阳节0chong2 双重标准1chong2 还钱0huan2 他还在家1hai2 归还1huan2 都城0du1 大家都来了2dou1 成都1du1
好学生0hao3 好学的人0hao4 喜好1hao4 觉察0jue2 午觉1jiao4 教他唱歌0jiao1 教堂0jiao4 便利店0bian4
便宜货0pian2 当心0dang1 上当1dang4 当作0dang4 分数0fen1 水分1fen4 成分1fen4 干杯0gan1 干活0gan4
树干1gan4 冠心病0guan1 夺冠1guan4 几率0ji1 几点了0ji3 假装0jia3 请假1jia4 间谍0jian4 中间1jian1
将军0jiang1 角度0jiao3 角逐0jue2 结婚0jie2 开花结果2jie1 解决0jie3 尽快0jin3 尽头0jin4 看守0kan1
看见0kan4 可恶1wu4 恶心0e3 恶劣0e4 困难1nan2 避难1nan4 宁愿0ning4 安宁1ning2 漂亮0piao4 漂流0piao1
曲线0qu1 作曲1qu3 任何0ren4 散文0san3 散会0san4 色彩0se4 少数0shao3 少女0shao4 相声0xiang4 互相1xiang1
兴旺0xing1 兴趣0xing4 血管0xue4 应付0ying4 应当0ying1 与其0yu3 参与1yu4 载客0zai4 三年五载3zai3
早晨1chen2 扎实0zha1 挣扎1zha2 占卜0zhan1 占领0zhan4 着凉0zhao2 着手0zhuo2 衣着1zhuo2 正月初一0zheng1
只身0zhi1 中毒0zhong4 种田0zhong4 转告0zhuan3 转盘0zhuan4 自传1zhuan4 宣传1chuan2 为人民服务0wei4
行为1wei2 为难0wei2 倒霉0dao3 倒退0dao4 的士0di1 目的地1di4 调皮0tiao2 曲调1diao4 答案0da2 答理0da1
提供1gong1 口供1gong4 横财0heng4 横线0heng2 处分0chu3 办事处2chu4 朝代0chao2 朝气0zhao1 称心0chen4
称呼0cheng1 盛饭0cheng2 盛大0sheng4 单于0chan2 姓单1shan4 仇人0chou2 露面0lou4 露水0lu4 绿色0lü4
落叶0luo4 丢三落四2la4 模具0mu2 模范0mo2 屏住呼吸0bing3 铺路0pu1 床铺1pu4 强迫0qiang3 倔强1jiang4
亲家0qing4 亲人0qin1 塞车0sai1 边塞1sai4 堵塞1se4 似的0shi4 数落0shu3 遂宁0sui4 拓展0tuo4 吐血0tu4
委蛇1yi2 尾巴0wei3 系扣子0ji4 削弱0xue1 熨斗0yun4 咽喉0yan1 咽下0yan4 呜咽1ye4 殷红0yan1 晕车0yun4
晕倒0yun1 脏话0zang1 心脏1zang4 轧钢0zha2 爪子0zhua3 粘贴0zhan1
""".split()
TRADITIONAL = """
開放銀行3hang2 音樂1yue4 快樂1le4 銀行行長3zhang3 校長1zhang3 長大0zhang3 很長1chang2 長城0chang2
還書0huan2 還有0hai2 睡覺1jiao4 覺得0jue2 便宜0pian2 重慶0chong2 重新開始0chong2 頭髮1fa4 理髮1fa4
發現0fa1 調查0diao4 空調1tiao2 數學0shu4 彈鋼琴0tan2 子彈1dan4 會計0kuai4 開會1hui4 著急0zhao2 看著1zhe5
睡著了1zhao2 參加0can1 人參1shen1 興奮0xing1 高興1xing4 幾乎0ji1 幾個0ji3 應該0ying1 反應1ying4
處理0chu3 到處1chu4 假期0jia4 傳說0chuan2 自傳1zhuan4 轉身0zhuan3 藏起來0cang2 西藏1zang4 難過0nan2
災難1nan4 乾淨0gan1 乾杯0gan1 幹部0gan4 為了0wei4 因為1wei4 成為1wei2 認為1wei2 裡面0li3 量一下0liang2
數量1liang4 強大0qiang2 勉強1qiang3 倒車0dao4 尋找0xun2 這麼長的路2chang2 什麼1me5 跑得快1de5
慢慢地走2de5 盡力0jin4 儘管0jin3 關係1xi4 繫鞋帶0ji4 樂隊0yue4 聲調1diao4 掙扎1zha2 提供1gong1
看著名1zhu4 著作0zhu4 乾坤0qian2
""".split()
# fmt: on


def phrases(language: str) -> list[list[str]]:
    """The fields of each line of a file in phrases/."""
    lines = (Path(__file__).parent / "phrases" / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("rows", "most"), [(POLYPHONES, 2), (MORE_POLYPHONES, 4), (TRADITIONAL, 2)])
def test_polyphones_are_read_by_their_context(rows: list[str], most: int) -> None:
    places = [next(at for at, character in enumerate(row) if character.isdigit()) for row in rows]
    wrong = wrong_syllables(
        (row[:place], row[place], row[place + 1 :]) for row, place in zip(rows, places, strict=True)
    )
    assert len(wrong) <= most, wrong


def test_later_lists_and_contexts_decide_readings(read: dict[str, TextReader]) -> None:
    rows = phrases("zh")
    assert len(rows) >= 300 and not wrong_syllables((text, place, syllable) for text, place, syllable in rows)
    wrong, rows = [], phrases("ja")
    for text, readings in rows:
        expected = {
            "".join(symbols_of_kana(part)[0] for part in one.split("_")) for one in readings.split("/")
        }
        found = split_utterances(text, read["ja"])[0].symbols.replace(" ", "")
        if found not in expected:
            wrong.append((text, found))
    assert len(rows) >= 300 and not wrong, wrong


def wrong_syllables(rows: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The phrases, their expected syllables and the found ones, where these differ."""
    from kani.engines.kokoro.text.unspaced.chinese_readings import ChineseReadings

    readings = ChineseReadings()
    found = [(text, want, readings.read(text)[1][int(place)]) for text, place, want in rows]
    return [(text, want, got) for text, want, got in found if got.replace("v", "ü") != want]


READINGS = """
昨日キノー 三本サンボン 私はワタシワ 東京へトーキョーエ 本をホンヲ 一人ヒトリ 大人オトナ 今朝ケサ
上手ジョーズ 時計トケー お母さんオカーサン 行ったイッタ 雰囲気フンイキ 二十日ハツカ 八百屋ヤオヤ
学生ガクセー 千円センエン 人々ヒトビト 百回ヒャッカイ 三人サンニン
人気がニンキガ 人気のない道ヒトケノナイミチ 辛い別れツライワカレ 辛い料理カライリョーリ
カレーは辛いカレーワカライ 辛くて泣くツラクテナク 20歳の娘ハタチノムスメ 120歳ヒャクニジュッサイ
三時十分サンジジュップン 十分早いジュップンハヤイ 市場で魚をイチバデサカナオ
株式市場カブシキシジョー 電車が空いてデンシャガスイテ 席が空いてセキガアイテ 店が開いてミセガアイテ
本を開いてホンオヒライテ タバコを止めてタバコオヤメテ 車を止めてクルマオトメテ 絵を描くエオカク
夢を描くユメオエガク 三階サンガイ 金がないカネガナイ 表を作るヒョーオツクル
表に出るオモテニデル 最中を食べるモナカオタベル 会議の最中カイギノサイチュー 重複チョーフク
"""


@pytest.mark.parametrize(("text", "kana"), re.findall(r"(\S*?[^ァ-ー\s])([ァ-ー]+)(?=\s)", READINGS))
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
