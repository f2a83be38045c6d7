"""The language that a text is written in, as far as it can be told.

A script that few languages write tells by itself. Latin letters are judged by three factors: a detector's
probability (py3langid, by groups of letters), how many of the words are among a language's commonest
(``speech.text.common_words``), and how often a language is met at all. The languages that a client says it
speaks are more likely by a further factor, which does not overrule a text that is clearly in another.
"""

from __future__ import annotations

import copy
import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from speech.errors import EngineUnavailable
from speech.text import common_words
from speech.text.languages import WIDESPREAD, primary

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_LOOKED_AT = 500

MIN_PROBABILITY = 0.5
"""The probability from which a language is believed: it is likelier than all others together."""

_LEAST = 1e-3
"""No detector's probability counts as less: it has seen few texts of one word."""

_ALL_COMMON = 500.0
"""How much more likely a language is if all words of a text are among its commonest."""

_NOT_LISTED = 0.2
"""Which share of a text's words is taken to be common in a language that is not in the table."""

_EXPECTED = (10.0, 8.0, 6.0, 4.0)
"""How likely each of a client's languages is, in its order, against another one that is met often; those
further down count as the last."""

_OFTEN = frozenset("de en es fr it pt".split())
_RARELY = 0.1
"""How likely a language is that is none of those which are met often, against one of them."""

_WORD = re.compile(r"[^\W\d_]{2,}")
"""A word; single letters are what is left of "j'ai" and "don't"."""

_OF_SCRIPT = {
    "ARABIC": ("ar", "ur", "fa", "ug", "sd", "ku"),
    "ARMENIAN": ("hy", "hyw"),
    "BENGALI": ("bn", "as"),
    "CHEROKEE": ("chr",),
    "CJK": ("zh", "yue", "ja"),
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
"""Which languages write a script; the first is meant unless letters, the client or the detector say
another."""

_TELLING = {
    "uk": "[їєґ]",
    "be": "ў",
    "sr": "[ђћ]",
    "mk": "[ѓќѕ]",
    "fa": "[پچژگ]",
    "ur": "[ٹڈڑں]",
    # 係 is written by others too, in 關係, 係數 and the like.
    "yue": "[嘅咗唔喺佢冇啲咁嗰哋嚟乜嘢咩嘥瞓攞揾]|(?<![關关関聯联干])係(?!數|数)",
    # Made in Japan, or simplified there alone.
    "ja": "[々働込畑峠辻枠匂気駅円図戻歩毎売読変対応経済験険実広県権楽薬桜竜黒団囲圧帰様仏処両択沢悩]",
}
"""Letters of a script that one language alone writes (a pattern)."""

_NEVER = {"ja": "[你您吗呢吧这们么谁没说请谢对现开关电东车门话语习见买卖觉让认识时间给过还进钱饭马鸟鱼爱妈]"}
"""Letters that a language which shares its script with others does not write."""

_SHARED = {"ja": ("HIRAGANA", "KATAKANA", "CJK"), "ko": ("HANGUL", "CJK")}
"""Languages that are written in more than one script of the table."""


def scripts_of(language: str) -> frozenset[str]:
    """The scripts that a language (a primary subtag) is written in, as ``telling_script`` names them."""
    if language in _SHARED:
        return frozenset(_SHARED[language])
    scripts = frozenset(script for script, written in _OF_SCRIPT.items() if language in written)
    return scripts or frozenset(("LATIN",))


def distinctive_script(letter: str) -> str | None:
    """The script of a letter, if few languages are written in it."""
    script = unicodedata.name(letter, "").partition(" ")[0]
    return script if script in _OF_SCRIPT else None


def detect(
    text: str,
    candidates: Iterable[str],
    min_probability: float = MIN_PROBABILITY,
    expected: Sequence[str] = (),
) -> str | None:
    """The language that ``text`` is written in, if it can be told; one of ``candidates``.

    candidates: primary subtags. sure: how probable it has to be, unless its script tells. expected: what the
    client speaks (BCP 47), in its order of preference. The first call that needs the detector loads it
    (``load_detector``); each takes some 100 µs.
    """
    allowed = frozenset(candidates)
    text = text[:_LOOKED_AT]
    script = _script(text)
    if script is None:
        return None
    wanted = tuple(dict.fromkeys(primary(tag) for tag in expected))
    if script == "LATIN":
        return _most_probable(text, allowed, allowed | WIDESPREAD, min_probability, wanted)
    return _of_script(text, script, allowed, min_probability, wanted)


def _of_script(
    text: str, script: str, allowed: frozenset[str], sure: float, wanted: Sequence[str]
) -> str | None:
    """The one of the languages written in a text's script that is meant."""
    written = _OF_SCRIPT.get(script, ())
    for language in written:
        if language in _TELLING and re.search(_TELLING[language], text.lower()):
            return language if language in allowed else None
    possible = [
        language
        for language in written
        if language in allowed and not (language in _NEVER and re.search(_NEVER[language], text))
    ]
    if not possible:
        return None
    # The detector takes short Mandarin for Cantonese: its own letters tell that, or its client.
    if script != "CJK" and len(possible) > 1:
        told = _most_probable(text, allowed, frozenset(possible), sure, wanted)
        if told is not None:
            return told
    return next((language for language in wanted if language in possible), possible[0])


def _most_probable(
    text: str, allowed: frozenset[str], among: frozenset[str], sure: float, wanted: Sequence[str]
) -> str | None:
    """The language of ``among`` that the text is most probably in, if that is sure and it is allowed."""
    weights = _weights(text, among, wanted)
    language = max(weights, key=weights.__getitem__, default=None)
    if language is None or language not in allowed:
        return None
    return language if weights[language] >= sure * sum(weights.values()) else None


def _weights(text: str, among: frozenset[str], wanted: Sequence[str]) -> dict[str, float]:
    """How probable each language is, relative to the others."""
    common, listed = common_word_shares(text), common_words.listed_languages()
    weights = {}
    for language, probability in _detector(among).rank(text):
        language = "nb" if language == "no" else language
        share = common.get(language, 0.0) if language in listed else _NOT_LISTED
        weight = max(probability, _LEAST) * _ALL_COMMON**share
        if language in wanted:
            weight *= _EXPECTED[min(wanted.index(language), len(_EXPECTED) - 1)]
        elif language not in _OFTEN:
            weight *= _RARELY
        weights[language] = weight
    return weights


def common_word_shares(text: str) -> Mapping[str, float]:
    """Which share of a text's words is among the commonest of each language."""
    words = _WORD.findall(text.lower())
    having = common_words.languages_by_word()
    counts = Counter(language for word in words for language in having.get(word, ()))
    return {language: count / len(words) for language, count in counts.items()}


@functools.cache
def load_detector() -> LanguageIdentifier:
    """The detector (py3langid, 140 languages), loaded once with the table: half a second; best in a thread.

    Raises EngineUnavailable where its model cannot be unpacked, which takes a temporary file.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    common_words.listed_languages()
    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:
        raise EngineUnavailable(
            f"the detector of languages cannot unpack its model ({error.strerror or error}): it needs a "
            "temporary file of 70 MB (make room, or set TMPDIR to a folder that has it)"
        ) from error


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
