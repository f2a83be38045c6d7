"""The parts of a parsed SSML document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kani.text.markup import Break


@dataclass(frozen=True, slots=True)
class Style:
    """Voice, language and prosody of a passage, relative to the request's."""

    language: str | None = None
    """BCP 47 tag; None for the text's own."""
    voice: str | None = None
    """Id of a voice; None for the request's."""
    rate: float = 1.0
    """Factor of the speed, 0.25–4."""
    pitch: float = 0.0
    """Semitones added, -12 to 12."""
    loudness: float = 0.0
    """Decibels added, -60 to 12."""


PLAIN_STYLE = Style()
"""The request's own."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Speech for the characters up to ``end`` of the client's text: one of the three.

    spelling: of ``<sub>``, and the content of ``<phoneme>``; ipa: of ``<phoneme>``; say_as: the
    ``interpret-as`` and ``format`` of a ``<say-as>`` with the content ``spelling``.
    """

    end: int
    spelling: str
    ipa: str | None = None
    say_as: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A ``<mark>``: it is reached where the character ``at`` of the client's text is spoken."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class PhraseEnd:
    """Ends a segment, because what stands in it is longer when it is spoken."""


Part = str | Break | Style | PhraseEnd
"""Text, a pause, the style of all that follows, or the end of a phrase."""


@dataclass(frozen=True, slots=True)
class SsmlDocument:
    """A document; the texts among its parts are, joined, as long as what was parsed.

    Positions are the client's; replacements: by the position where each begins; unused: names of what has no
    effect, such as ``ssml.audio``.
    """

    parts: tuple[Part, ...]
    replacements: Mapping[int, Replacement]
    marks: tuple[Mark, ...]
    unused: tuple[str, ...]
