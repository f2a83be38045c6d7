"""Divides a book into pieces that are spoken one by one, each with the voice that speaks it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from kani.books.book import Book, Chapter
from kani_text.boundaries import BreakKind, phrase_breaks

MAX_PIECE = 400
"""Characters of a piece: some half minute. A stop loses one piece at most."""


@dataclass(frozen=True, slots=True)
class Manner:
    """Manner of speaking a book, the same for all chapters but the voice.

    voice: an id, None for the language's own; voices: those of single chapters, by number from 1.
    reference: hexadecimal SHA-256 of the recording to imitate, "" for none.
    """

    engine: str
    version: str
    voice: str | None = None
    voices: Mapping[int, str] = field(default_factory=dict)
    language: str | None = None
    speed: float | None = None
    emotion: str | None = None
    reference: str = ""

    def voice_of(self, chapter: int) -> str | None:
        """Return the voice of a chapter, numbered from 1."""
        return self.voices.get(chapter, self.voice)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text and the voice that speaks it; chapters are numbered from 1."""

    chapter: int
    text: str
    voice: str | None
    key: str
    """Names the piece's files: a hash of all that its speech depends on."""
    goes_on: bool = False
    """True in the middle of a paragraph."""


def pieces_of(book: Book, manner: Manner) -> list[Piece]:
    """Return the pieces of all chapters, in order."""
    return [
        Piece(number, text, voice, _key(text, voice, manner), goes_on)
        for number, chapter in enumerate(book.chapters, 1)
        for voice in [manner.voice_of(number)]
        for text, goes_on in _texts(chapter)
    ]


def digest(book: Book) -> str:
    """Return a hash of a book's text and chapters."""
    return hashlib.sha256(json.dumps([asdict(each) for each in book.chapters]).encode()).hexdigest()


def _key(text: str, voice: str | None, manner: Manner) -> str:
    depends = asdict(manner) | {"voices": None, "voice": voice, "text": text}
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:32]


def _texts(chapter: Chapter) -> Iterator[tuple[str, bool]]:
    """Yield the chapter's text in pieces that end with a paragraph, or a sentence of a long one.

    Each with whether it begins in the middle of a paragraph.
    """
    piece, piece_goes_on = "", False
    for paragraph in chapter.paragraphs:
        for at, part in enumerate(_parts(paragraph)):
            if piece and (at or len(piece) + len(part) + 2 > MAX_PIECE):
                yield piece, piece_goes_on
                piece = ""
            piece, piece_goes_on = (f"{piece}\n\n{part}", piece_goes_on) if piece else (part, at > 0)
    if piece:
        yield piece, piece_goes_on


def _parts(paragraph: str) -> Iterator[str]:
    rest = paragraph.strip()
    while len(rest) > MAX_PIECE:
        window = rest[:MAX_PIECE]
        breaks = phrase_breaks(window, 0, complete=False)
        ends = [one.at for one in breaks if one.kind >= BreakKind.SENTENCE]
        cut = ends[-1] if ends else max(window.rfind(" "), 0)
        cut = cut if cut > MAX_PIECE // 4 else MAX_PIECE
        yield rest[:cut].strip()
        rest = rest[cut:].strip()
    if rest:
        yield rest
