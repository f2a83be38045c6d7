"""Scripts that are written without spaces between words."""

from __future__ import annotations

_SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3000, 0x30FF),  # Japanese punctuation and kana
    (0x3400, 0x9FFF),  # Chinese characters
    (0xFF00, 0xFFEF),  # their punctuation
)


def space_between(text: str, word: str) -> str:
    """Return what separates a text from its next word: nothing in scripts that are written without spaces."""
    joined = not text or (_is_spaceless(text[-1:]) and _is_spaceless(word[:1]))
    return "" if joined else " "


def may_go_on(text: str) -> bool:
    """Return True if the next letters may belong to the last word of ``text``."""
    return text[-1:].isalnum() and not _is_spaceless(text[-1:])


def _is_spaceless(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _SPACELESS) if character else False
