"""Words with phonemes of their own: ``[word](/phonemes/)``, ``<phoneme ph="phonemes">word</phoneme>``.

The first is Kokoro-FastAPI's, and looks like a link to a page of the same site. It is one unless all between
the slashes is of the IPA or of misaki's letters, and one sign is a stress mark (``ˈ``, ``ˌ``, ``'``) or,
without its accent, no letter of ASCII: "/home/" and "/año/" are pages, "/hˈOm/" and "/kæt/" are sounds.
"""

import re
import unicodedata

from kani_text.markup.masked_text import PendingText, Shown
from kani_text.markup.tags import Tag, values_of
from kani_text.phonetics import ALPHABETS

_WORD = r"[^\[\]<>\\*_`~\n]"
_LINK = re.compile(rf"\[({_WORD}{{1,90}})\]\(/([^/()\n]{{1,200}})/\)")
_LINK_BEGUN = re.compile(rf"\[(?:{_WORD}{{1,90}}(?:\](?:\((?:/(?:[^/()\n]{{1,200}}/?)?)?)?)?)?")
_CONTENT = re.compile(rf"({_WORD}{{1,90}})</phoneme\s{{0,9}}>", re.IGNORECASE)
_CONTENT_BEGUN = re.compile(rf"(?:{_WORD}{{1,90}}(?:<(?:/[a-z]{{0,7}}\s{{0,9}})?)?)?", re.IGNORECASE)


def link(source: PendingText, at: int) -> Shown | None:
    """The word of the "[" at ``at``; None if it has no phonemes."""
    if source.may_begin(_LINK_BEGUN, at):
        return Shown(at, "", at)
    found = _LINK.match(source.text, at)
    if found is None or not _has_sign(found[2]):
        return None
    return _pronounced(found, found[2], "ipa")


def element(source: PendingText, tag: Tag, at: int) -> Shown | None:
    """The word of a ``<phoneme>`` at ``at``; None of another tag, or without phonemes of a known alphabet."""
    if tag.name != "phoneme" or tag.closing:
        return None
    if source.may_begin(_CONTENT_BEGUN, tag.end):
        return Shown(at, "", at)
    found, given = _CONTENT.match(source.text, tag.end), values_of(tag.attributes)
    return found and _pronounced(found, given.get("ph", ""), given.get("alphabet", "ipa"))


def _pronounced(found: re.Match[str], written: str, alphabet: str) -> Shown | None:
    word = found[1].strip()
    if alphabet not in ALPHABETS or not any(map(str.isalnum, word)):
        return None
    try:
        ipa = ALPHABETS[alphabet](written)
    except ValueError:
        return None
    return Shown(found.start(1) + found[1].find(word), word, found.end(), ipa)


def _has_sign(written: str) -> bool:
    """True if a sign is none that the addresses of pages have."""
    signs = unicodedata.normalize("NFD", written)
    return any(sign == "'" or not (sign.isascii() or unicodedata.combining(sign)) for sign in signs)
