"""The parts of a parsed SSML document."""

from dataclasses import dataclass, replace

from kani_text.markup import Masked
from kani_text.ssml.values import (
    MAX_DECIBELS,
    MAX_RATE,
    MAX_SEMITONES,
    MIN_DECIBELS,
    MIN_RATE,
    NO_EMPHASIS,
    EmphasisLevel,
    clamp,
)


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
    emphasis: EmphasisLevel = NO_EMPHASIS
    """Not in the three above."""

    def changed(self, rate: float, pitch: float, loudness: float) -> "Style":
        """Return the style with a factor of the speed, and with semitones and decibels added."""
        return replace(
            self,
            rate=clamp(self.rate * rate, MIN_RATE, MAX_RATE),
            pitch=clamp(self.pitch + pitch, -MAX_SEMITONES, MAX_SEMITONES),
            loudness=clamp(self.loudness + loudness, MIN_DECIBELS, MAX_DECIBELS),
        )

    def plain(self) -> "Style":
        """Return the style without its emphasis."""
        return replace(self, emphasis=NO_EMPHASIS)

    def folded(self) -> "Style":
        """Return the style with its emphasis as speed, pitch and loudness."""
        return self if self.emphasis == NO_EMPHASIS else self.plain().changed(*self.emphasis)


PLAIN_STYLE = Style()
"""The request's own."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A ``<mark>``: it is reached where the character ``at`` of the client's text is spoken."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class PhraseEnd:
    """Ends a segment, because what stands in it is longer when it is spoken."""


Part = Masked | Style | PhraseEnd
"""Text, a pause, what is spoken for the next characters, the style of all that follows, or a phrase's end."""


@dataclass(frozen=True, slots=True)
class SsmlDocument:
    """A document; the texts among its parts are, joined, as long as what was parsed.

    Positions of marks are the client's; unused: names of what has no effect, such as ``ssml.audio``.
    """

    parts: tuple[Part, ...]
    marks: tuple[Mark, ...]
    unused: tuple[str, ...]
