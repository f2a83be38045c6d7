"""Readings of Chinese characters in context, and the words they form.

Imports pypinyin and rjieba (0.6 s, 90 MB): import this module only where Chinese is spoken.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rjieba
from pypinyin import Style, lazy_pinyin, load_phrases_dict

# Readings that pypinyin's phrases lack.
# fmt: off
_PHRASES = {
    "很长": "hěn cháng", "太长": "tài cháng", "多长": "duō cháng", "这么长": "zhè me cháng",
    "那么长": "nà me cháng", "好长": "hǎo cháng", "更长": "gèng cháng", "最长": "zuì cháng",
    "较长": "jiào cháng", "越长": "yuè cháng", "米长": "mǐ cháng", "切菜": "qiē cài", "切成": "qiē chéng",
    "背着": "bēi zhe", "量一下": "liáng yí xià", "数一数": "shǔ yi shǔ", "数到": "shǔ dào",
    "银行行长": "yín háng háng zhǎng", "一行人": "yì xíng rén", "还给": "huán gěi", "还钱": "huán qián",
    "还书": "huán shū", "好觉": "hǎo jiào", "一觉": "yí jiào", "一行字": "yì háng zì", "姓曾": "xìng zēng",
    "弹吉他": "tán jí tā", "一行大": "yì háng dà", "头发长了": "tóu fa cháng le", "好学生": "hǎo xué sheng",
    "教他": "jiāo tā", "教她": "jiāo tā", "教我": "jiāo wǒ", "教你": "jiāo nǐ", "教孩子": "jiāo hái zi",
    "开花结果": "kāi huā jiē guǒ", "为人民": "wèi rén mín", "姓单": "xìng shàn", "系扣子": "jì kòu zi",
    "系好": "jì hǎo", "系上": "jì shàng", "了却": "liǎo què", "睡着": "shuì zháo", "人参": "rén shēn",
    "夹克": "jiā kè", "卷子": "juàn zi", "削苹果": "xiāo píng guǒ", "削皮": "xiāo pí", "数一下": "shǔ yí xià",
    "数一遍": "shǔ yí biàn", "射中": "shè zhòng", "冲着": "chòng zhe", "切开": "qiē kāi", "切下": "qiē xià",
    "圈养": "juàn yǎng", "落下": "luò xià", "盛汤": "chéng tāng", "嚼碎": "jiáo suì", "果脯": "guǒ fǔ",
    "内蒙古": "nèi měng gǔ", "大夫": "dài fu", "长的话": "cháng de huà", "时间长": "shí jiān cháng",
    **{f"长{de}{how}": f"cháng de {said}" for de in "得的" for how, said in (
        ("离谱", "lí pǔ"), ("要命", "yào mìng"), ("惊人", "jīng rén"), ("没边", "méi biān"))},
}
# fmt: on
_PARTICLES = frozenset("得地")
# Simplified text has these two as well, in the words that are excluded here (著名, 乾坤).
_ZHE = re.compile("(?<![名原编編显顯土巨论論专專])著(?![名作称稱书書者述录錄])")
_DRY = re.compile("乾(?![坤隆])")
# Characters before 得 with which it is a verb's second half (获得者), and not a particle (跑得快).
_DE_VERBS = frozenset("不获取赢博求所难")
_PARTICLE_TAG = "ud"
# Words that make a 得 before them "must" (得小心), though they are tagged as neither verb nor adverb.
_ADVICE = frozenset(("小心", "注意", "努力", "认真", "多", "快", "早", "及时"))
# 只 counts animals and things after a number, and is "only" elsewhere.
_COUNTED_ONE = re.compile(
    "(?<=[一二三四五六七八九十百千万两几每哪这那])只(?![有要是能好会得不需想许可怕顾剩差管够为在用花])"
)


def _unread(characters: str) -> Any:
    """Nothing for each character without a reading: a list, which pypinyin takes but does not declare."""
    return [""] * len(characters)


def _simplified_characters() -> dict[int, str]:
    """Simplified character by traditional one, where that is no simplified one as well."""
    path = Path(__file__).parents[2] / "data" / "traditional.txt"
    _, traditional, simplified = path.read_text(encoding="utf-8").splitlines()
    return {ord(one): other for one, other in zip(traditional, simplified, strict=True)}


class ChineseReadings:
    """pypinyin and rjieba with corrections.

    Words and phrases are looked up in simplified characters, which their dictionaries are written in.
    """

    def __init__(self) -> None:
        self._simplified = _simplified_characters()
        load_phrases_dict(
            {phrase: [[syllable] for syllable in reading.split()] for phrase, reading in _PHRASES.items()}
        )
        # Loads its dictionary at the first call.
        rjieba.cut("")

    def read(self, run: str) -> tuple[list[tuple[int, int]], list[str]]:
        """The words of a run of Chinese characters, and the syllable of each character."""
        run = self.simplified(run)
        words = self.words(run)
        return words, self.pinyin(run, words)

    def simplified(self, run: str) -> str:
        """The run with a simplified character for each traditional one."""
        return _DRY.sub("干", _ZHE.sub("着", run)).translate(self._simplified)

    def words(self, run: str) -> list[tuple[int, int]]:
        """The words of a run of Chinese characters as (start, end)."""
        return [(start, end) for _, start, end in rjieba.tokenize(run, "default")]

    def pinyin(self, run: str, words: Sequence[tuple[int, int]]) -> list[str]:
        """The syllable of each character with its tone as a digit; "" for one without a reading.

        words: of ``words``.
        """
        found: list[str] = lazy_pinyin(run, Style.TONE3, _unread, neutral_tone_with_five=True)
        tags = [tag for _, tag in rjieba.tag(run)]
        for one in _COUNTED_ONE.finditer(run):
            found[one.start()] = "zhi1"
        for at, (start, end) in enumerate(words):
            inside = run.find("得", start + 1, end - (tags[at] != _PARTICLE_TAG))
            if inside > 0 and run[inside - 1] not in _DE_VERBS:
                found[inside] = "de5"
            if end - start == 1 and run[start] in _PARTICLES and at + 1 < len(words):
                after = "v" if run[slice(*words[at + 1])] in _ADVICE else tags[at + 1]
                found[start] = _particle(run[start], tags[at - 1] if at else "", after) or found[start]
        return found


def _particle(character: str, before: str, after: str) -> str:
    """Reading of 得 or 地 as a word between two words with these parts of speech; "" if undecided.

    before: "" where a clause begins, which no particle does.
    """
    if character == "地":
        return "de5" if before and before[0] in "daz" and after[:1] in "vd" else ""
    if before and before[0] in "vab":
        return "de5"
    return "dei3" if after[:1] in ("vdp" if before else "vdpab") else ""
