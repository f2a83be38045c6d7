"""Chinese numbers: groups of four digits, 两 before counted things, digits one by one."""

from kani_text.normalizer.number_words.words import Counter, NumberWords

_DIGITS = "零一二三四五六七八九"
_POWERS = ((1000, "千"), (100, "百"), (10, "十"))
_GROUPS = ((10**16, "亿亿"), (10**12, "万亿"), (10**8, "亿"), (10**4, "万"))


class ChineseNumbers(NumberWords):
    """Numbers in Han characters."""

    kana = False

    def cardinal(self, number: int, gender: str = "") -> str:
        """ "一万两千三百四十五"."""
        spoken = _spell(number)
        # "十二" rather than "一十二", at the beginning only.
        return spoken[1:] if spoken.startswith("一十") else spoken

    def digits(self, digits: str) -> str:
        """Digits one by one, as in years and room numbers."""
        return "".join(_DIGITS[int(digit)] for digit in digits)

    def decimal(self, number: int, decimals: str) -> str:
        """ "三点一四"."""
        return f"{self.cardinal(number)}点{self.digits(decimals)}"

    def counted(self, number: int, decimals: str, counter: Counter) -> str:
        """A number before a measure word: "两公里", but "十二公里"."""
        if number == 2 and not decimals and counter.change == "two":
            return f"两{counter.said}"
        return (self.decimal(number, decimals) if decimals else self.cardinal(number)) + counter.said


def _spell(number: int) -> str:
    """``number`` with every digit's power; a gap between two parts is one 零."""
    for value, name in _GROUPS:
        count, rest = divmod(number, value)
        if count:
            gap = "零" if 0 < rest < value // 10 else ""
            return ("两" if count == 2 else _spell(count)) + name + gap + (_spell(rest) if rest else "")
    return _spell_group(number)


def _spell_group(number: int) -> str:
    """A number below 10,000."""
    if number < 10:
        return _DIGITS[number]
    spoken, rest = "", number
    for value, name in _POWERS:
        count, rest = divmod(rest, value)
        if count:
            two = "两" if value == 1000 or (value == 100 and not spoken) else "二"
            spoken += (two if count == 2 else _DIGITS[count]) + name
            if 0 < rest < value // 10:
                spoken += "零"
    return spoken + (_DIGITS[rest] if rest else "")
