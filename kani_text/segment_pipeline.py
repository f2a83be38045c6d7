"""Text to segments in three stages: mask the markup, split by language, cut into segments."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from kani_text.foreign_passages import LanguageRun, LanguageSplitter
from kani_text.languages import primary
from kani_text.markup import MASK, Break, MarkupMasker, Masked
from kani_text.segmenter import Growth, Segmenter, SegmentPolicy, TextSegment
from kani_text.ssml import NO_EMPHASIS, PLAIN_STYLE, Style
from kani_text.types import Boundary, Emphasis, Replacement
from kani_text.writing import HAN_AND_KANA_LANGUAGES, ends_clause, ends_sentence


@dataclass(frozen=True, slots=True)
class Pause:
    """``seconds`` of silence before the character ``at`` of the text."""

    at: int
    seconds: float


Part = TextSegment | Growth | Pause
"""A segment, what the open segment grows by, or a pause."""


class SegmentPipeline:
    """Text goes in piece by piece; segments and pauses come out, in order.

    The stages are ``kani_text.markup`` (of the same length, breaks become pauses),
    ``kani_text.foreign_passages`` (each run in one language) and ``kani_text.segmenter``.
    """

    def __init__(
        self,
        policy: SegmentPolicy,
        language: str,
        spoken_languages: Collection[str],
        *,
        emphasizes: bool = False,
        quotations: bool = True,
    ) -> None:
        """language: the text's own (BCP 47). spoken_languages: primary subtags of foreign passages.

        quotations: whether those in another language are spoken in it. emphasizes: whether emphasized words
        stay in their segment; otherwise they are one of their own.
        """
        self._masker = MarkupMasker()
        self.replacements: dict[int, Replacement] = {}
        """Spoken forms of words by the markup, by the positions of the words."""
        self._splitter = LanguageSplitter(language, spoken_languages, quotations=quotations)
        own = primary(language)
        self._segmenter = Segmenter(policy, unspaced=own in HAN_AND_KANA_LANGUAGES, language=own)
        self._passage_language: str | None = None
        self._style = PLAIN_STYLE
        self._emphasizes = emphasizes
        self._emphases: list[Emphasis] = []
        """Those of the text that is not in a segment yet."""
        self._emphasis, self._emphasis_start = NO_EMPHASIS, 0
        self._masked = 0

    @property
    def pending(self) -> bool:
        """True if text is held back by the segmenter, or a segment is open."""
        return self._segmenter.pending

    def feed(self, text: str) -> list[Part]:
        """Add ``text``; returns what is certain by now."""
        return self._split(self._masker.feed(text))

    def feed_plain(self, text: str) -> list[Part]:
        """Add text that has no markup, or has it masked already; ``flush`` comes before the first of it."""
        return self._split([text])

    def use_style(self, style: Style) -> list[Part]:
        """Speak what follows in another style; the segment ends here, with a pause only after a mark.

        It goes on where only the emphasis is another one.
        """
        if not self._emphasizes:
            style = style.folded()
        elif style.emphasis != self._emphasis:
            self._end_emphasis()
            self._emphasis = style.emphasis
        if style.plain() == self._style:
            return []
        boundary = Boundary.WORD if style.language == self._style.language else Boundary.SEAM
        parts = _without_pause(self.flush(more_to_come=True), boundary)
        self._style = style.plain()
        return parts

    def _end_emphasis(self) -> None:
        """Keep the emphasis of the text up to here."""
        if self._emphasis != NO_EMPHASIS and self._emphasis_start < self._masked:
            self._emphases.append(Emphasis(self._emphasis_start, self._masked, *self._emphasis))
        self._emphasis_start = self._masked

    def flush(self, *, more_to_come: bool) -> list[Part]:
        """End the segment here; ``more_to_come``: as a clause unless a mark says otherwise."""
        parts = self._split(self._masker.flush())
        parts += self._segment(self._splitter.flush())
        return parts + self._in_passage(self._segmenter.flush(more_to_come=more_to_come))

    def open(self) -> TextSegment | None:
        """Begin a segment before its end is known; None with too few words, or in a foreign passage."""
        return self._segmenter.open() if self._passage_language is None else None

    def _split(self, masked: Sequence[Masked]) -> list[Part]:
        parts: list[Part] = []
        for piece in masked:
            if isinstance(piece, Break):
                parts += self._segment(self._splitter.flush())
                parts += self._in_passage(self._segmenter.flush(more_to_come=True))
                parts.append(Pause(self._masked, piece.seconds))
            elif isinstance(piece, Replacement):
                self.replacements[self._masked] = replace(piece, end=self._masked + piece.end)
            else:
                self._masked += len(piece)
                parts += self._segment(self._splitter.feed(piece))
        return parts

    def _segment(self, runs: list[LanguageRun]) -> list[Part]:
        parts: list[Part] = []
        for run in runs:
            if run.language != self._passage_language:
                ended = self._in_passage(self._segmenter.flush(more_to_come=True))
                parts += _without_pause(ended, Boundary.SEAM)
                self._passage_language = run.language
            parts += self._in_passage(self._segmenter.feed(run.text))
        return parts

    def _in_passage(self, segments: list[TextSegment | Growth]) -> list[Part]:
        """Mark the segments with the language of the passage that they all belong to."""
        language, style = self._passage_language, self._style
        self._end_emphasis()
        if language is None and style.language is None:
            segments = [part for segment in segments for part in self._by_sentence(segment)]
        if not language and style is PLAIN_STYLE and not self._emphases:
            return list(segments)
        return [
            replace(
                segment,
                language=language or segment.language,
                style=style,
                emphases=self._emphases_of(segment),
            )
            if isinstance(segment, TextSegment)
            else segment
            for segment in segments
        ]

    def _by_sentence(self, segment: TextSegment | Growth) -> Sequence[TextSegment | Growth]:
        return self._splitter.by_sentence(segment) if isinstance(segment, TextSegment) else [segment]

    def _emphases_of(self, segment: TextSegment) -> tuple[Emphasis, ...]:
        """Take the emphases that begin before the segment's end; one may go on in the next."""
        begun = [one for one in self._emphases if one.start < segment.end]
        self._emphases = [one for one in self._emphases if one.end > segment.end]
        return tuple(begun)


def _without_pause(parts: list[Part], boundary: Boundary) -> list[Part]:
    """The parts of a text that goes on in another style or language: it has a pause only after a mark.

    boundary: the end of one without a mark.
    """
    return [
        replace(part, boundary=boundary)
        if isinstance(part, TextSegment) and part.boundary is Boundary.CLAUSE and not _ends_clause(part.text)
        else part
        for part in parts
    ]


def _ends_clause(text: str) -> bool:
    written = text.replace(MASK, "").rstrip()
    return written.endswith(")") or ends_sentence(written) or ends_clause(written)
