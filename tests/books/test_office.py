"""PDF and DOCX: paragraphs, chapters and facts; what is left out is counted, and nothing expands too far."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from kani.books import as_json
from kani.books.book import UnreadableBook
from kani.books.reading import read_book

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STYLES = (
    f'<w:styles xmlns:w="{WORD}"><w:style w:styleId="Titre1"><w:name w:val="heading 1"/><w:pPr>'
    '<w:outlineLvl w:val="0"/></w:pPr></w:style></w:styles>'
)
FACTS = (
    '<c:coreProperties xmlns:c="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:d="http://purl.org/dc/elements/1.1/"><d:title>The Lake</d:title><d:creator>Ann Lee</d:creator>'
    "</c:coreProperties>"
)
BODY = """
<w:p><w:pPr><w:pStyle w:val="Titre1"/></w:pPr><w:r><w:t>One</w:t></w:r></w:p>
<w:p><w:r><w:t xml:space="preserve">The lake is </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>calm</w:t></w:r>
<w:del><w:r><w:delText>not </w:delText><w:t>never</w:t></w:r></w:del><w:r><w:t>.</w:t><w:footnoteReference/>
</w:r></w:p>
<w:p><w:pPr><w:pStyle w:val="Titre1"/></w:pPr><w:r><w:t>Two</w:t></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Fish</w:t></w:r></w:p></w:tc>
<w:tc><w:p><w:r><w:t>12</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
<w:p><w:r><w:drawing><w:t>not read</w:t></w:drawing></w:r></w:p>
"""
LINES = (
    "The boat went out at dawn, when nobody else was awake to see it,",
    "and it came back after the sun had gone down behind the far hills.",
    "The fish were few.",
    "In the evening the whole village met at the water to hear what",
    "had happened. Nobody said a word for a long time.",
)


def docx(path: Path, body: str = BODY) -> Path:
    document = f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in (("document", document), ("styles", STYLES)):
            file.writestr(f"word/{name}.xml", content)
        file.writestr("docProps/core.xml", FACTS)
    return path


def page_of(lines: tuple[str, ...]) -> bytes:
    shown = "".join(f"({line}) Tj T* " for line in lines)
    return f"BT /F1 12 Tf 14 TL 72 720 Td {shown}ET".encode()


def pdf(path: Path, pages: list[bytes], titles: tuple[str, ...] = ()) -> Path:
    """Write a PDF with a content stream for each page, and an outline of as many titles."""
    kids = " ".join(f"{n * 2 + 4} 0 R" for n in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for n, content in enumerate(pages):
        resources = f"/Resources<</Font<</F1 3 0 R>>>>/Contents {n * 2 + 5} 0 R"
        objects.append(f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]{resources}>>".encode())
        packed = zlib.compress(content)
        head = f"<</Length {len(packed)}/Filter/FlateDecode>>stream\n".encode()
        objects.append(head + packed + b"\nendstream")
    body = b"%PDF-1.7\n" + b"".join(
        b"%d 0 obj\n%b\nendobj\n" % (n, each) for n, each in enumerate(objects, 1)
    )
    places = [body.index(b"%d 0 obj\n" % n) for n in range(1, len(objects) + 1)]
    table = b"".join(b"%010d 00000 n \n" % at for at in places)
    count = len(objects) + 1
    body += b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, table)
    body += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (count, body.index(b"xref"))
    writer = PdfWriter(PdfReader(io.BytesIO(body)))
    writer.add_metadata({"/Title": "The Lake", "/Author": "Ann Lee"})
    for n, title in enumerate(titles):
        writer.add_outline_item(title=title, page_number=n)
    writer.write(path)
    return path


def test_docx_has_chapters_tables_and_facts(tmp_path: Path) -> None:
    book = read_book(docx(tmp_path / "lake.docx"))
    assert (book.title, book.author) == ("The Lake", "Ann Lee")
    assert [(each.title, each.paragraphs) for each in book.chapters] == [
        ("One", ("One", "The lake is calm.")),
        ("Two", ("Two", "Fish, 12")),
    ]
    assert book.left_out == {"notes": 1, "pictures": 1}
    assert as_json.from_json(as_json.as_json(book)) == book


def test_pdf_has_paragraphs_that_go_on_over_pages(tmp_path: Path) -> None:
    split = (page_of((*LINES[:4], "1")), page_of((*LINES[4:], "2")))
    book = read_book(pdf(tmp_path / "lake.pdf", [*split]))
    assert (book.title, book.author) == ("The Lake", "Ann Lee")
    (chapter,) = book.chapters
    assert " ".join(" ".join(chapter.paragraphs).split()) == " ".join(LINES)
    assert len(chapter.paragraphs) == 2 and chapter.paragraphs[0].endswith("few.")


def test_pdf_has_the_chapters_of_its_outline(tmp_path: Path) -> None:
    pages = [page_of((f"Page {name} says that it is page {name}.",)) for name in ("one", "two", "three")]
    book = read_book(pdf(tmp_path / "b.pdf", [*pages, b""], ("First", "Second")))
    assert [each.title for each in book.chapters] == ["First", "Second"]
    assert "page three" in book.chapters[1].paragraphs[-1]
    assert book.left_out == {"pages": 1}


def test_pictures_of_pages_have_no_text(tmp_path: Path) -> None:
    with pytest.raises(UnreadableBook, match=r"^scan\.pdf has no text, only pictures of pages"):
        read_book(pdf(tmp_path / "scan.pdf", [b"", b""]))


@pytest.mark.parametrize("ending", [".pdf", ".docx"])
def test_what_is_damaged_is_refused(tmp_path: Path, ending: str) -> None:
    made = pdf(tmp_path / "a.pdf", [page_of(LINES)]) if ending == ".pdf" else docx(tmp_path / "a.docx")
    whole = made.read_bytes()
    for n, content in enumerate((b"", b"no book" * 99, whole[: len(whole) // 3], whole[len(whole) // 2 :])):
        path = tmp_path / f"{n}{ending}"
        path.write_bytes(content)
        with pytest.raises(UnreadableBook, match=rf"^{n}\{ending} "):
            read_book(path)


def test_nothing_expands_too_far(tmp_path: Path) -> None:
    with pytest.raises(UnreadableBook, match="expands too far"):
        read_book(docx(tmp_path / "bomb.docx", BODY + " " * (17 << 20)))
    bomb = b"(x) Tj " * (100_000_000 // 7)
    with pytest.raises(UnreadableBook, match=r"damaged|no text"):
        read_book(pdf(tmp_path / "bomb.pdf", [bomb]))
