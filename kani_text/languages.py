"""Languages by BCP 47 tag, by ISO 639 code, and by name in any language."""

import functools
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from babel import Locale
from babel.core import get_global

from kani_text.errors import UnsupportedLanguage

DATA = tomllib.loads(Path(__file__).with_name("languages.toml").read_text(encoding="utf-8"))
"""Contents of the file, which explains its parts."""

_ALIASES: Mapping[str, str] = DATA["aliases"]

KNOWN = frozenset(DATA["known"].split())
"""Primary subtags that ``resolve`` accepts."""

_TAG = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{1,8}){0,6}")
_LONGEST_ECHO = 40

NAMES_FILE = Path(__file__).with_name("language_names.txt")
"""Names of languages in all languages that CLDR has: for each tag a line with the tag, a tab, and its
normalized names, separated by bars. Babel has them in a file for each of 300 locales, which take seconds to
read."""

_NOT_IN_NAMES = str.maketrans({"’": "'", "-": " ", "(": None, ")": None, ",": None, "|": None})


def resolve(name: str) -> str:
    """The BCP 47 tag for a tag, a code or a name: ``spanish``, ``Español``, ``spa``, ``es_mx`` or ``es-MX``.

    Raises UnsupportedLanguage unless its language is in ``KNOWN``.
    """
    wanted = " ".join(unicodedata.normalize("NFC", name).casefold().split())
    tag = by_code(wanted if _TAG.fullmatch(wanted) else _tag_of_name(wanted))
    if primary(tag) not in KNOWN:
        raise UnsupportedLanguage(name[:_LONGEST_ECHO], "those of docs/languages.md, such as es or Spanish")
    return tag


@functools.lru_cache(maxsize=1024)
def primary(tag: str) -> str:
    """The primary subtag of a tag: ``es`` of ``es-MX``."""
    return tag.partition("-")[0].lower()


@functools.lru_cache(maxsize=1024)
def canonical(tag: str) -> str:
    """A tag in the case that BCP 47 recommends: ``zh-Hant-TW``, ``en-GB-x-rp``."""
    first, *rest = tag.lower().split("-")
    private = rest.index("x") if "x" in rest else len(rest)
    cased = [_case(part) for part in rest[:private]] + rest[private:]
    return "-".join([first, *cased])


def _case(subtag: str) -> str:
    if len(subtag) == 2:
        return subtag.upper()
    return subtag.title() if len(subtag) == 4 and subtag.isalpha() else subtag


@functools.lru_cache(maxsize=1024)
def parent(tag: str) -> str:
    """The variety that a region's own belongs to, by CLDR: ``es-419`` for ``es-MX``; "" for none."""
    return str(get_global("parent_exceptions").get(tag.replace("-", "_"), "")).replace("_", "-")


def english_name(language: str) -> str:
    """The English name of a primary subtag; "" unless it is in ``KNOWN``."""
    if language not in KNOWN:
        return ""
    return DATA["english_names"].get(language) or str(Locale("en").languages[language])


@functools.lru_cache(maxsize=1024)
def by_code(tag: str) -> str:
    """``tag`` with its language's usual code: ``ger-AT`` and ``de_at`` are ``de-AT``, ``tl`` is ``fil``.

    One with an extended language, ``zh-yue-HK``, is that one's: ``yue-HK``. Of any language, known or not.
    """
    first, *rest = tag.lower().replace("_", "-").split("-")
    aliases = get_global("language_aliases")
    if rest and len(rest[0]) == 3 and (rest[0] in KNOWN or rest[0] in aliases):
        first, *rest = rest
    first = _ALIASES.get(first) or aliases.get(first, first).replace("_", "-")
    return canonical("-".join([first, *rest]))


def _tag_of_name(name: str) -> str:
    """The tag of the language of that name, "" for none: "brazilian portuguese" is ``pt-BR``."""
    if name in _ALIASES:
        return _ALIASES[name]
    return _names().get(normalized_name(name), "")


def normalized_name(name: str) -> str:
    """A name without capitals and punctuation: "Chinese (Traditional)" is "chinese traditional"."""
    return " ".join(name.casefold().translate(_NOT_IN_NAMES).split())


def load_names() -> None:
    """Load the names of languages, and CLDR's data on varieties, once: 20 ms, best in a thread."""
    _names()
    english_name("en")
    parent("en")


@functools.cache
def _names() -> Mapping[str, str]:
    """Tags by normalized name (16,000 names)."""
    tags = {}
    for line in NAMES_FILE.read_text(encoding="utf-8").splitlines():
        tag, _, names = line.partition("\t")
        tags.update(dict.fromkeys(names.split("|"), tag))
    return tags
