"""Books as they are found: notes, raised figures, hidden parts, and faults that cost a part, not the book."""

from __future__ import annotations

from pathlib import Path

import pytest

from kani.books.markup import decode, read_html
from kani.books.reading import read_book
from tests.books.epubs import NAV, PACKAGE, TWO, epub


@pytest.mark.parametrize(
    ("html", "read"),
    [
        ("<p>About 10<sup>6</sup>, 6.02×10<sup>-23</sup>, mc<sup>2</sup></p>", "About 10⁶, 6.02×10⁻²³, mc²"),
        ("<p>x<sup>n</sup>, H<sub>2</sub>O, 1<sup>er</sup></p>", "x^n, H₂O, 1er"),
        ('<p>house.<a epub:type="noteref" href="#n1">1</a> Then.<sup>2</sup></p>', "house. Then."),
        ('<p>war[3] and cost.<sup><a href="#n3">14</a></sup></p>', "war and cost."),
        ('<p>a <a href="#c1">Chapter 1</a> <code>b[3]</code></p>', "a Chapter 1 b[3]"),
        ('<p>walked <span epub:type="pagebreak">12</span>down <span class="pagenum">[13]</span>on</p>',
         "walked down on"),
        ('<p>a</p><aside role="doc-footnote"><p>1. A note.</p></aside><p>b</p>', "a / b"),
        ("<p>a<span hidden>no<span>x</span>y</span> b</p>", "a b"),
        ('<p>a</p><div style="display: none"><p>b</p></div><p>c <span hidden>d</p><p>e</p>', "a / c / e"),
        ('<p>area <math alttext="x^2"><mi>x</mi></math></p>', "area x^2"),
    ],
)  # fmt: skip
def test_marks_of_print_are_read_as_a_reader_would(html: str, read: str) -> None:
    assert " / ".join(block.text for block in read_html(html.encode())[0]) == read


@pytest.mark.parametrize(
    ("changes", "chapters"),
    [
        ({"OEBPS/text/one.xhtml": None}, 1),
        ({"OEBPS/nav.xhtml": NAV.replace("</a>", "&nbsp;&amp; & more</a>")}, 3),
        ({"OEBPS/nav.xhtml": NAV[:-30]}, 2),
        ({"OEBPS/book.opf": PACKAGE.replace("</dc:title>", "&nbsp;</dc:title>", 1)}, 3),
        ({"OEBPS/book.opf": PACKAGE.replace("application/xhtml+xml", "text/x-oeb1-document")}, 3),
        ({"OEBPS/other\\two.xhtml": TWO}, 3),
    ],
)
def test_a_fault_costs_a_part_of_the_book(
    tmp_path: Path, changes: dict[str, str | bytes | None], chapters: int
) -> None:
    assert len(read_book(epub(tmp_path / "b.epub", changes)).chapters) == chapters


def test_contents_whose_anchors_are_not_there_lead_to_their_files(tmp_path: Path) -> None:
    changes: dict[str, str | bytes | None] = {"OEBPS/nav.xhtml": NAV.replace('.xhtml"', '.xhtml#gone"')}
    assert len(read_book(epub(tmp_path / "b.epub", changes)).chapters) == 3


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("Top\n\nCHAPTER I.\nDown the Hole\n\nAlice sat.\n\nCHAPTER II.\nThe Pool\n\nTears.",
         ["CHAPTER I. Down the Hole", "CHAPTER II. The Pool"]),
        ("I\n\nAlice sat.\n\nII\n\nTears.", ["I", "II"]),
        ("Chapter 9 was his\nfavourite.\n\nI\n\nsaid no.", ["b"]),
    ],
)  # fmt: skip
def test_chapters_of_a_plain_text(tmp_path: Path, text: str, titles: list[str]) -> None:
    (tmp_path / "b.txt").write_text(text, encoding="utf-8")
    assert [each.title for each in read_book(tmp_path / "b.txt").chapters][-len(titles) :] == titles


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('open(f, encoding="latin-1") niño'.encode(), 'open(f, encoding="latin-1") niño'),
        ('<meta charset="iso-8859-1"> piñas'.encode(), '<meta charset="iso-8859-1"> piñas'),
        ('<meta charset="iso-8859-1"> piñas'.encode("latin-1"), '<meta charset="iso-8859-1"> piñas'),
        ("Character set encoding: ISO-8859-1\n\nniño".encode("latin-1"),
         "Character set encoding: ISO-8859-1\n\nniño"),
    ],
)  # fmt: skip
def test_declared_encoding_counts_where_the_text_is_no_utf_8(data: bytes, text: str) -> None:
    assert decode(data) == text
