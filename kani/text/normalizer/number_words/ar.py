"""Arabic numbers: agreement with counted nouns, cases after particles, ordinals, hours."""

from __future__ import annotations

import functools
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
_VERBS = re.compile(
    r"[وف]?س?[يتنأا]?(?:بلغ|تجاوز|ستغرق|ستمر|ساو|عادل|كلف|رتفع|نخفض|تراجع|زا?د|زيد|خسر|قفز|ضم|ناهز|قارب|حتاج"
    r"|ريد|قض|أ?مضي|ستهلك|كسب|ربح|تقاض|ستوعب|متلك|ملك|حوي|تضمن|شمل|حقق|حصد|حرز|سجل|نتج|ستقبل|عتقل|حتجز"
    r"|نفق|دفع|شتر|با?ع|بيع|قطع|قرأ|نقذ|ضاف|تلق|ستخدم|ستورد|نتظر|تأخر|عا?ش|عيش|دا?م|دوم|مكث|مش)"
    r"(?:ت|تا|نا|وا|ون|ين|ي|ان|ى|يت|ينا)?(?:ني|ه|ها|هم|كم|ك)?"
    r"|[وف]?س?(?:[يت](?:بعد|زن|حمل|نقص)|أمض[ىت]|أضف|أضيف|اخلط|ضع|خذ|اشرب|تناول|ادفع|أكمل|اعمل|اختر|احجز"
    r"|اكتب|اضرب|اطرح|اقسم|اترك|اسكب|صب|زد|زيد|اطلب|أرسل|وفر)(?:ي|وا)?(?:ه|ها)?|\w{3,}وا|سأ\w{3,}"
)
"""Verbs with a number for their object, rather than their subject."""
_PARTICLES = frozenset(
    """في من إلى الى على عن حتى منذ بعد قبل خلال نحو حوالي حوالى عام سنة عمر سن رقم مع غضون ظرف حدود بين فوق تحت
    ضمن قرابة زهاء أكثر أقل مقابل عند كل دون بدون سوى إلا لقاء طوال الموافق الموافقة الساعة زائد ناقص أول اول
    آخر اخر أفضل أهم أكبر أصغر أعلى أغنى أقوى أشهر أقدم أجمل أسرع أحدث أطول أسوأ أحسن
    الأحد الاحد الاثنين الإثنين الثلاثاء الأربعاء الاربعاء الخميس الجمعة السبت
    ارتفاع مسافة سرعة زيادة انخفاض عمق طول عرض وزن مساحة معدل فارق سعة تكلفة كلفة مبلغ قيمة مدة فترة نسبة سعر
    ثمن راتب غرامة حرارة درجة خصم شراء بيع دفع حجز زراعة قراءة كتابة زيارة وفاة مقتل جرح فقدان ضخ صرف جمع""".split()
)
"""Words that are followed by the genitive, or by the accusative, which has the same endings."""
_VERBAL_NOUN = re.compile(
    r"[وف]?[بلك]?(?:ت\w\wي\w|إ\w\wا\w|إ\wا\wة|ا(?!ست|ل)\w{3}ا\w|است\w\wا\w|است\wا\wة|م\wا\w\wة)"
)
"""Shapes of "توفير", "إصدار", "إضافة", "اعتقال", "استخدام", "مشاركة": what they are done to follows them."""
_BEFORE_CONSTRUCT = frozenset(
    """تم يتم سيتم ستتم تتم جرى يجري يجب ينبغي يمكن يمكنك يمكنكم يمكننا بعد قبل من إلى الى على عن خلال منذ حتى
    بدون دون مقابل بسبب""".split()
)
"""Words before a noun without an article or a pronoun, which the number after it then belongs to: "تم خصم 50"."""
_DEFINITE = re.compile(r"(?:و?ال|[وب]ال|لل).*|.*(?:ه|ها|هم|هن|نا|كم)")
_WAS = frozenset("كان كانت يكون تكون وكان وكانت ليس ليست أصبح أصبحت صار صارت".split())
_ORDERED = {
    **dict.fromkeys(
        "المرتبة المرحلة الفقرة المادة الدقيقة الجولة الدورة الحلقة الطبعة النسخة الخطوة المحاولة".split(),
        "f",
    ),
    **dict.fromkeys(
        "المركز الطابق الدور الفصل الصف الجزء الباب المجلد النوع اليوم الأسبوع الموسم البند السؤال".split(),
        "m",
    ),
}
"""Nouns that a number after them orders, and their gender."""
_YEARS, _LAST_YEAR = frozenset(("سنة", "السنة")), 2200
_ERA = re.compile("( هجري| ميلادي)$")
_AFTER_PARTICLE = re.compile("(?<= )(?:إلى|على|في|يساوي) .*")
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
        """In the genitive after a preposition or the like, an ordinal after a noun that is ordered.

        previous: the word before, and the one before that if it is known.
        """
        earlier, _, word = previous.rpartition(" ")
        bare = word[1:] if word[:1] in ("و", "ف") and word not in _PARTICLES else word
        if (gender := _ORDERED.get(bare)) is not None:
            place = _numbers().get(spoken, 0)
            # "الدور 16" is a round of a cup.
            last = 12 if bare == "الدور" else 99
            return _genitive(self.ordinal(place, gender)) if 0 < place <= last else spoken
        if bare.removeprefix("ل").removeprefix("ب") in _YEARS:
            year, era, rest = _ERA.split(spoken) if _ERA.search(spoken) else (spoken, "", "")
            number = _numbers().get(year, 0)
            said = _genitive(" و".join(_parts(number, "f"))) if number else _genitive(year)
            # "ثمان" by itself, "ثماني" before what it counts
            said = re.sub("ثماني$", "ثمان", said)
            return f"{said}{era and era + 'ة'}{rest}"
        return _genitive(spoken) if _governs(earlier, bare) else _AFTER_PARTICLE.sub(_governed, spoken)

    def with_prefix(self, prefix: str, spoken: str) -> str:
        """ "بخمسين", "العشرين": particles are part of the word."""
        definite = prefix.endswith("ال") or prefix == "لل"
        if definite:
            spoken = re.sub(r"(?<= )و(?=\w)", "وال", spoken)
        if prefix in _PREPOSITIONS or definite:
            spoken = _genitive(spoken)
        return prefix + spoken


@functools.cache
def _numbers() -> dict[str, int]:
    """Numbers by their words, as far as years go."""
    said = {" و".join(_parts(number, "")): number for number in range(_LAST_YEAR)}
    return {_genitive(words): number for words, number in said.items()} | said


def _governs(earlier: str, word: str) -> bool:
    """True if a number after these two words is in the genitive or the accusative."""
    noun = word[1:] if len(word) > 3 and word[0] in "بل" else word
    if not {word, noun}.isdisjoint(_PARTICLES) or _VERBS.fullmatch(word) or _VERBAL_NOUN.fullmatch(word):
        return True
    definite = _DEFINITE.fullmatch(word) is not None
    return earlier in _WAS if definite else earlier in _BEFORE_CONSTRUCT


def _governed(found: re.Match[str]) -> str:
    return _genitive(found.group())


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
