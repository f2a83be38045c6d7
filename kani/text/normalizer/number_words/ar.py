"""Arabic numbers: agreement with counted nouns, cases after particles, ordinals, hours."""

from __future__ import annotations

import re

from kani.text.normalizer.number_words.words import NumberWords

_UNITS = {
    "m": "صفر واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة".split(),
    "f": "صفر واحدة اثنتان ثلاث أربع خمس ست سبع ثماني تسع عشر".split(),
}
_TEN_MORE = {"m": "عشر", "f": "عشرة"}
_BEFORE_TEN = {"m": {1: "أحد", 2: "اثنا"}, "f": {1: "إحدى", 2: "اثنتا"}}
_TENS = "  عشرون ثلاثون أربعون خمسون ستون سبعون ثمانون تسعون".split(" ")
_HUNDREDS = " مئة مئتان ثلاثمئة أربعمئة خمسمئة ستمئة سبعمئة ثمانمئة تسعمئة".split(" ")
# One, two, three to ten, from eleven on, and before a counted noun.
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
_VERBS = frozenset(
    """بلغ بلغت يبلغ تبلغ يضم تضم ضم ضمت يتجاوز تتجاوز تجاوز تجاوزت استغرق استغرقت يستغرق تستغرق استمر
    استمرت يستمر تستمر يساوي تساوي يعادل تعادل كلف كلفت يكلف تكلف ارتفع ارتفعت انخفض انخفضت تراجع تراجعت
    زاد زادت خسر خسرت يبعد تبعد قفز قفزت""".split()
)
_PARTICLES = _VERBS | frozenset(
    """في من إلى على عن حتى منذ بعد قبل خلال نحو حوالي عام سنة لعام بعام عمر سن رقم لمدة بنسبة بمبلغ بسعر
    بقيمة بين مع غضون حوالى فوق تحت ضمن قرابة زهاء أكثر أقل مقابل عند كل دون لقاء طوال ارتفاع بارتفاع
    مسافة لمسافة سرعة بسرعة زيادة بزيادة انخفاض بانخفاض عمق بعمق طول بطول عرض بعرض وزن بوزن مساحة بمساحة
    معدل بمعدل فارق بفارق سعة بسعة تكلفة بتكلفة مبلغ قيمة مدة لفترة يناهز تناهز يقارب تقارب يشمل أضف
    اخلط ضع خذ اشرب تناول ادفع انتظر دفعت دفعنا اشتريت اشترينا""".split()
)
"""Words that are followed by the genitive, or by the accusative, which has the same endings."""
_ORDERED = {
    **dict.fromkeys("المرتبة المرحلة الفقرة المادة الدقيقة الجولة الدورة الحلقة الطبعة النسخة".split(), "f"),
    **dict.fromkeys("المركز الطابق الفصل الصف الجزء الباب المجلد".split(), "m"),
}
"""Nouns that a number after them orders, and their gender."""
_PREPOSITIONS = frozenset("ب ل ك لل بال كال وب ول".split())


class ArabicNumbers(NumberWords):
    """Genders are those of the counted noun ("m", "f"); "hour" is for hours, which are ordinals.

    Numbers are in the nominative, except after words that govern another case.
    """

    verbs = _VERBS

    def cardinal(self, number: int, gender: str = "") -> str:
        """With a gender a counted noun follows: the dual loses its ending ("مئتا دولار")."""
        if gender == "hour":
            hour = number % 24 or 12
            return "الواحدة" if hour == 1 else self.ordinal(hour, "f")
        spoken = " و".join(_parts(number, gender))
        if gender:
            spoken = _DUAL_END.sub(r"\1ا", spoken)
            # "خمسون ألف رجل"
            spoken = re.sub(r" (ألف|مليون|مليار|تريليون)ا$", r" \1", spoken)
        return spoken

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
        """In the genitive, after the word for year that is spoken or understood."""
        return _genitive(self.cardinal(number))

    def inflected_after(self, previous: str, spoken: str) -> str:
        """In the genitive after a preposition or the like, an ordinal after a noun that is ordered."""
        if previous[:1] in ("و", "ف") and previous not in _PARTICLES:
            previous = previous[1:]
        if (gender := _ORDERED.get(previous)) is not None:
            places = {self.cardinal(place): place for place in range(1, 100)}
            return _genitive(self.ordinal(places[spoken], gender)) if spoken in places else spoken
        return _genitive(spoken) if previous in _PARTICLES else spoken

    def with_prefix(self, prefix: str, spoken: str) -> str:
        """ "بخمسين", "العشرين": particles are part of the word."""
        definite = prefix.endswith("ال") or prefix == "لل"
        if definite:
            spoken = re.sub(r"(?<= )و(?=\w)", "وال", spoken)
        if prefix in _PREPOSITIONS or definite:
            spoken = _genitive(spoken)
        return prefix + spoken


def _parts(number: int, gender: str) -> list[str]:
    """The parts that "and" joins."""
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
    """``count`` thousands or millions."""
    one, two, few, many, construct = names
    if count <= 2:
        return one if count == 1 else two
    spoken = " و".join(_parts(count, "m"))
    rest = count % 100
    if 3 <= rest <= 10:
        return f"{spoken} {few}"
    if rest > 10:
        return f"{spoken} {many}"
    before_noun = _DUAL_END.sub(r"\1ا", spoken)
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


def _genitive(spoken: str) -> str:
    """Tens end in "ين" then, twos in "ين" or "ي"."""
    spoken = _DUAL.sub(r"\1ين", _TENS_WORD.sub(r"\1ين", spoken))
    return _DUAL_NOUN.sub(r"\1\2ين", _DUAL_BEFORE_NOUN.sub(r"\1ي", spoken))
