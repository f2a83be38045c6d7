"""Arabic numbers: agreement with counted nouns, cases after particles, ordinals, hours."""

import functools
import re
from pathlib import Path

from kani_text.normalizer.number_words.words import NumberWords
from kani_text.normalizer.tables.file import read_table_file

_WORDS = read_table_file(Path(__file__).with_name("ar.toml"))
_GOVERNORS, _NOUNS, _DUALS, _SAID, _OF_TEN = map(
    _WORDS.section, ("governors", "ordered", "dual", "words", "powers")
)
_UNITS = {gender: _SAID.words(gender) for gender in "mf"}
_ORDINALS = {gender: _SAID.words(f"ordinal_{gender}") for gender in "mf"}
_TENS, _HUNDREDS = _SAID.words("tens"), _SAID.words("hundreds")
_POWERS = [(10 ** int(zeros), _OF_TEN.words(zeros)) for zeros in ("12", "9", "6", "3")]
_TEN_MORE = {"m": "عشر", "f": "عشرة"}
_BEFORE_TEN = {"m": {1: "أحد", 2: "اثنا"}, "f": {1: "إحدى", 2: "اثنتا"}}
_FIRST_OF_MORE = {"m": "الحادي", "f": "الحادية"}

_TWO = "اثن|اثنت|مئت|ألف|مليون|مليار|تريليون"
_DUAL = re.compile(rf"(?<!\w)((?:و|ال|وال)?(?:{_TWO}))ان(?!\w)")
# "ألفا" elsewhere is a thousand that is counted, and stays.
_DUAL_BEFORE_NOUN = re.compile(r"(?<!\w)(و?(?:اثنت?(?=ا عشر)|مئت)|^(?:ألف|مليون|مليار|تريليون))ا(?!\w)")
_DUAL_NOUN = re.compile(r"(^|(?<= )و)(\w{3,})ان(?!\w)")
_TENS_WORD = re.compile(r"(?<!\w)((?:و|ال|وال)?(?:عشر|ثلاث|أربع|خمس|ست|سبع|ثمان|تسع))ون(?!\w)")
_DUAL_END = re.compile(r"(مئت|ألف|مليون|مليار|تريليون)ان$")
_VERBS = re.compile(
    rf"[وف]?س?[يتنأا]?(?:{'|'.join(_GOVERNORS.words('verbs'))})"
    r"(?:ت|تا|نا|وا|ون|ين|ي|ان|ى|يت|ينا)?(?:ني|ه|ها|هم|كم|ك)?"
    rf"|[وف]?س?[يت](?:{'|'.join(_GOVERNORS.words('presents'))})|أمض[ىت]"
    rf"|[وف]?(?:{'|'.join(_GOVERNORS.words('imperatives'))})(?:ي|وا)?(?:ه|ها)?|\w{{3,}}وا|سأ\w{{3,}}"
)
_PARTICLES = frozenset(_GOVERNORS.words("particles"))
_VERBAL_NOUN = re.compile(
    r"[وف]?[بلك]\d\S*|[وف]?[بلك]?(?:ت\w\wي\w|إ\w\wا\w|إ\wا\wة|ا(?!ست|ل)\w{3}ا\w|است\w\wا\w|است\wا\wة|م\wا\w\wة)"
    r"|[وف]?ب(?!ال)\w{3,}[^\Wتهامكن]"
)
"""Shapes of "توفير", "إصدار", "إضافة", "اعتقال", "استخدام", "مشاركة", "بحضور": a number belongs to them."""
# "بطاقة 25", "عجلات 29", but "سيارة جديدة 25", "كهربائية 25"
_INDEFINITE = re.compile(r"(?!و?[بفلك]?ال|لل)\w*(?:\w\w[^\Wي]ة|\w{3}ات)")
_NO_CONSTRUCT = frozenset(_GOVERNORS.words("no_construct"))
_BEFORE_CONSTRUCT = frozenset(_GOVERNORS.words("before_construct"))
_DEFINITE = re.compile(r"(?:و?ال|[وب]ال|لل).*|.*(?:ه|ها|هم|هن|نا|كم)")
_WAS = frozenset(_GOVERNORS.words("was"))
_ORDERED = {
    joined + noun.removeprefix(article): gender
    for gender in "fm"
    for noun in _NOUNS.words(gender)
    for joined, article in (("", ""), ("و", ""), ("ف", ""), ("ب", ""), ("لل", "ال"), ("ولل", "ال"))
}
_SINGULARS = dict(pair.split("=") for pair in _DUALS.words("plurals"))
_MASCULINE_NOUNS = frozenset(_DUALS.words("masculine"))
_YEARS, _LAST_YEAR = frozenset(("سنة", "السنة")), 2200
_ERA = re.compile("( هجري| ميلادي)$")
_AFTER_PARTICLE = re.compile("(?<= )(?:إلى|على|في|من|يساوي) .*")
_PREPOSITIONS = frozenset("ب ل ك لل بال كال وب ول".split())


class ArabicNumbers(NumberWords):
    """Genders are those of the counted noun ("m", "f"); "hour" is for hours, which are ordinals.

    Numbers are in the nominative, except after words that govern another case.
    """

    ordered, verbs = _ORDERED.keys() | _YEARS, _VERBS

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
        """An ordinal after a noun that is ordered, else as the last two words of ``previous`` govern it."""
        earlier, _, word = previous.rpartition(" ")
        whole = word[:1] not in ("و", "ف") or word in _PARTICLES or word in _NO_CONSTRUCT
        bare = word if whole else word[1:]
        # "الدور 16" is a round of a cup, "السنة 92" no place.
        space, spoken = " " * spoken.startswith(" "), spoken.removeprefix(" ")
        place, last = _numbers().get(spoken, 0), 12 if bare.endswith(("لدور", "لسنة")) else 99
        if bare in _ORDERED and 0 < place <= last:
            return space + _genitive(self.ordinal(place, _ORDERED[bare]))
        if bare.removeprefix("ل").removeprefix("ب") in _YEARS:
            year, era, rest = _ERA.split(spoken) if _ERA.search(spoken) else (spoken, "", "")
            number = _numbers().get(year, 0)
            said = _genitive(" و".join(_parts(number, "f"))) if number else _genitive(year)
            # "ثمان" by itself, "ثماني" before what it counts
            said = re.sub("ثماني$", "ثمان", said)
            return f"{space}{said}{era and era + 'ة'}{rest}"
        if _governs(earlier, bare, joined=not whole):
            return space + _genitive(spoken)
        return space + _AFTER_PARTICLE.sub(lambda found: _genitive(found.group()), spoken)

    def with_noun(self, number: int, last: int, noun: str) -> str:
        """ "1 كوب" is "كوب واحد", "2 ليلة" and "2 أيام" are duals, and so in "1-2 قرص" and "2-3 أيام"."""
        word = _SINGULARS.get(noun, noun).removesuffix("ً").removesuffix("اً").removesuffix("ا")
        feminine = word.endswith("ة")
        if number not in (1, 2) or not (feminine or word in _MASCULINE_NOUNS):
            return ""
        dual = f"{word.removesuffix('ة') + 'ت' * feminine}ان"
        if last > 2:
            said = self.cardinal(last, "f" if feminine else "m")
            return f"{dual} إلى {said} {noun}" if number == 2 else ""
        if last:
            return f"{word} إلى {_genitive(dual)}" if number == 1 else ""
        return f"{word} واحد{'ة' * feminine}" if number == 1 else dual

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


def _governs(earlier: str, word: str, joined: bool) -> bool:
    """True if a number after these words, the second perhaps joined by "and", is not in the nominative."""
    known = word in _PARTICLES or (word[1:] in _PARTICLES and word[0] in "بل")
    known = known or (word in _ORDERED and word[0] in "بل")
    if known or _VERBS.fullmatch(word) or _VERBAL_NOUN.fullmatch(word):
        return True
    described = not joined and _INDEFINITE.fullmatch(earlier)
    if _INDEFINITE.fullmatch(word) and word not in _NO_CONSTRUCT and not described:
        return True
    definite = _DEFINITE.fullmatch(word) is not None
    return earlier.removeprefix("و") in _WAS if definite else earlier in _BEFORE_CONSTRUCT


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


def _of_power(count: int, names: tuple[str, ...]) -> str:
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
