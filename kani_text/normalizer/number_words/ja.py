"""Japanese numbers as kana, with the sound changes between a number and its counter.

The result is katakana with "ー" for long vowels: analysers take such a run as it is written, while they may
misread figures and hiragana.
"""

from kani_text.normalizer.number_words.words import Counter, NumberWords

_DIGITS = "ゼロ イチ ニ サン ヨン ゴ ロク ナナ ハチ キュー".split()
_DIGITS_ALONE = "ゼロ イチ ニー サン ヨン ゴー ロク ナナ ハチ キュー".split()
"""Digits of a telephone number: each lasts two beats."""

_HUNDREDS = {1: "ヒャク", 3: "サンビャク", 6: "ロッピャク", 8: "ハッピャク"}
_THOUSANDS = {1: "セン", 3: "サンゼン", 8: "ハッセン"}
_GROUPS = ((10**16, "ケー"), (10**12, "チョー"), (10**8, "オク"), (10**4, "マン"))
_SHORTENED = {"イチ": "イッ", "ロク": "ロッ", "ハチ": "ハッ", "ジュー": "ジュッ", "ャク": "ャッ"}
_CHANGES = {"": "", "k": "イチ ロク ハチ ジュー ャク", "s": "イチ ハチ ジュー", "u": "ジュー"}
"""By kind of counter: ends of a number that are shortened before it.

"g" and "z" are "k" and "s" that are voiced after サン; "h" shortens, turns its h into p there, and into b
after ン; "p" turns it into p in both places.
"""

_HALF_VOICED = str.maketrans("ハヒフヘホ", "パピプペポ")
_VOICED = str.maketrans("ハヒフヘホカキクケコサシスセソ", "バビブベボガギグゲゴザジズゼゾ")
_NASAL = ("サン", "セン", "ゼン", "マン")


class JapaneseNumbers(NumberWords):
    """Numbers as katakana, each one word with what it counts."""

    kana = True

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "センニヒャクゴジュー"."""
        return "".join(_parts(number)) or _DIGITS[0]

    def digits(self, digits: str) -> str:
        """Digits one by one."""
        return "".join(_DIGITS_ALONE[int(digit)] for digit in digits)

    def decimal(self, number: int, decimals: str) -> str:
        """ "サンテンイチヨン"; 0 is レー, and 1, 8 and 10 are shortened before the mark."""
        whole = self.cardinal(number) if number else "レー"
        return _shortened(whole, _CHANGES["s"]) + "テン" + "".join(_DIGITS[int(digit)] for digit in decimals)

    def counted(self, number: int, decimals: str, counter: Counter) -> str:
        """A number with its counter: "サンボン", "ジュッコ", "ハツカ"."""
        if not decimals and number in counter.whole:
            return counter.whole[number]
        spoken = self.decimal(number, decimals) if decimals else self.cardinal(number)
        last = int(decimals[-1]) if decimals else number % 10
        if last in counter.last:
            spoken = spoken.removesuffix(_DIGITS[last]) + counter.last[last]
        return _joined(spoken, counter)


def _parts(number: int) -> list[str]:
    """The number's parts from the left; empty for 0."""
    parts = []
    for value, name in _GROUPS:
        count, number = divmod(number, value)
        if count:
            group = "".join(_group(count))
            if name == "チョー":
                group = _shortened(group, _CHANGES["s"])
            parts.append(("イッセン" if count == 1000 else group) + name)
    return parts + _group(number)


def _group(number: int) -> list[str]:
    """The parts of a number below 10,000."""
    thousands, rest = divmod(number, 1000)
    hundreds, rest = divmod(rest, 100)
    tens, units = divmod(rest, 10)
    parts = []
    if thousands:
        parts.append(_THOUSANDS.get(thousands) or f"{_DIGITS[thousands]}セン")
    if hundreds:
        parts.append(_HUNDREDS.get(hundreds) or f"{_DIGITS[hundreds]}ヒャク")
    if tens:
        parts.append(("" if tens == 1 else _DIGITS[tens]) + "ジュー")
    if units:
        parts.append(_DIGITS[units])
    return parts


def _joined(spoken: str, counter: Counter) -> str:
    """A number's reading and its counter's, with the sounds that change between them."""
    said, change = counter.said, counter.change
    if change in ("h", "p"):
        if (short := _shortened(spoken, _CHANGES["k"])) != spoken:
            return short + said[0].translate(_HALF_VOICED) + said[1:]
        nasal = _NASAL if change == "h" else (*_NASAL, "ヨン")
        table = _VOICED if change == "h" else _HALF_VOICED
        return spoken + (said[0].translate(table) + said[1:] if spoken.endswith(nasal) else said)
    if change in ("g", "z"):
        if spoken.endswith("サン"):
            return spoken + said[0].translate(_VOICED) + said[1:]
        change = "k" if change == "g" else "s"
    return _shortened(spoken, _CHANGES[change]) + said


def _shortened(spoken: str, ends: str) -> str:
    for end in ends.split():
        if spoken.endswith(end):
            return spoken.removesuffix(end) + _SHORTENED[end]
    return spoken
