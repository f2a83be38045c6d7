"""Readings of Japanese by haqumei (Open JTalk's dictionary).

Imports haqumei (112 MB, most of it a mapped file): import this module only where Japanese is spoken.
"""

import re
from typing import NamedTuple

from haqumei import Haqumei

Reading = tuple[int, int, str, str, str]
"""Start and end of a word, as it is written, its kana, and its kind."""

NUMBER, COUNTER = "数", "助数詞"

_DEVOICED = "’"
_SYMBOL, _LETTER = "記号", "アルファベット"


class JapaneseReadings:
    """haqumei's dictionary, which it unpacks into ``$XDG_CACHE_HOME/haqumei`` if it is not there (103 MB)."""

    def __init__(self) -> None:
        self._haqumei = Haqumei()

    def read(self, text: str) -> list[Reading]:
        """The words that are pronounced; one without characters (24 is 二・十・四) goes to the one before."""
        text = _TWENTY.sub("二十歳", text)  # 20歳 (はたち), character for character
        found: list[Reading] = []
        for word in self._haqumei.g2p_mapping_detailed(text):
            (start, end), kana = word.char_span, word.pron.replace(_DEVOICED, "")
            if start == end and found:
                found[-1] = (*found[-1][:3], found[-1][3] + kana, found[-1][4])
            elif start < end and (word.pos != _SYMBOL or word.pos_group1 == _LETTER):
                groups = (word.pos_group1, word.pos_group2)
                kind = next((group for group in groups if group in (NUMBER, COUNTER)), word.pos)
                found.append((start, end, word.word, corrected_reading(text, start, kana), kind))
        return found


class Correction(NamedTuple):
    """A word that begins with ``pattern`` and is read ``right`` where the dictionary has ``wrong``."""

    pattern: re.Pattern[str]
    wrong: str
    right: str


_TASTES = "味|カレー|料理|唐辛子|ソース|スープ|ラーメン|キムチ|麻婆|わさび|スパイス|食べ"
_EMPTY = "腹|なか|電車|バス|車|道|道路|店|レストラン|館内|会場"
_OPENED = "店|ドア|扉|窓|戸|門|蓋|ふた|鍵|口|穴|目|幕"
_GIVEN_UP = "タバコ|たばこ|煙草|酒|仕事|会社|学校|いたずら|喧嘩|けんか|悪口|冗談"
_DRAWN = "絵|画|漫画|マンガ|イラスト|図|線|丸|円"
_HELD = "赤ちゃん|赤ん坊|子供|子ども|娘|息子|孫|猫|犬|人形|ぬいぐるみ|肩|腰"
_HORNED = "牛|羊|山羊|ヤギ|サイ|鬼|悪魔|動物"
_SOLD = "魚|野菜|果物|肉|花|食材"
_WAITED = "後|前|間|ほど|くらい|ぐらい|だけ|待|かか|遅|早|おき|以内|休|歩|経|たっ|過ぎ"
_GOLDEN = "指輪|メダル|ネックレス|延べ棒|卵|時計|鎖|糸|アクセ|斧|色"

# Look-behinds have a fixed width in Python's patterns: each alternative has its own.
_CORRECTIONS = [
    Correction(re.compile(pattern), wrong, right)
    for pattern, wrong, right in (
        ("人気(?=の(?:ない|無い))", "ニンキ", "ヒトケ"),
        (f"辛[いくかす](?=.{{0,6}}(?:もの|物|{_TASTES}))", "ツラ", "カラ"),
        ("十分(?=(?:で)?(?:着|行|戻|終わ))", "ジューブン", "ジュップン"),
        (f"(?:十|10)分(?=(?:{_WAITED}))", "ジューブン", "ジュップン"),
        (f"(?<![式売融動内外])市場(?=(?:で|の|に|へ).{{0,4}}(?:{_SOLD}|行|買|出かけ))", "シジョー", "イチバ"),
        ("辛[いくか](?=.{0,4}(?:泣|悲|苦|寂|耐|我慢))", "カラ", "ツラ"),
        ("[三3３]階", "サンカイ", "サンガイ"),
        (f"金(?=の(?:{_GOLDEN}))", "カネ", "キン"),
        ("表(?=[をに](?:作|見|参照|埋|書|使|まとめ|示|記|入力|し))", "オモテ", "ヒョー"),
        ("表(?=の(?:とおり|中|数字|値|よう))", "オモテ", "ヒョー"),
        ("最中(?=を(?:食|買|いただ|もら|作))", "サイチュー", "モナカ"),
        ("重複", "ジューフク", "チョーフク"),
        ("お米", "オヨネ", "オコメ"),
        ("この間", "コノカン", "コノアイダ"),
        ("(?<=あの)方(?=[はがもにのを]|$)", "ホー", "カタ"),
        ("分別(?=収集|回収|し)", "フンベツ", "ブンベツ"),
        ("投網", "ナゲアミ", "トアミ"),
        ("鍛冶(?!町)", "タンヤ", "カジ"),
        ("目と", "モクト", "メト"),
    )
]
# The end of the text before a word, the word, and its readings.
_IN_CONTEXT = [
    (re.compile(rf"(?:{before}){between}$"), re.compile(word), wrong, right)
    for before, between, word, wrong, right in (
        (_TASTES, "[はがもっと、]*", "辛[いくかす]", "ツラ", "カラ"),
        (_EMPTY, "[はがも、]?", "空[いかきく]", "ア", "ス"),
        (_OPENED, "[はがも](?:まだ|もう)?", "開[いかきくけ]", "ヒラ", "ア"),
        (_GIVEN_UP, "[をはも]?", "止め", "ト", "ヤ"),
        (_DRAWN, "[をがはも]?", "描", "エガ", "カ"),
        (_HELD, "を", "抱[いかきくけ]", "イダ", "ダ"),
        (_HORNED, "の", "角(?!度)", "カク", "ツノ"),
        ("ごみ|ゴミ", "の", "分別", "フンベツ", "ブンベツ"),
    )
]
_LONGEST_BEFORE = 12
_TWENTY = re.compile(r"(?<![\d０-９.,])(?:20|２０)歳")


def corrected_reading(text: str, start: int, kana: str) -> str:
    """The kana of the word that begins at ``start``, corrected if one of the rules applies."""
    for pattern, wrong, right in _CORRECTIONS:
        if kana.startswith(wrong) and pattern.match(text, start):
            return right + kana[len(wrong) :]
    before = text[max(start - _LONGEST_BEFORE, 0) : start]
    for context, word, wrong, right in _IN_CONTEXT:
        if kana.startswith(wrong) and word.match(text, start) and context.search(before):
            return right + kana[len(wrong) :]
    return kana
