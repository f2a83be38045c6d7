"""Tags (HTML, SSML), the pauses of breaks, and character references."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.entities import html5

from kani_text.markup.masked_text import MAX_HELD_BACK, PRIVATE_USE, Break, PendingText

MAX_BREAK_S = 10.0
MAX_BREAKS = 1000
MAX_TOTAL_BREAKS_S = 600.0
"""Limits of one text, for each break and in all: breaks cost no characters, so the text's limit does not
bound them."""

STRENGTHS_S = {"none": 0.0, "x-weak": 0.25, "weak": 0.5, "medium": 0.75, "strong": 1.0, "x-strong": 1.25}
"""SSML leaves the seconds to the server; these are the ones that Azure's speech service documents."""

BLOCK_ELEMENTS = frozenset(
    """
    address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main nav ol optgroup option p pre section
    select summary table tbody tfoot thead title tr ul
    """.split()
)
"""Block elements: a paragraph ends before and after them."""

CELL_ELEMENTS = frozenset(("td", "th"))

UNSPOKEN_ELEMENTS = frozenset(("script", "style", "think", "thinking"))
"""Elements with content that is not spoken: programs, and the reasoning of a language model."""

_INLINE = frozenset(
    """
    a abbr acronym area audio b base bdi bdo big br button canvas cite code col colgroup data datalist del
    dfn dialog em embed emphasis font i iframe img input ins kbd label link map mark math menu meta meter
    noscript object output param picture progress q rp rt ruby s samp search slot small source span strike
    strong sub sup svg template textarea time track tt u var video wbr
    amazon break lang lexicon lookup metadata par phoneme prosody say-as seq speak token voice w
    """.split()
)
_KNOWN = BLOCK_ELEMENTS | CELL_ELEMENTS | UNSPOKEN_ELEMENTS | _INLINE

_NAME = r"[A-Za-z][A-Za-z0-9:_-]{0,30}"
_VALUE = r"""(?:"[^"<]*"|'[^'<]*'|“[^”<]*”|[^\s"'<>=`“]+)"""
_BARE = r"(?:open|hidden|controls|async|defer|disabled|checked|required|reversed|autoplay|loop|muted)"
_ATTRIBUTE = rf"\s+(?:[A-Za-z_:][A-Za-z0-9_:.-]*\s*=\s*{_VALUE}|{_BARE}(?=[\s/>]))"
_TAG = re.compile(rf"<(/?)({_NAME})((?:{_ATTRIBUTE})*)\s*(/?)\s*>", re.IGNORECASE)
_TAG_BEGUN = re.compile(
    rf"""<(?:/?(?:{_NAME}(?:{_ATTRIBUTE})*
    (?:\s+(?:[A-Za-z_:][A-Za-z0-9_:.-]*(?:\s*=\s*(?:"[^"<]*|'[^'<]*|“[^”<]*|[^\s"'<>=`“]+)?|\s*))?)?
    \s*/?\s*)?)?""".replace("\n    ", ""),
    re.IGNORECASE,
)
_DECLARATION = re.compile(r"<[!?][A-Za-z][^<>]*>")
_DECLARATION_BEGUN = re.compile(r"<[!?](?:[A-Za-z][^<>]*)?")
_PLACEHOLDER = re.compile(r"<(?=[^\W\d_])([\w '-]{1,30})(?<![ ])>")
_PLACEHOLDER_BEGUN = re.compile(r"<(?:(?=[^\W\d_])[\w '-]{1,30})?")
_PAIR = re.compile(rf"([A-Za-z_:][A-Za-z0-9_:.-]*)\s*=\s*({_VALUE})")
_TIME = re.compile(r"\+?(\d+(?:[.,]\d*)?|[.,]\d+)\s*(ms|s)", re.IGNORECASE)
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_REFERENCE_BEGUN = re.compile(r"&(?:#(?:\d{0,7}|[xX][0-9A-Fa-f]{0,6})|[A-Za-z][A-Za-z0-9]{0,31})?")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag up to ``end``; placeholder: the words in the angle brackets are text."""

    end: int
    name: str = ""
    closing: bool = False
    attributes: str = ""
    placeholder: bool = False


def parse_tag(source: PendingText, at: int, before: str) -> Tag | None:
    """Parse the "<" at ``at``, after the character ``before``; None if it is text.

    A ``Tag`` that ends where it begins needs more text.
    """
    text, window = source.text, at + MAX_HELD_BACK
    if found := _TAG.match(text, at, window):
        closing, name, attributes, empty = found.groups()
        sure = closing or attributes or empty or ":" in name or name.lower() in _KNOWN
        if sure:
            return Tag(found.end(), name.lower(), bool(closing), attributes)
    elif found := _DECLARATION.match(text, at, window):
        return Tag(found.end())
    elif source.may_begin(_TAG_BEGUN, at) or source.may_begin(_DECLARATION_BEGUN, at):
        return Tag(at)
    if before.isalnum():
        return None
    if found := _PLACEHOLDER.match(text, at):
        return Tag(found.end(), placeholder=True)
    return Tag(at) if source.may_begin(_PLACEHOLDER_BEGUN, at) else None


def parse_reference(source: PendingText, at: int) -> tuple[int, str] | None:
    """The end and the character of the reference at ``at``; (at, "") if more text is needed."""
    if found := _REFERENCE.match(source.text, at):
        name = found.group()[1:]
        known = name.startswith("#") or name in html5
        character = html.unescape(found.group())
        return (found.end(), "" if PRIVATE_USE.search(character) else character) if known else None
    return (at, "") if source.may_begin(_REFERENCE_BEGUN, at) else None


@dataclass(slots=True)
class BreakBudget:
    """Counts the breaks of one text."""

    _count: int = 0
    _seconds: float = 0.0

    def take(self, seconds: float) -> Break | None:
        """The pause of a ``<break>`` of so many seconds; None for none, or beyond the limits."""
        if not seconds or self._count >= MAX_BREAKS or self._seconds + seconds > MAX_TOTAL_BREAKS_S:
            return None
        self._count += 1
        self._seconds += seconds
        return Break(seconds)


def break_seconds(attributes: str) -> float:
    """Duration of a ``<break>`` with these attributes as they are written, as ``pause_seconds`` has it."""
    return pause_seconds(values_of(attributes))


def values_of(attributes: str) -> dict[str, str]:
    """Values of attributes as they are written, without their quotes, by name in small letters."""
    return {name.lower(): value.rstrip("/").strip("\"'“” \t\n") for name, value in _PAIR.findall(attributes)}


def pause_seconds(given: Mapping[str, str]) -> float:
    """Duration of a ``<break>`` with the attributes ``given``, in seconds: 0 to ``MAX_BREAK_S``.

    A time overrides a strength; without either it is a medium one. An invalid time is 0.
    """
    if "time" not in given:
        return STRENGTHS_S.get(given.get("strength", "medium").strip().lower(), 0.0)
    found = _TIME.fullmatch(given["time"].strip())
    if found is None:
        return 0.0
    number = float(found[1].replace(",", "."))
    return min(number / 1000 if found[2].lower() == "ms" else number, MAX_BREAK_S)
