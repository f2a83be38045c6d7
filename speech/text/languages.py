"""Languages by their tags (BCP 47) and by their names."""

from __future__ import annotations

import functools
import re
import unicodedata

from speech.errors import UnsupportedLanguage
from speech.text.language_names import LANGUAGES, REGIONAL

_TAG = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{1,8}){0,6}", re.IGNORECASE)
_LONGEST_ECHO = 40

WIDESPREAD = frozenset("ca cs da de en es fi fr hr hu id it nl no pl pt ro sk sv tr vi".split())
"""Languages that are told from others even where nobody speaks them, so that German is not taken for English
by a server that speaks five languages (primary subtags)."""


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
    widely = WIDESPREAD | {"ar", "el", "he", "hi", "ja", "ko", "nb", "ru", "th", "uk", "zh"}
    rows = (line.partition(" ") for line in LANGUAGES.strip().splitlines())
    return [known_as.split("|")[0] for subtag, _, known_as in rows if subtag in widely]
