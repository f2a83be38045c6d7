"""Languages by their tags (BCP 47), by their names, and by how a text looks."""

from __future__ import annotations

import copy
import functools
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from speech.errors import EngineUnavailable, UnsupportedLanguage
from speech.language_names import LANGUAGES, REGIONAL

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_TAG = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{1,8}){0,6}", re.IGNORECASE)
_LONGEST_ECHO = 40
_LOOKED_AT = 500

SURE = 0.6
"""The probability from which the detector is believed.

Measured on 96 short sentences es, en, fr, de, it, pt and all their beginnings, against all 86
languages that espeak-ng speaks and the detector knows: none of 1,918 was mistaken; an answer came
for 21 % of those below 12 characters, 80 % of 12–19, 98 % of 20–29, all above. At 0.3, 0.3 % of
them were wrong.
"""

# Languages that are told from others even where nobody speaks them, so that German is not taken
# for English by a server that speaks five languages.
_WIDESPREAD = frozenset("ca cs da de en es fi fr hr hu id it nl no pl pt ro sk sv tr vi".split())

_OF_SCRIPT = {
    "ARABIC": ("ar", "ur", "fa", "ug", "sd", "ku"),
    "ARMENIAN": ("hy", "hyw"),
    "BENGALI": ("bn", "as"),
    "CHEROKEE": ("chr",),
    "CJK": ("zh", "yue"),
    "CYRILLIC": ("ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "tt", "ba"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "ETHIOPIC": ("am", "ti"),
    "GEORGIAN": ("ka",),
    "GREEK": ("el",),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "HANGUL": ("ko",),
    "HEBREW": ("he",),
    "HIRAGANA": ("ja",),
    "KANNADA": ("kn",),
    "KATAKANA": ("ja",),
    "MALAYALAM": ("ml",),
    "MYANMAR": ("my", "shn"),
    "ORIYA": ("or",),
    "SINHALA": ("si",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "THAI": ("th",),
}
"""Which languages write a script; the first is meant unless letters or the detector say another."""

_TELLING_LETTERS = {"uk": "їєґ", "be": "ў", "sr": "ђћ", "mk": "ѓќѕ", "fa": "پچژگ", "ur": "ٹڈڑں"}


_SHARED = {"ja": ("HIRAGANA", "KATAKANA", "CJK"), "ko": ("HANGUL", "CJK")}
"""Languages that are written in more than one script of the table."""


def scripts_of(language: str) -> frozenset[str]:
    """The scripts that a language (a primary subtag) is written in, as ``telling_script`` names them."""
    if language in _SHARED:
        return frozenset(_SHARED[language])
    scripts = frozenset(script for script, written in _OF_SCRIPT.items() if language in written)
    return scripts or frozenset(("LATIN",))


def telling_script(letter: str) -> str | None:
    """The script of a letter, if few languages are written in it."""
    script = unicodedata.name(letter, "").partition(" ")[0]
    return script if script in _OF_SCRIPT else None


def resolve(name: str) -> str:
    """The BCP 47 tag that a client means: ``spanish``, ``Español``, ``es_mx`` or ``es-MX``.

    Raises UnsupportedLanguage for what is neither a known name nor a tag of a known language.
    """
    wanted = _plain(name)
    if wanted in REGIONAL:
        return REGIONAL[wanted]
    names = _names()
    if wanted in names:
        return names[wanted]
    if _TAG.fullmatch(wanted):
        first, _, rest = wanted.replace("_", "-").partition("-")
        if first in names:
            return canonical(f"{names[first]}-{rest}" if rest else names[first])
    raise UnsupportedLanguage(name[:_LONGEST_ECHO], ", ".join(sorted(_widely_known())))


def primary(tag: str) -> str:
    """The primary subtag of a tag: ``es`` of ``es-MX``."""
    return tag.partition("-")[0].lower()


def canonical(tag: str) -> str:
    """A tag in the case that BCP 47 recommends: ``zh-Hant-TW``, ``en-GB-x-rp``."""
    first, *rest = tag.lower().split("-")
    private = rest.index("x") if "x" in rest else len(rest)
    cased = [_case(part) for part in rest[:private]] + rest[private:]
    return "-".join([first, *cased])


def detect(text: str, candidates: Iterable[str], sure: float = SURE) -> str | None:
    """The language that ``text`` is written in, if it can be told; one of ``candidates``.

    candidates: primary subtags. A script that few languages write tells by itself; otherwise the
    detector has to be ``sure``, a probability. The first call that needs the detector loads it
    (``load_detector``); each takes some 50 µs.
    """
    allowed = frozenset(candidates)
    text = text[:_LOOKED_AT]
    script = _script(text)
    if script is None:
        return None
    if script == "LATIN":
        return _detected(text, allowed, allowed | _WIDESPREAD, sure)
    of_script = _OF_SCRIPT.get(script, ())
    for language in of_script:
        if any(letter in text.lower() for letter in _TELLING_LETTERS.get(language, "")):
            return language if language in allowed else None
    written = [language for language in of_script if language in allowed]
    if len(written) > 1 and (told := _detected(text, allowed, frozenset(written), sure)):
        return told
    return written[0] if written else None


@functools.cache
def load_detector() -> LanguageIdentifier:
    """The detector (py3langid, 140 languages), loaded once: half a second; best in a thread.

    Raises EngineUnavailable where its model, which is unpacked into a temporary file, cannot be.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EngineUnavailable(
            f"what tells the language of a text cannot be loaded: {reason}; it needs some MB for temporary "
            f"files in {tempfile.gettempdir()} (TMPDIR names another folder)"
        ) from error


def _detected(text: str, allowed: frozenset[str], among: frozenset[str], sure: float) -> str | None:
    """The language of ``among`` that the detector is sure of, if it is allowed."""
    # The detector's name for Norwegian is the macrolanguage.
    language, probability = _detector(among).classify(text)
    language = "nb" if language == "no" else language
    return language if probability >= sure and language in allowed else None


@functools.lru_cache(maxsize=16)
def _detector(among: frozenset[str]) -> LanguageIdentifier:
    detector = copy.copy(load_detector())
    known = set(detector.labels)
    detector.set_languages(
        [language for language in ({"no"} if "nb" in among else set()) | among if language in known]
    )
    return detector


def _script(text: str) -> str | None:
    """The script of most letters, by the first word of their Unicode names; None without letters."""
    scripts = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    scripts.pop("", None)
    if not scripts:
        return None
    # Japanese is written in Han too; a few kana between them tell it from Chinese.
    if scripts["HIRAGANA"] or scripts["KATAKANA"]:
        scripts["HIRAGANA"] += scripts.pop("CJK", 0)
    return scripts.most_common(1)[0][0]


def _case(subtag: str) -> str:
    if len(subtag) == 2:
        return subtag.upper()
    return subtag.title() if len(subtag) == 4 and subtag.isalpha() else subtag


def _plain(name: str) -> str:
    """``name`` without case, accents and stray spaces, as names are compared."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return " ".join("".join(c for c in letters if not unicodedata.combining(c)).split())


@functools.cache
def _names() -> dict[str, str]:
    """Primary subtag by each name and code, as ``_plain`` writes them."""
    names: dict[str, str] = {}
    for line in LANGUAGES.strip().splitlines():
        subtag, _, known_as = line.partition(" ")
        names |= {_plain(name): subtag for name in (subtag, *known_as.split("|"))}
    return names


def _widely_known() -> list[str]:
    """English names that an error can list without being a page long."""
    widely = _WIDESPREAD | {"ar", "el", "he", "hi", "ja", "ko", "nb", "ru", "th", "uk", "zh"}
    rows = (line.partition(" ") for line in LANGUAGES.strip().splitlines())
    return [known_as.split("|")[0] for subtag, _, known_as in rows if subtag in widely]
