"""Books in plain text, Markdown and HTML, and their pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from kani.books.book import Book, Chapter, UnreadableBook
from kani.books.plan import MAX_PIECE, Manner, digest, pieces_of
from kani.books.reading import read_book

TEXT = (
    "The House\n\nChapter 1\n\nIt rained.\nAll night.\n\nCHAPTER II. Home\n\nChapter 9 was his\nfavourite.\n"
)
MARKDOWN = "# My *book*\n\n## One\nA dog.\n\n```\n# no heading\n\n```\n\n## Two ##\n\nA cat.\n"
HTML = (
    "<html lang=fr><title>Le  livre</title><body><h1>Le livre</h1><h2>Un</h2><p>Bonjour <b>à</b> tous."
    "<h2>Deux</h2><p>Au revoir.<script>no()</script></html>"
)


def chapters(path: Path, text: str | bytes) -> list[tuple[str, tuple[str, ...]]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [(each.title, each.paragraphs) for each in read_book(path).chapters]


def test_plain_text_is_divided_at_lines_that_open_chapters(tmp_path: Path) -> None:
    expected = [
        ("b", ("The House",)),
        ("Chapter 1", ("Chapter 1", "It rained.\nAll night.")),
        ("CHAPTER II. Home", ("CHAPTER II. Home", "Chapter 9 was his\nfavourite.")),
    ]
    assert chapters(tmp_path / "b.txt", TEXT) == expected
    assert chapters(tmp_path / "b.txt", TEXT.replace("\n", "\r\n").encode("utf-16")) == expected
    assert chapters(tmp_path / "b.txt", "Only this.") == [("b", ("Only this.",))]
    found = chapters(tmp_path / "b.txt", "第一章\n\n春。\n\n第十二章 夏\n\n暑い。")
    assert [title for title, _ in found] == ["第一章", "第十二章 夏"]


def test_markdown_is_divided_at_its_headings(tmp_path: Path) -> None:
    found = chapters(tmp_path / "b.md", MARKDOWN)
    assert [title for title, _ in found] == ["My *book*", "One", "Two"]
    assert found[1][1] == ("One", "A dog.", "```\n# no heading\n\n```")
    assert read_book(tmp_path / "b.md").title == "My *book*"


def test_html_is_divided_at_its_headings(tmp_path: Path) -> None:
    expected = [
        ("Le livre", ("Le livre",)),
        ("Un", ("Un", "Bonjour à tous.")),
        ("Deux", ("Deux", "Au revoir.")),
    ]
    assert chapters(tmp_path / "b.html", HTML) == expected
    book = read_book(tmp_path / "b.html")
    assert (book.title, book.language) == ("Le livre", "fr")
    latin = HTML.replace("<title>", '<meta charset="iso-8859-1"><title>').encode("latin-1")
    assert chapters(tmp_path / "b.html", latin) == expected


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableBook, match=r"b.txt is not text in utf-8: save it as UTF-8"):
        chapters(tmp_path / "b.txt", "niña".encode("latin-1"))


def test_pieces_are_short_whole_and_end_with_a_sentence() -> None:
    long = "This is a sentence of some words. " * 200
    book = Book("b", "", "", (Chapter("1", ("One.", long, "x" * 5_000)), Chapter("2", ("Two.",))))
    pieces = pieces_of(book, Manner("espeak", "1"))
    assert all(0 < len(piece.text) <= MAX_PIECE for piece in pieces)
    spoken = "".join("".join(piece.text.split()) for piece in pieces)
    assert spoken == "".join(
        "".join(each.split()) for chapter in book.chapters for each in chapter.paragraphs
    )
    assert all(piece.text.endswith(("words.", "x", "Two.")) for piece in pieces)
    assert [piece.chapter for piece in pieces][-2:] == [1, 2]


def test_keys_change_with_all_that_the_speech_depends_on() -> None:
    book = Book("b", "", "", (Chapter("1", ("One.",)), Chapter("2", ("Two.",))))
    manners = [
        Manner("espeak", "1"),
        Manner("auto", "1"),
        Manner("espeak", "2"),
        Manner("espeak", "1", voice="v"),
        Manner("espeak", "1", language="es"),
        Manner("espeak", "1", speed=2.0),
        Manner("espeak", "1", emotion="happy"),
        Manner("espeak", "1", reference="00"),
    ]
    assert len({pieces_of(book, manner)[0].key for manner in manners}) == len(manners)
    first, second = pieces_of(book, Manner("espeak", "1", voices={2: "w"}))
    assert (
        first.key == pieces_of(book, manners[0])[0].key and second.key != pieces_of(book, manners[0])[1].key
    )
    assert digest(book) != digest(Book("b", "", "", book.chapters[:1]))
