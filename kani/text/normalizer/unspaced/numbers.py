"""Numbers with what stands after them: counters, units, magnitudes, ranges, scores."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from kani.text import writing
from kani.text.normalizer.number_words.ja import Counter, JapaneseNumbers
from kani.text.normalizer.number_words.words import MAX_DIGITS
from kani.text.normalizer.number_words.zh import ChineseNumbers
from kani.text.normalizer.spoken import Piece
from kani.text.normalizer.unspaced.scan import Scan, UnspacedReading
from kani.text.normalizer.unspaced.table import UnspacedTable, UnspacedUnit

FIGURES = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_FIGURES = re.compile(FIGURES)
_DASH = re.compile(r" ?[-~] ?")
_YEARS = re.compile(r"1[1-9]\d\d|20\d\d")
_POWER = re.compile(r"\^-?\d{1,4}|⁻?[⁰¹²³⁴-⁹]{1,4}")
_SUM = "+*×÷="
_SCORED = re.compile(
    r"(?:比分|击败|打败|战胜|战平|领先|落后|大胜|险胜|惜败|スコア|勝ち|勝利|引き分け|逆転)[是为はでを]?\s?"
    r"(?:\d{1,3}-\d{1,3}[、，,]\s?){0,6}\Z"
)
_SCORE_BEFORE = re.compile(r"(?<!\d)(\d{1,3})-(\d{1,3})[、，,]\s?\Z")
_PLATE = re.compile(r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z]·?\Z")
_LATE_YEARS = re.compile(r"19\d\d|20[0-3]\d")
_MODEL = re.compile(r"(?<![A-Za-z])[A-Z]{2,5} \Z")
_LONGEST_ORDINAL = 5
_LAUGHTER = re.compile(r"23{2,}")
_GENERATION = re.compile(r"[0789][05]后")
"""People born from 1970 on: "95后"."""
_BORN = re.compile(r"\d\d年(?:出生|生[人于]|毕业|入学|入伍|参加工作)")
_YEAR = re.compile(r"[5-9]\d年(?=[我你他她冬夏春秋底初去来]|相识|结婚|离婚|的时候|的事|参军|下乡|回城|退休)")
_LASTED = tuple("了过达约近满整共有的")
_PRICED = re.compile(
    r"(?:[原现售标底报房特单总低]价|押金|租金|月租|房租|工资|月薪|费用|学费|预算|定金|首付|运费|金额|合计|总计)[:为是]?\s?\Z"
)
_ROOM = re.compile(r"房(?![源型屋产子主客东车贷])")
_METRES, _ADDED_TO = re.compile(r"[12]米\Z|\d[\"″]\Z"), re.compile(r"第\d{1,3}\+\Z")
_BEFORE_CHRIST = re.compile(r"(?<![提之以目])前\Z")
_NUMBERED = frozenset(
    "月 日 号 室 单元 层 楼 栋 班 组 幢 年 点 时 教室 号楼 座 节 号房 房 排 户 % ％ ℃ °C °".split()
)
"""Words after which the second figure is no goal: "3-2单元"."""
_OF_LIGHT, _LIGHT = re.compile(r"(?:[灯充电泡]|功率|LED)\S{0,2}\Z"), re.compile(r"\w{0,2}[灯充电泡]|功率")
_HIGHEST_SCORE = 200
_GROUP = 4
_MIN_ONE_BY_ONE = 3


@dataclass(frozen=True, slots=True)
class Figures:
    """A number: its digits, its decimals, and the characters ``[start, end)`` it is written in.

    power: of a magnitude that is written after the digits and not spoken as they are (Japanese).
    """

    digits: str
    decimals: str
    start: int
    end: int
    magnitude: str = ""

    @property
    def long(self) -> bool:
        """True if it is read digit by digit: a code as 007, or too long for a name."""
        return len(self.digits) > MAX_DIGITS + 1 or (len(self.digits) > 1 and self.digits[0] == "0")


def number(scan: Scan, at: int) -> UnspacedReading | None:
    """ "3个", "-5℃", "10-12%", "1亿2000万人"; the sign and the range are part of it."""
    start = at
    sign = scan.text[at]
    if sign in "+-±~≈":
        at += 1
    else:
        sign = ""
    first = parse_figures(scan, at)
    if first is None:
        return None
    padded = len(first.digits) == 2 and first.digits[0] == "0" and not first.decimals
    if padded and scan.word_behind(first.end)[0] in ("分", "秒", "月", "日", "時") and scan.table.ruby:
        # "7時05分"
        first = replace(first, digits=first.digits[1])
    second = second_figures(scan, first)
    last = second or first
    word, place = scan.word_behind(last.end)
    if second is None and sign == "" and (powered := _powered(scan, last, word)) is not None:
        return powered
    if word == "w" and (_OF_LIGHT.search(scan.before(start)) or _LIGHT.match(scan.text, place + 1)):
        # "18w快充", but "年薪30w"
        word = "W"
    unit = scan.table.units.get(word)
    if (
        word in scan.table.numbers.magnitudes
        and not sign
        and not isinstance(scan.table.words, JapaneseNumbers)
    ):
        # "8.6万km"
        symbol, begin = scan.word_behind(place + len(word))
        if (measure := scan.table.units.get(symbol)) is not None and not measure.before:
            amount = _say_pair(scan, first, second, word, None) + word
            end = begin + len(symbol)
            return UnspacedReading(
                (Piece(amount, start, begin), Piece(measure.counter.said, begin, end)), end
            )
    if second is not None and (joined := _joined_by(scan, first, second, word)):
        return _say_score(scan, first, second, joined)
    said = _say_pair(scan, first, second, word, unit)
    if sign:
        below = sign == "-" and word in scan.table.temperatures
        said = (scan.table.numbers.below_zero if below else sign_name(sign, scan.table)) + said
    if word in scan.table.currencies and len(word) > 2:
        # "20USD"
        end = place + len(word)
        return UnspacedReading((Piece(said + scan.table.currencies[word].said, start, end),), end)
    end = place + len(word) if _takes(word, scan.table) else last.end
    return read(said, start, last.end, end, unit, scan)


def sign_name(sign: str, table: UnspacedTable) -> str:
    """The spoken form of a sign before a number."""
    numbers = table.numbers
    names = {"-": numbers.minus, "+": numbers.plus, "±": numbers.plus_minus}
    return names.get(sign, numbers.about)


def parse_figures(scan: Scan, at: int) -> Figures | None:
    """The number at ``at``; in Japanese with its magnitudes ("1億2000万")."""
    found = _FIGURES.match(scan.text, at)
    if found is None:
        return None
    whole, _, decimals = found.group().partition(".")
    figures = Figures(ascii_digits(whole.replace(",", "")), ascii_digits(decimals), at, found.end())
    if isinstance(scan.table.words, JapaneseNumbers) and not figures.long:
        return _with_magnitudes(scan, figures)
    return figures


def say_one_by_one(digits: str, table: UnspacedTable) -> str:
    """Digits one by one; a long row in groups, with a pause after each."""
    if len(digits) <= MAX_DIGITS + 1:
        return table.words.digits(digits)
    groups = [digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP)]
    return "、".join(map(table.words.digits, groups))


def counted(value: int, counter: str, table: UnspacedTable) -> str:
    """A whole number with its counter, as dates and times have it."""
    if isinstance(table.words, JapaneseNumbers):
        return table.words.counted(value, "", table.counters[counter])
    return table.words.cardinal(value, "counted" if counter in table.counted else "") + counter


def _with_magnitudes(scan: Scan, figures: Figures) -> Figures:
    """Multiply by the magnitudes after the digits, and add the digits that go on after these."""
    table, total, current, end = scan.table, 0, int(figures.digits), figures.end
    name = ""
    while True:
        word, place = scan.word_behind(end)
        power = table.numbers.magnitudes.get(word)
        if power is None or place != end:
            break
        end = place + len(word)
        name += word
        if figures.decimals:
            return Figures(figures.digits, figures.decimals, figures.start, end, word)
        current *= 10**power
        scan.require_run(end)
        more = _FIGURES.match(scan.text, end)
        if power >= _GROUP and more is not None and more.group().isdecimal():
            total, current, end = total + current, int(ascii_digits(more.group())[:MAX_DIGITS]), more.end()
    value = total + current
    return Figures(str(value) if name else figures.digits, figures.decimals, figures.start, end)


def _joined_by(scan: Scan, first: Figures, second: Figures, word: str) -> str:
    """What is said for the hyphen of "图2-1" and of a score ("3-1": no range falls), else ""."""
    wide = "~" in scan.text[first.end : second.start]
    if wide or first.decimals or second.decimals or first.long or second.long:
        return ""
    before, table = scan.before(first.start), scan.table
    falls = int(second.digits) <= int(first.digits) < _HIGHEST_SCORE
    if before.endswith(("图", "表", "式", "図")) or (falls and before.endswith(table.numbers.ordinal_after)):
        return table.phones.joined or table.web["-"]
    listed = (score := _SCORE_BEFORE.search(before)) is not None and int(score[1]) > int(score[2])
    scored = falls and word not in _NUMBERED and not table.ruby
    return table.numbers.ratio if scored or (not word and (falls or listed or _SCORED.search(before))) else ""


def _say_score(scan: Scan, first: Figures, second: Figures, joined: str) -> UnspacedReading:
    words = scan.table.words
    return UnspacedReading(
        (
            Piece(words.cardinal(int(first.digits)), first.start, first.end),
            Piece(joined, first.end, second.start),
            Piece(words.cardinal(int(second.digits)), second.start, second.end),
        ),
        second.end,
    )


def second_figures(scan: Scan, first: Figures) -> Figures | None:
    """The end of a range that begins with ``first``, unless it is a difference or a sum."""
    dash = _DASH.match(scan.text, first.end)
    letter = scan.before(first.start)[-1:]
    if dash is None or (letter.isascii() and letter.isalpha() and "~" not in dash.group()):
        return None
    second = parse_figures(scan, dash.end())
    if second is None or scan.text[second.end : second.end + 1] in tuple("=:/"):
        return None
    before = scan.before(first.start).rstrip()[-1:]
    difference = "~" not in dash.group() and before and before in _SUM
    return None if difference or (first.long and not second.long) else second


def _say_pair(
    scan: Scan, first: Figures, second: Figures | None, word: str, unit: UnspacedUnit | None
) -> str:
    """One number or a range, with what it counts where that is said with it."""
    table, words = scan.table, scan.table.words
    last = second or first
    said = ""
    if isinstance(words, JapaneseNumbers):
        counter = unit.counter if unit is not None else table.counters.get(word)
        if second is not None:
            whole = counter.whole if counter is not None and counter.whole is not None else {}
            begin = -1 if first.decimals or first.long else int(first.digits)
            said = (whole.get(begin) or say_japanese(scan, first, None, "")) + table.numbers.to
        said += say_japanese(scan, last, counter, word)
    else:
        if second is not None:
            said = f"{_say_chinese(scan, words, first, word, second)}{table.numbers.to}"
        said += _say_chinese(scan, words, last, word, second)
        said += unit.counter.said if unit is not None else ""
    return (unit.before if unit is not None else "") + said


def say_japanese(scan: Scan, figures: Figures, counter: Counter | None, word: str) -> str:
    """A number with its counter; word: what is written after it."""
    table, words = scan.table, scan.table.words
    assert isinstance(words, JapaneseNumbers)
    name = counter.said if counter is not None else ""
    if figures.long or _is_one_by_one(scan, figures, word):
        return say_one_by_one(figures.digits, table) + name
    if figures.magnitude:
        power = words.cardinal(10 ** table.numbers.magnitudes[figures.magnitude]).removeprefix("イチ")
        return words.decimal(int(figures.digits), figures.decimals) + power + name
    value = int(figures.digits)
    if word == table.moments.day and value == 1 and scan.before(figures.start).endswith(table.moments.month):
        return "ツイタチ"
    if counter is not None and word == "組" and scan.before(figures.start).endswith(("年", "第")):
        # A class at school, or the first group.
        return words.cardinal(value) + counter.said
    if counter is not None:
        return words.counted(value, figures.decimals, counter)
    return words.decimal(value, figures.decimals) if figures.decimals else words.cardinal(value)


def _say_chinese(
    scan: Scan, words: ChineseNumbers, figures: Figures, word: str, second: Figures | None
) -> str:
    table = scan.table
    if figures.long or _is_one_by_one(scan, figures, word):
        return say_one_by_one(figures.digits, table)
    value = int(figures.digits)
    if figures.decimals:
        return words.decimal(value, figures.decimals)
    four = len(figures.digits) == _GROUP and figures.end - figures.start == _GROUP
    before = scan.before(figures.start)
    sized = scan.text[figures.end : figures.end + 1] in tuple("x×*涨升降跌增减")
    sized = sized or before.endswith(tuple(f"{moved}{to}" for moved in "涨升降跌增减" for to in "到至了"))
    dated = not word and not sized and _YEARS.fullmatch(figures.digits) and not _PRICED.search(before)
    early = len(figures.digits) == len("221") and word == table.moments.year
    # "前210年", and the first figure of "618-907年", but "树龄300-500年"
    bc = early and not figures.digits.endswith("00") and _BEFORE_CHRIST.search(before) is not None
    if early and second is not None:
        bc = bc or len(second.digits) == _GROUP or "0" not in (figures.digits[-1], second.digits[-1])
    model = scan.text[figures.end : figures.end + 1] in tuple("款版级届") and _YEARS.fullmatch(figures.digits)
    if (four and (word.startswith(table.moments.year) or dated or model)) or bc:
        return words.digits(figures.digits)
    ordinal = before.endswith((table.numbers.ordinal_after, table.moments.month))
    ordinal = ordinal or _ADDED_TO.search(before) is not None
    # "B2层" has no measure word, "-2℃" neither.
    ordinal = ordinal or (before[-1:].isascii() and before[-1:].isalpha())
    ordinal = ordinal or (word in table.temperatures and before.endswith("-"))
    return words.cardinal(value, "" if ordinal or not _is_counted(word, table) else "counted")


def _is_counted(word: str, table: UnspacedTable) -> bool:
    return word in table.counted or (word in table.units and bool(table.units[word].counter.said))


def _is_one_by_one(scan: Scan, figures: Figures, word: str) -> bool:
    """True for the number of a room, of a flight and the like."""
    numbers = scan.table.numbers
    if _GENERATION.match(scan.text, figures.start) or _BORN.match(scan.text, figures.start):
        return True
    if _YEAR.match(scan.text, figures.start) and not scan.before(figures.start).endswith(_LASTED):
        # "68年我们相识"
        return True
    if len(figures.digits) > _LONGEST_ORDINAL and scan.before(figures.start).endswith(numbers.ordinal_after):
        # "第2024025期"
        return True
    if not word and len(figures.digits) == 2 and _METRES.search(scan.before(figures.start)):
        # "1米75"
        return True
    if word == "折" and len(figures.digits) == 2 and figures.digits[-1] != "0":
        # "85折"
        return True
    if (
        figures.decimals
        or len(figures.digits) < _MIN_ONE_BY_ONE
        or figures.end - figures.start > len(figures.digits)
    ):
        return False
    before = scan.before(figures.start)
    room = _ROOM.match(scan.text, figures.end) and not figures.digits.endswith("00")
    laughs = _LAUGHTER.fullmatch(figures.digits) and (before[-1:] in "哈笑" or not before[-1:].isalnum())
    if room or word in numbers.one_by_one_before or (not word and (laughs or len(set(figures.digits)) == 1)):
        # "666" is praise, "2333" laughs.
        return True
    if _PLATE.search(before) or (before[-1:].isascii() and before[-1:].isalpha()):
        # "京A·12345", "G1234", "RTX4090"
        return True
    if (
        not word
        and len(figures.digits) == _GROUP
        and not figures.digits.endswith("00")
        and _MODEL.search(before)
    ):
        # "RTX 4090"
        return not _LATE_YEARS.fullmatch(figures.digits)
    after = numbers.one_by_one_after
    return after is not None and after.search(scan.before(figures.start)) is not None


def _takes(word: str, table: UnspacedTable) -> bool:
    """True if ``word`` is said together with its number; other words are said as they are written."""
    return word in table.units or (isinstance(table.words, JapaneseNumbers) and word in table.counters)


def read(
    said: str, start: int, middle: int, end: int, unit: UnspacedUnit | None, scan: Scan
) -> UnspacedReading:
    """One piece for the number and one for its unit where they come in the written order."""
    if unit is not None and not unit.before and not isinstance(scan.table.words, JapaneseNumbers):
        name = unit.counter.said
        pieces = (Piece(said.removesuffix(name), start, middle), Piece(name, middle, end))
        return UnspacedReading(tuple(piece for piece in pieces if piece.text), end)
    return UnspacedReading((Piece(said, start, end),), end)


def _powered(scan: Scan, figures: Figures, word: str) -> UnspacedReading | None:
    """ "10^8", "10⁸"."""
    found = _POWER.match(scan.text, figures.end)
    if found is None or word in scan.table.units:
        return None
    raised = found.group().lstrip("^").translate(writing.RAISED)
    table = scan.table
    exponent = ("" if raised[0] != "-" else table.numbers.minus) + table.words.cardinal(
        int(raised.lstrip("-"))
    )
    whole = int(figures.digits[:MAX_DIGITS])
    base = table.words.decimal(whole, figures.decimals) if figures.decimals else table.words.cardinal(whole)
    said, end = base + table.numbers.power.replace("{n}", exponent), found.end()
    symbol, begin = scan.word_behind(end)
    if (unit := table.units.get(symbol)) is not None:
        # "3×10⁸m/s"
        per = unit.before
        if isinstance(table.words, JapaneseNumbers) and per:
            per = f"マイ{per.removesuffix('ソク')}"
        said, end = said + unit.counter.said + per, begin + len(symbol)
    return UnspacedReading((Piece(said, figures.start, end),), end)


def ascii_digits(digits: str) -> str:
    """Digits of any script as ASCII."""
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)
