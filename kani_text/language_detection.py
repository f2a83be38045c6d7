"""Detects the language of a text.

A script that few languages write decides by itself. Text in Latin letters is scored by three factors: a
detector's probability (py3langid, by groups of letters), the share of its words that are among a language's
commonest (common_words.txt), and how often a language occurs at all. A further factor favours the
languages that a client says it speaks; it does not overrule a text that is clearly in another.
"""

import functools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kani_text.errors import EngineUnavailable
from kani_text.languages import DATA, primary

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_MAX_TEXT = 500

MIN_PROBABILITY = 0.5
"""Least probability to accept a language: it is likelier than all others together."""

_SUBTAGS = {"no": "nb"}
"""Primary subtags by the detector's own names."""

_MIN_DETECTOR_PROBABILITY = 1e-3
"""Lower bound of a detector's probability, which has seen few texts of one word."""

_COMMON_WORDS_FACTOR = 500.0
"""Factor for a language if all words of a text are among its commonest."""

_UNLISTED_SHARE = 0.2
"""Share of common words that is assumed for a language without a list."""

_EXPECTED_FACTORS = (10.0, 8.0, 6.0, 4.0)
"""Factors for a client's languages, in its order of preference, against another frequent one; those further
down count as the last."""

_RARE_FACTOR = 0.1
"""Factor for a language that is not in ``_FREQUENT``."""

_COMMON_WORDS = Path(__file__).with_name("common_words.txt")
"""Lines of words, each after its language, of those in Latin letters.

Articles, pronouns, prepositions, conjunctions, question words; forms of to be, to have and the like; numerals
to ten, days, times of day; greetings, courtesies, short answers; everyday verbs, things and adverbs. A word
that several languages share is listed in each of them, and so does not decide between them. Words of one
letter are too ambiguous to be listed.
"""

_WORD = re.compile(r"[^\W\d_]{2,}")
"""A word; single letters are what is left of "j'ai" and "don't"."""

_LANGUAGES_BY_SCRIPT = {script: tuple(written.split()) for script, written in DATA["scripts"].items()}
_OWN_LETTERS, _UNUSED_LETTERS = DATA["own_letters"], DATA["unused_letters"]
_WIDESPREAD, _FREQUENT = frozenset(DATA["widespread"].split()), frozenset(DATA["frequent"].split())

_DENSE_SCRIPTS = frozenset(("CJK", "HIRAGANA", "KATAKANA"))
_LETTERS_PER_CHARACTER = 4
"""Letters of the Latin script that take as long as one character of these."""

_SCRIPTS = {"ja": ("HIRAGANA", "KATAKANA", "CJK"), "ko": ("HANGUL", "CJK")}
"""Languages that are written in several scripts of ``_LANGUAGES_BY_SCRIPT``."""


@functools.lru_cache(maxsize=256)
def scripts_of(language: str) -> frozenset[str]:
    """The scripts that a language (a primary subtag) is written in, as ``distinctive_script`` names them."""
    if language in _SCRIPTS:
        return frozenset(_SCRIPTS[language])
    scripts = frozenset(script for script, written in _LANGUAGES_BY_SCRIPT.items() if language in written)
    return scripts or frozenset(("LATIN",))


def is_detectable(language: str) -> bool:
    """True if texts in a language (a primary subtag) can be told from others. Loads the detector."""
    return language in _labels()


def distinctive_script(letter: str) -> str | None:
    """The script of a letter if few languages are written in it, else None."""
    script = unicodedata.name(letter, "").partition(" ")[0]
    return script if script in _LANGUAGES_BY_SCRIPT else None


def detect(
    text: str,
    candidates: Iterable[str],
    min_probability: float = MIN_PROBABILITY,
    expected: Sequence[str] = (),
) -> str | None:
    """The language of ``text``, one of ``candidates``; None if it is uncertain.

    candidates: primary subtags. min_probability: of text in a script that many languages write. expected: the
    client's languages (BCP 47), in its order of preference. The first call that needs the detector loads it
    (``load_detector``); each takes some 100 µs.
    """
    allowed = frozenset(candidates)
    text = text[:_MAX_TEXT]
    script = _script(text)
    if script is None:
        return None
    preferred = tuple(dict.fromkeys(primary(tag) for tag in expected))
    if script == "LATIN":
        return _most_probable(text, allowed, allowed | _WIDESPREAD, min_probability, preferred)
    return _detect_in_script(text, script, allowed, min_probability, preferred)


def likelier(text: str, pair: tuple[str, str], expected: str) -> str:
    """The likelier of two languages (primary subtags) of a text in Latin letters, if one is expected."""
    scores = _scores(text, frozenset(pair), (expected,))
    return max(scores, key=scores.__getitem__, default=expected)


def _detect_in_script(
    text: str, script: str, allowed: frozenset[str], min_probability: float, preferred: Sequence[str]
) -> str | None:
    """The most likely of the languages that are written in ``script``."""
    written = _LANGUAGES_BY_SCRIPT.get(script, ())
    for language in written:
        if language in _OWN_LETTERS and re.search(_OWN_LETTERS[language], text.lower()):
            return language if language in allowed else None
    possible = [
        language
        for language in written
        if language in allowed
        and not (
            script == "CJK" and language in _UNUSED_LETTERS and re.search(_UNUSED_LETTERS[language], text)
        )
    ]
    if not possible:
        return None
    # The detector takes short Mandarin for Cantonese: their own letters tell them apart, or the client.
    if script != "CJK" and len(possible) > 1:
        detected = _most_probable(text, allowed, frozenset(possible), min_probability, preferred)
        if detected is not None:
            return detected
    return next((language for language in preferred if language in possible), possible[0])


def _most_probable(
    text: str,
    allowed: frozenset[str],
    among: frozenset[str],
    min_probability: float,
    preferred: Sequence[str],
) -> str | None:
    """The most probable language of ``among``, if it reaches ``min_probability`` and is allowed."""
    scores = _scores(text, among, preferred)
    language = max(scores, key=scores.__getitem__, default=None)
    if language is None or language not in allowed:
        return None
    return language if scores[language] >= min_probability * sum(scores.values()) else None


def _scores(text: str, among: frozenset[str], preferred: Sequence[str]) -> dict[str, float]:
    """Scores of the languages, relative to each other."""
    shares, with_list = common_word_shares(text), listed_languages()
    scores = {}
    for language, probability in _probabilities(text, among).items():
        share = shares.get(language, 0.0) if language in with_list else _UNLISTED_SHARE
        score = max(probability, _MIN_DETECTOR_PROBABILITY) * _COMMON_WORDS_FACTOR**share
        if language in preferred:
            score *= _EXPECTED_FACTORS[min(preferred.index(language), len(_EXPECTED_FACTORS) - 1)]
        elif language not in _FREQUENT:
            score *= _RARE_FACTOR
        scores[language] = score
    return scores


def common_word_shares(text: str) -> Mapping[str, float]:
    """The share of a text's words that is among the commonest, by language."""
    words = words_of(text)
    by_word = languages_by_word()
    counts = Counter(language for word in words for language in by_word.get(word, ()))
    return {language: count / len(words) for language, count in counts.items()}


def words_of(text: str) -> list[str]:
    """The words of a text that may be listed, in lower case."""
    return _WORD.findall(text.lower())


@functools.cache
def common_words(language: str) -> frozenset[str]:
    """The commonest words of a language (a primary subtag), in lower case."""
    return frozenset(word for word, languages in languages_by_word().items() if language in languages)


@functools.cache
def languages_by_word() -> dict[str, frozenset[str]]:
    """Languages (primary subtags) by each word, in lower case, that is among their commonest."""
    having: dict[str, set[str]] = {}
    for line in _COMMON_WORDS.read_text(encoding="utf-8").splitlines():
        language, _, words = line.partition(" ")
        for word in words.split():
            having.setdefault(word, set()).add(language)
    return {word: frozenset(languages) for word, languages in having.items()}


@functools.cache
def listed_languages() -> frozenset[str]:
    """The languages (primary subtags) with known commonest words."""
    return frozenset().union(*languages_by_word().values())


@functools.cache
def load_detector() -> "LanguageIdentifier":
    """Load the detector (py3langid, 140 languages) and the lists of words, once.

    It takes half a second: best in a thread. Raises EngineUnavailable where its model cannot be unpacked,
    which takes a temporary file.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    listed_languages()
    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE)
    except OSError as error:
        raise EngineUnavailable(
            f"language detection cannot unpack its model ({error.strerror or error}): it needs a "
            "temporary file of 70 MB (make room, or set TMPDIR to a folder that has it)",
            passing=True,
        ) from error


@functools.cache
def _labels() -> frozenset[str]:
    """The languages that the detector knows (primary subtags)."""
    return frozenset(_SUBTAGS.get(label, label) for label in load_detector().labels)


def _probabilities(text: str, among: frozenset[str]) -> dict[str, float]:
    """The detector's probabilities, of those languages of ``among`` that it knows.

    Its own way to restrict languages copies the model (40 ms, 20 MB). Their scores are the same, and become
    probabilities as it does it: by a softmax with the root of the text's bytes as its temperature.
    """
    scores = {_SUBTAGS.get(label, label): score for label, score in load_detector().rank(text)}
    scores = {language: score for language, score in scores.items() if language in among}
    if not scores:
        return {}
    highest, temperature = max(scores.values()), math.sqrt(len(text.encode("utf-8", "surrogatepass")) or 1)
    powers = {language: math.exp((score - highest) / temperature) for language, score in scores.items()}
    total = sum(powers.values())
    return {language: power / total for language, power in powers.items()}


def _script(text: str) -> str | None:
    """The script of most letters, by the first word of their Unicode names; None without letters."""
    # Half-width kana and full-width letters have other names than the characters they stand for.
    plain = unicodedata.normalize("NFKC", text)
    scripts = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in plain if letter.isalpha())
    scripts.pop("", None)
    if not scripts:
        return None
    # "我喜欢 iPhone" is Chinese.
    for script in _DENSE_SCRIPTS & scripts.keys():
        scripts[script] *= _LETTERS_PER_CHARACTER
    # Japanese is written in Han too; a few kana between them tell it from Chinese.
    if scripts["HIRAGANA"] or scripts["KATAKANA"]:
        scripts["HIRAGANA"] += scripts.pop("CJK", 0)
    return scripts.most_common(1)[0][0]
