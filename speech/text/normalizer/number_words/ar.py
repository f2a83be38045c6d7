"""Arabic numbers: agreement with what is counted, cases behind particles, ordinals, hours."""

from __future__ import annotations

import re

from speech.text.normalizer.number_words.words import NumberWords

_UNITS = {
    "m": "صفر واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة".split(),
    "f": "صفر واحدة اثنتان ثلاث أربع خمس ست سبع ثماني تسع عشر".split(),
}
_TEN_MORE = {"m": "عشر", "f": "عشرة"}
_BEFORE_TEN = {"m": {1: "أحد", 2: "اثنا"}, "f": {1: "إحدى", 2: "اثنتا"}}
_TENS = "  عشرون ثلاثون أربعون خمسون ستون سبعون ثمانون تسعون".split(" ")
_HUNDREDS = " مئة مئتان ثلاثمئة أربعمئة خمسمئة ستمئة سبعمئة ثمانمئة تسعمئة".split(" ")
# One, two, three to ten, from eleven on, and before what is counted.
_POWERS = (
    (10**12, "تريليون تريليونان تريليونات تريليونا تريليون".split()),
    (10**9, "مليار ملياران مليارات مليارا مليار".split()),
    (10**6, "مليون مليونان ملايين مليونا مليون".split()),
    (10**3, "ألف ألفان آلاف ألفا ألف".split()),
)
_ORDINALS = {
    "m": " الأول الثاني الثالث الرابع الخامس السادس السابع الثامن التاسع العاشر".split(" "),
    "f": " الأولى الثانية الثالثة الرابعة الخامسة السادسة السابعة الثامنة التاسعة العاشرة".split(" "),
}
_FIRST_OF_MORE = {"m": "الحادي", "f": "الحادية"}

_TWO = "اثن|اثنت|مئت|ألف|مليون|مليار|تريليون"
_DUAL = re.compile(rf"(?<!\w)((?:و|ال|وال)?(?:{_TWO}))ان(?!\w)")
# "ألفا" elsewhere is a thousand that is counted, and stays.
_DUAL_BEFORE_NOUN = re.compile(r"(?<!\w)(و?(?:اثنت?(?=ا عشر)|مئت)|^(?:ألف|مليون|مليار|تريليون))ا(?!\w)")
_DUAL_NOUN = re.compile(r"(^|(?<= )و)(\w{3,})ان(?!\w)")
_TENS_WORD = re.compile(r"(?<!\w)((?:و|ال|وال)?(?:عشر|ثلاث|أربع|خمس|ست|سبع|ثمان|تسع))ون(?!\w)")
_DUAL_END = re.compile(r"(مئت|ألف|مليون|مليار|تريليون)ان$")
_PARTICLES = frozenset(
    "في من إلى على عن حتى منذ بعد قبل خلال نحو حوالي عام سنة لعام بعام عمر سن رقم لمدة بنسبة بمبلغ"
    " بسعر بقيمة بين مع غضون وفي ومن وإلى وعلى حوالى فوق تحت ضمن قرابة زهاء أكثر أقل".split()
)
"""Words behind which what follows is in the genitive."""
_PREPOSITIONS = frozenset("ب ل ك لل بال كال وب ول".split())


class ArabicNumbers(NumberWords):
    """Genders are those of what is counted ("m", "f"); "hour" names hours, which are ordinals.

    Numbers are in the nominative but behind words that want another case.
    """

    def cardinal(self, number: int, gender: str = "") -> str:
        """A gender says that what is counted follows: two of something lose their ending ("مئتا دولار")."""
        if gender == "hour":
            hour = number % 24 or 12
            return "الواحدة" if hour == 1 else self.ordinal(hour, "f")
        said = " و".join(_parts(number, gender))
        if gender:
            said = _DUAL_END.sub(r"\1ا", said)
            # "خمسون ألف رجل"
            said = re.sub(r" (ألف|مليون|مليار|تريليون)ا$", r" \1", said)
        return said

    def ordinal(self, number: int, form: str = "") -> str:
        """With the article: "الثالث", "الحادية والعشرون"; from a hundred on as cardinals."""
        gender = "f" if form == "f" else "m"
        names = _ORDINALS[gender]
        if not 0 < number < 100:
            return self.cardinal(number)
        if number <= 10:
            return names[number]
        tens, units = divmod(number, 10)
        first = _FIRST_OF_MORE[gender] if units == 1 else names[units]
        if tens == 1:
            return f"{first} {_TEN_MORE[gender]}"
        return f"{first} وال{_TENS[tens]}" if units else f"ال{_TENS[tens]}"

    def year(self, number: int) -> str:
        """In the genitive, behind the word for year that is said or meant."""
        return _genitive(self.cardinal(number))

    def inflected_after(self, previous: str, said: str) -> str:
        """In the genitive behind a preposition or the like."""
        return _genitive(said) if previous in _PARTICLES else said

    def with_prefix(self, prefix: str, said: str) -> str:
        """ "بخمسين", "العشرين": particles are a part of the word."""
        definite = prefix.endswith("ال") or prefix == "لل"
        if definite:
            said = re.sub(r"(?<= )و(?=\w)", "وال", said)
        if prefix in _PREPOSITIONS or definite:
            said = _genitive(said)
        return prefix + said


def _parts(number: int, gender: str) -> list[str]:
    """What is joined by "and"."""
    parts = []
    for power, names in _POWERS:
        count, number = divmod(number, power)
        if count:
            parts.append(_of_power(count, names))
    hundreds, rest = divmod(number, 100)
    if hundreds:
        parts.append(_HUNDREDS[hundreds])
    if rest or not parts:
        parts += _below_hundred(rest, "f" if gender == "f" else "m")
    return parts


def _of_power(count: int, names: list[str]) -> str:
    """So many thousands or millions."""
    one, two, few, many, construct = names
    if count <= 2:
        return one if count == 1 else two
    said = " و".join(_parts(count, "m"))
    rest = count % 100
    if 3 <= rest <= 10:
        return f"{said} {few}"
    if rest > 10:
        return f"{said} {many}"
    before_noun = _DUAL_END.sub(r"\1ا", said)
    return f"{before_noun} {construct}"


def _below_hundred(number: int, gender: str) -> list[str]:
    if number <= 10:
        return [_UNITS[gender][number]]
    tens, units = divmod(number, 10)
    if tens == 1:
        first = _BEFORE_TEN[gender].get(units) or _UNITS[gender][units]
        return [f"{first} {_TEN_MORE[gender]}"]
    if not units:
        return [_TENS[tens]]
    one = "إحدى" if gender == "f" and units == 1 else _UNITS[gender][units]
    return [one, _TENS[tens]]


def _genitive(said: str) -> str:
    """Tens end in "ين" then, twos in "ين" or "ي"."""
    said = _DUAL.sub(r"\1ين", _TENS_WORD.sub(r"\1ين", said))
    return _DUAL_NOUN.sub(r"\1\2ين", _DUAL_BEFORE_NOUN.sub(r"\1ي", said))
